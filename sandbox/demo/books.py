"""What the ledger says after the scenarios, held against the Stripe twin's own books."""

import contextlib
from dataclasses import dataclass

from gateway.config import GatewaySettings
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from ledger.v1 import balance_pb2, direction_pb2, entry_pb2, ledger_pb2, transaction_reads_pb2
from sandbox.clients import Clients
from sandbox.demo.scenarios import expect
from sandbox.demo.shop import CALL_SECONDS
from sandbox.polling import poll
from sandbox.twin_admin import TwinAdmin

MAX_LINES = 1_000
MAX_PAYMENTS = 500
# The platform's accounts in the chart of `gateway.bookkeeping.chart`.
STRIPE_PREFIX = "default/usd/stripe"
FEES_ACCOUNT = "default/usd/fees"
CURRENCY = "usd"
# Of Stripe's balance, and the names of the accounts that mirror them.
PARTS = ("pending", "available")
EFFECTS = {
    entry_pb2.ENTRY_EFFECT_HOLD: "hold",
    entry_pb2.ENTRY_EFFECT_RELEASE: "release",
    entry_pb2.ENTRY_EFFECT_POST: "post",
}


@dataclass(frozen=True)
class Line:
    """One entry in the ledger, to be shown; entries with equal `sequence` are one transaction."""

    sequence: int
    effect: str
    account: str
    debit: bool
    amount_minor: int


@dataclass(frozen=True)
class PaymentHistory:
    """One payment: the states that it went through, and its entries in the ledger."""

    payment: payment.Payment
    states: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class TrialBalance:
    """The totals of the ledger, and what they must equal at Stripe; minor units of US dollars."""

    lines: tuple[balance_pb2.TrialBalanceLine, ...]
    debits: int
    credits: int
    pending: int
    stripe_in_ledger: dict[str, int]
    stripe_at_twin: dict[str, int]
    fees_in_ledger: int
    fees_at_twin: int

    def check(self) -> None:
        """Raises `UnexpectedError` for the first figure that is wrong."""
        expect("trial balance", self.debits - self.credits, 0)
        expect("holds left over", self.pending, 0)
        expect("Stripe's balance in the ledger", self.stripe_in_ledger, self.stripe_at_twin)
        expect("Stripe's fees in the ledger", self.fees_in_ledger, self.fees_at_twin)


async def read_history(clients: Clients, ledger: str, payment_id: str) -> PaymentHistory:
    """Follows one settled payment through the gateway's and the ledger's records."""
    read = await clients.payments.GetPayment(
        payments.GetPaymentRequest(payment_id=payment_id), timeout=CALL_SECONDS
    )
    states: list[str] = []
    watch = clients.payments.WatchPayments(
        payments.WatchPaymentsRequest(payment_id=payment_id), timeout=CALL_SECONDS
    )
    async for change in watch:
        name = payment.PaymentState.Name(change.payment.state).removeprefix("PAYMENT_STATE_")
        if states[-1:] != [name]:
            states.append(name)
        if change.payment.revision >= read.payment.revision:
            break
    watch.cancel()
    found = await clients.ledger.ListTransactions(
        transaction_reads_pb2.ListTransactionsRequest(
            ledger=ledger, reference=payment_id, page_size=MAX_LINES
        ),
        timeout=CALL_SECONDS,
    )
    lines = [
        Line(
            transaction.sequence,
            EFFECTS[entry.effect],
            entry.account,
            entry.direction == direction_pb2.DIRECTION_DEBIT,
            entry.amount.minor_units,
        )
        for transaction in found.transactions
        for entry in transaction.entries
    ]
    return PaymentHistory(read.payment, tuple(states), tuple(lines))


async def read_trial_balance(clients: Clients, ledger: str, twin: TwinAdmin) -> TrialBalance:
    """Totals of the whole ledger beside the twin's books."""
    trial = await clients.ledger.GetTrialBalance(
        balance_pb2.GetTrialBalanceRequest(ledger=ledger, page_size=MAX_LINES),
        timeout=CALL_SECONDS,
    )
    books = await twin.books()
    at_stripe = books["balances"].get(CURRENCY, {})
    posted = {line.balance.account: line.balance.posted_minor for line in trial.lines}
    return TrialBalance(
        lines=tuple(trial.lines),
        debits=sum(total.posted_debits_minor for total in trial.totals),
        credits=sum(total.posted_credits_minor for total in trial.totals),
        pending=sum(
            total.pending_debits_minor + total.pending_credits_minor for total in trial.totals
        ),
        stripe_in_ledger={part: posted.get(f"{STRIPE_PREFIX}/{part}", 0) for part in PARTS},
        stripe_at_twin={part: at_stripe.get(part, 0) for part in PARTS},
        fees_in_ledger=posted.get(FEES_ACCOUNT, 0),
        fees_at_twin=books["fees"].get(CURRENCY, 0),
    )


async def settled_trial_balance(clients: Clients, ledger: str, twin: TwinAdmin) -> TrialBalance:
    """The same once Stripe's balance is in the ledger, or as it is if that takes too long."""

    async def read() -> TrialBalance:
        return await read_trial_balance(clients, ledger, twin)

    with contextlib.suppress(TimeoutError):
        return await poll(read, lambda trial: trial.stripe_in_ledger == trial.stripe_at_twin)
    return await read()


async def check_charges(clients: Clients, twin: TwinAdmin) -> int:
    """One paid charge for each payment that succeeded and none for another; the number of them.

    Raises `UnexpectedError`.
    """
    listed = await clients.payments.ListPayments(
        payments.ListPaymentsRequest(state=payment.PAYMENT_STATE_SUCCEEDED, page_size=MAX_PAYMENTS),
        timeout=CALL_SECONDS,
    )
    expect("more payments than a page", listed.next_page_token, "")
    charges = (await twin.books())["charges"]
    paid = sorted(charge["id"] for charge in charges if charge["paid"] and charge["captured"])
    expect("paid charges", paid, sorted(item.charge_id for item in listed.payments))
    return len(paid)


async def ledger_name(clients: Clients) -> str:
    """The ledger that the gateway books in, which is there once something was booked."""
    found = await clients.ledger.ListLedgers(ledger_pb2.ListLedgersRequest(), timeout=CALL_SECONDS)
    name: str = GatewaySettings.model_fields["ledger_name"].default
    expect("the gateway's ledger is there", name in [one.name for one in found.ledgers], True)
    return name

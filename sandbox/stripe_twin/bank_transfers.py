"""What payouts do at the twin's bank: they arrive there, debit it, and come back.

https://docs.stripe.com/payouts, https://docs.stripe.com/payouts/trace-id
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.currencies import minor_units
from sandbox.stripe_twin.store import JsonObject
from sandbox.twin_bank.bank import day_of
from sandbox.twin_bank.books import Transfer

# What a payout is called at the bank unless its merchant has said otherwise.
DESCRIPTOR = "STRIPE PAYOUT"


def trace_of(payout: JsonObject) -> str:
    """The reference that the bank's network has given a payout. Stripe tells it later."""
    return f"TRACE{payout['id'][-12:].upper()}"


def payout_arrived(account: TwinAccount, payout: JsonObject) -> None:
    """A payout is paid: the bank has its money, or was debited if it is below zero."""
    transfer = Transfer(
        transfer_id=payout["id"],
        amount=minor_units(payout["amount"], payout["currency"]),
        trace=trace_of(payout),
        descriptor=payout["statement_descriptor"] or DESCRIPTOR,
    )
    shared = account.shared
    shared.bank.take(
        account.account_id, payout["currency"].upper(), transfer, day_of(shared.clock.time())
    )


def payout_returned(account: TwinAccount, payout: JsonObject) -> None:
    """A payout failed: what the bank has booked of it goes back."""
    shared = account.shared
    shared.bank.give_back(
        account.account_id, payout["currency"].upper(), payout["id"], day_of(shared.clock.time())
    )

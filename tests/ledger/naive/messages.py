"""Facts as the messages that clients get."""

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.balance_pb2 import Balance
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from money.v1.money_pb2 import Money
from tests.ledger.naive.log import Account, Fact, Log, Side, Totals
from tests.ledger.naive.moments import stamp
from tests.ledger.naive.rules import with_legs

DIRECTIONS = {"debit": DIRECTION_DEBIT, "credit": DIRECTION_CREDIT}
NORMALS = {"debit": accounts.NORMAL_BALANCE_DEBIT, "credit": accounts.NORMAL_BALANCE_CREDIT}
EFFECTS = {
    "post": entries.ENTRY_EFFECT_POST,
    "hold": entries.ENTRY_EFFECT_HOLD,
    "release": entries.ENTRY_EFFECT_RELEASE,
}
KINDS = {
    "direct": transactions.TRANSACTION_KIND_DIRECT,
    "pending": transactions.TRANSACTION_KIND_PENDING,
    "post": transactions.TRANSACTION_KIND_POST,
    "void": transactions.TRANSACTION_KIND_VOID,
    "expiry": transactions.TRANSACTION_KIND_EXPIRY,
    "reversal": transactions.TRANSACTION_KIND_REVERSAL,
}


def balance(name: str, currency: str, normal: Side, totals: Totals) -> Balance:
    return Balance(
        account=name,
        currency_code=currency,
        posted_debits_minor=totals.posted_debits,
        posted_credits_minor=totals.posted_credits,
        pending_debits_minor=totals.pending_debits,
        pending_credits_minor=totals.pending_credits,
        posted_minor=totals.balance(normal),
        available_minor=totals.lowest(normal),
        version=totals.version,
    )


def account(ledger: str, made: Account, closed_us: int | None) -> accounts.Account:
    message = accounts.Account(
        ledger=ledger,
        name=made.name,
        currency_code=made.currency,
        normal_balance=NORMALS[made.normal],
        metadata=made.metadata,
        state=accounts.ACCOUNT_STATE_OPEN,
        create_time=stamp(made.create_us),
    )
    for name, bound in made.limits.items():
        setattr(message.limits, name, bound)
    if closed_us is not None:
        message.state = accounts.ACCOUNT_STATE_CLOSED
        message.close_time.CopyFrom(stamp(closed_us))
    return message


def transaction(ledger: str, log: Log, fact: Fact) -> transactions.Transaction:
    """A fact that is about to be added, with the balances after each entry."""
    message = transactions.Transaction(
        ledger=ledger,
        sequence=fact.sequence,
        request_id=fact.request_id,
        kind=KINDS[fact.kind],
        record_time=stamp(fact.record_us),
        effective_time=stamp(fact.effective_us),
        reference=fact.reference,
        metadata=fact.metadata,
        exchanges=fact.exchanges,
        settles_sequence=fact.settles,
        reverses_sequence=fact.reverses,
    )
    if fact.expire_us is not None:
        message.expire_time.CopyFrom(stamp(fact.expire_us))
    for index, leg in enumerate(fact.legs):
        made = log.accounts[leg.account]
        after = with_legs(log.totals(leg.account), leg.account, fact.legs[: index + 1])
        message.entries.add(
            sequence=fact.sequence,
            entry_index=index,
            account=leg.account,
            direction=DIRECTIONS[leg.side],
            effect=EFFECTS[leg.effect],
            amount=Money(currency_code=made.currency, minor_units=leg.amount),
            balance_after=balance(made.name, made.currency, made.normal, after),
            description=leg.description,
            source_entry_index=leg.source,
            record_time=stamp(fact.record_us),
            effective_time=stamp(fact.effective_us),
        )
    return message


def summary(full: transactions.Transaction) -> transactions.Transaction:
    """The same without entries."""
    message = transactions.Transaction()
    message.CopyFrom(full)
    message.ClearField("entries")
    return message

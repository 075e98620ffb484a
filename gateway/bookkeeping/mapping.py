"""The rules of bookkeeping: each fact is exactly one ledger transaction, and what the ledger is
asked to do for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from gateway.bookkeeping.balance_facts import (
    AccountFeeCharged,
    AccountMoved,
    ApplicationFeeEarned,
    ApplicationFeeReturned,
    DebitMoved,
    DebitSettled,
    DisputeDecided,
    DisputeMoved,
    FundsAvailable,
    PayoutCreated,
    PayoutFailed,
    PayoutPaid,
    ToppedUp,
    TransferCreated,
    TransferReversed,
    UnknownBalanceTransaction,
)
from gateway.bookkeeping.chart import Account, Chart, Side
from gateway.bookkeeping.facts import (
    Captured,
    Converted,
    Fact,
    FeeCharged,
    HoldForgotten,
    HoldPlaced,
    HoldReleased,
    PaymentFact,
    RefundCreated,
    RefundFailed,
    StripeBalance,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction: a positive amount on one account."""

    account: Account
    side: Side
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Create:
    """A new ledger transaction; a `hold` reserves without moving (the ledger's PENDING)."""

    entries: tuple[Entry, ...]
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """Posts `entries` out of the hold that the fact `of` placed; `final` releases the rest.

    The entries are in the order of the hold's, each on the same account and side.
    """

    of: str
    entries: tuple[Entry, ...]
    final: bool


@dataclass(frozen=True, slots=True)
class Void:
    """Releases the whole hold that the fact `of` placed."""

    of: str
    # Of a hold that we have not reported: how often it was asked for anew. Nobody waits for it, so
    # that it may be gone.
    unreported_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Reverse:
    """Undoes the transaction that the fact `of` made, in whole."""

    of: str


Write = Create | Post | Void | Reverse


# Accounts that are made together, at once or not at all, before the first entry on one of them.
AccountGroup = tuple[Account, ...]


def request_id(fact_id: str, revision: int) -> str:
    """The ledger's request id for a fact is the fact's id, so that it is booked at most once.

    The ledger keeps a refusal under its request id for good. `revision` counts the times that
    people decided to try a refused fact again.
    """
    return fact_id if revision == 0 else f"{fact_id}:{revision}"


def fact_id_of(booked_by: str) -> str:
    """The fact that the ledger has under a request id of ours."""
    return booked_by.partition(":")[0]


def revision_of(booked_by: str) -> int:
    """How often the fact was asked for anew that the ledger has under a request id of ours."""
    return int(booked_by.partition(":")[2] or 0)


def account_groups(fact: Fact) -> tuple[AccountGroup, ...]:
    """The accounts that must exist before the fact can be booked (and some of their siblings)."""
    chart = _chart(fact)
    groups = [chart.shared_accounts]
    if isinstance(fact, PaymentFact):
        groups.append(chart.merchant_accounts(fact.merchant_id))
    if isinstance(fact, (DebitMoved, DebitSettled)):
        groups.append(chart.debit_accounts)
    if isinstance(fact, Converted):
        settled = Chart(fact.corridor, fact.settled_currency)
        groups.append(settled.shared_accounts)
        groups.extend(_part(settled, fact.balance))
    if isinstance(fact, AccountMoved):
        groups.append((chart.contra(fact.contra),))
    part = getattr(fact, "balance", StripeBalance.PENDING)
    groups.extend(_part(chart, part))
    return tuple(groups)


def _part(chart: Chart, part: StripeBalance) -> tuple[AccountGroup, ...]:
    """The account of a part of the balance that is not among the shared ones."""
    return () if part.is_of_payments else ((chart.stripe(part),),)


@singledispatch
def ledger_write(fact: Fact) -> Write:
    """What the ledger shall do about the fact."""
    raise NotImplementedError(f"no bookkeeping rule for {type(fact).__name__}")


@ledger_write.register
def _(fact: HoldPlaced) -> Create:
    return Create(_charge(fact, fact.amount_minor), hold=True)


@ledger_write.register
def _(fact: Captured) -> Post:
    return Post(
        of=fact.requires,
        entries=_charge(fact, fact.amount_minor),
        final=fact.final,
    )


@ledger_write.register
def _(fact: HoldReleased) -> Void:
    return Void(of=fact.requires)


@ledger_write.register
def _(fact: HoldForgotten) -> Void:
    return Void(of=fact.hold, unreported_revision=fact.hold_revision)


@ledger_write.register
def _(fact: FeeCharged) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.fees, out_of=chart.stripe(StripeBalance.PENDING))


@ledger_write.register
def _(fact: Converted) -> Create:
    made, settled = _chart(fact), Chart(fact.corridor, fact.settled_currency)
    sign = 1 if fact.incoming else -1
    out = _move(sign * fact.amount_minor, to=made.conversion, out_of=made.stripe(fact.balance))
    into = _move(
        sign * fact.settled_minor, to=settled.stripe(fact.balance), out_of=settled.conversion
    )
    return _create(*out.entries, *into.entries)


@ledger_write.register
def _(fact: RefundCreated) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor, to=chart.refunds(fact.merchant_id), out_of=chart.stripe(fact.balance)
    )


@ledger_write.register
def _(fact: RefundFailed) -> Reverse:
    return Reverse(of=fact.requires)


@ledger_write.register
def _(fact: TransferCreated) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor, to=chart.payable(fact.merchant_id), out_of=chart.stripe(fact.balance)
    )


@ledger_write.register
def _(fact: ApplicationFeeEarned) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.stripe(fact.balance), out_of=chart.application_fees)


@ledger_write.register
def _(fact: TransferReversed) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor, to=chart.stripe(fact.balance), out_of=chart.payable(fact.merchant_id)
    )


@ledger_write.register
def _(fact: ApplicationFeeReturned) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.application_fees, out_of=chart.stripe(fact.balance))


@ledger_write.register
def _(fact: DebitMoved) -> Create:
    chart = _chart(fact)
    return _create(
        _debit(chart.debits_undecided, -fact.amount_minor),
        _debit(chart.fees, fact.fee_minor),
        _debit(chart.stripe(fact.balance), fact.amount_minor - fact.fee_minor),
    )


@ledger_write.register
def _(fact: DebitSettled) -> Reverse:
    return Reverse(of=fact.requires)


@ledger_write.register
def _(fact: DisputeMoved) -> Create:
    chart = _chart(fact)
    return _create(
        _debit(chart.disputes_held(fact.merchant_id), -fact.amount_minor),
        _debit(chart.fees, fact.fee_minor),
        _debit(chart.stripe(fact.balance), fact.amount_minor - fact.fee_minor),
    )


@ledger_write.register
def _(fact: DisputeDecided) -> Create:
    chart = _chart(fact)
    return _move(
        -fact.amount_minor,
        to=chart.payable(fact.merchant_id),
        out_of=chart.disputes_held(fact.merchant_id),
    )


@ledger_write.register
def _(fact: FundsAvailable) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor,
        to=chart.stripe(StripeBalance.AVAILABLE),
        out_of=chart.stripe(StripeBalance.PENDING),
    )


@ledger_write.register
def _(fact: PayoutCreated) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor,
        to=chart.payouts_in_transit,
        out_of=chart.stripe(StripeBalance.AVAILABLE),
    )


@ledger_write.register
def _(fact: PayoutPaid) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.bank, out_of=chart.payouts_in_transit)


@ledger_write.register
def _(fact: PayoutFailed) -> Create:
    chart = _chart(fact)
    return _move(
        fact.amount_minor,
        to=chart.stripe(StripeBalance.AVAILABLE),
        out_of=chart.bank if fact.was_paid else chart.payouts_in_transit,
    )


@ledger_write.register
def _(fact: AccountFeeCharged) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.fees, out_of=chart.stripe(fact.balance))


@ledger_write.register
def _(fact: ToppedUp) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.stripe(fact.balance), out_of=chart.bank)


@ledger_write.register
def _(fact: AccountMoved) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.stripe(fact.balance), out_of=chart.contra(fact.contra))


@ledger_write.register
def _(fact: UnknownBalanceTransaction) -> Create:
    chart = _chart(fact)
    return _move(fact.amount_minor, to=chart.stripe(fact.balance), out_of=chart.suspense)


def _chart(fact: Fact) -> Chart:
    return Chart(fact.corridor, fact.currency)


def _charge(fact: PaymentFact, amount_minor: int) -> tuple[Entry, ...]:
    chart = _chart(fact)
    return (
        Entry(chart.stripe(StripeBalance.PENDING), Side.DEBIT, amount_minor),
        Entry(chart.payable(fact.merchant_id), Side.CREDIT, amount_minor),
    )


def _move(amount_minor: int, *, to: Account, out_of: Account) -> Create:
    """Debits `to` and credits `out_of`; an amount below zero goes the other way."""
    return Create((_debit(to, amount_minor), _debit(out_of, -amount_minor)))


def _debit(account: Account, amount_minor: int) -> Entry:
    """Debits the account; an amount below zero credits it."""
    return Entry(account, Side.DEBIT if amount_minor > 0 else Side.CREDIT, abs(amount_minor))


def _create(*entries: Entry) -> Create:
    return Create(tuple(entry for entry in entries if entry.amount_minor))

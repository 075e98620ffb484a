"""Rules of new transactions, direct and pending, and of applying any transaction's legs."""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple, NoReturn

from ledger.accounts import Account, Effect, Side, Totals, spans
from ledger.book import Book
from ledger.exchange import Exchange, check_exchanges
from ledger.refusal import Reason, Refusal


class Kind(IntEnum):
    """What a transaction is; the numbers are those of `ledger.v1.TransactionKind`."""

    DIRECT = 1
    PENDING = 2
    POST = 3
    VOID = 4
    EXPIRY = 5
    REVERSAL = 6


class Precondition(NamedTuple):
    """What must hold for an account before (version) and after (bounds) a transaction."""

    expected_version: int | None
    min_posted: int | None
    max_posted: int | None
    min_available: int | None
    max_available: int | None


class Leg(NamedTuple):
    """One leg that a client asks for."""

    account: str
    side: Side
    amount: int
    currency: str
    precondition: Precondition | None = None


class Draft(NamedTuple):
    """A new transaction that a client asks for. Times are microseconds since 1970."""

    legs: Sequence[Leg]
    pending: bool = False
    expire_us: int | None = None
    exchanges: Sequence[Exchange] = ()


class Movement(NamedTuple):
    """One entry to be: `source_index` is the entry settled or reversed by it."""

    account: Account
    side: Side
    effect: Effect
    amount: int
    source_index: int | None = None


class Posted(NamedTuple):
    """One entry with its account's totals right after it."""

    movement: Movement
    totals: Totals


def open_draft(book: Book, draft: Draft, now_us: int) -> list[Posted]:
    """Applies a new transaction to the book, or raises `Refusal` and leaves the book as it was."""
    effect = Effect.HOLD if draft.pending else Effect.POST
    movements: list[Movement] = []
    for leg in draft.legs:
        account = book.accounts.get(leg.account)
        if account is None or account.closed_us is not None or account.currency != leg.currency:
            refuse_legs(book, draft.legs)
        movements.append(Movement(account, leg.side, effect, leg.amount))
    check_balanced((leg.currency, leg.side, leg.amount) for leg in draft.legs)
    if draft.exchanges:
        check_exchanges(
            draft.exchanges,
            [(leg.account, leg.side, leg.amount, leg.currency) for leg in draft.legs],
        )
    if draft.expire_us is not None and draft.expire_us <= now_us:
        raise Refusal(
            Reason.EXPIRE_TIME_PASSED,
            "the expiry is not in the future",
            {"expire_time": book.time_text(draft.expire_us), "record_time": book.time_text(now_us)},
        )
    conditions = [
        (movement.account, leg.precondition)
        for movement, leg in zip(movements, draft.legs, strict=True)
        if leg.precondition is not None
    ]
    return apply(book, movements, conditions)


def refuse_legs(book: Book, legs: Sequence[Leg]) -> NoReturn:
    """Refuses legs of which at least one names no open account of its currency."""
    accounts = [(leg, book.account(leg.account)) for leg in legs]
    for _, account in accounts:
        account.check_open()
    for leg, account in accounts:
        if account.currency != leg.currency:
            raise Refusal(
                Reason.CURRENCY_MISMATCH,
                f"{leg.account} takes {account.currency}, not {leg.currency}",
                {
                    "account": leg.account,
                    "currency_code": leg.currency,
                    "account_currency_code": account.currency,
                },
            )
    raise AssertionError("no leg was at fault")


def check_balanced(legs: Iterable[tuple[str, Side, int]]) -> None:
    """Refuses unless debits equal credits in each currency."""
    totals: dict[str, list[int]] = {}
    for currency, side, amount in legs:
        totals.setdefault(currency, [0, 0])[side - 1] += amount
    for currency, (debited, credited) in totals.items():
        if debited != credited:
            raise Refusal(
                Reason.UNBALANCED,
                f"debits of {debited} and credits of {credited} {currency} differ",
                {"currency_code": currency, "debits_minor": debited, "credits_minor": credited},
            )


def apply(
    book: Book,
    movements: Sequence[Movement],
    conditions: Sequence[tuple[Account, Precondition]] = (),
) -> list[Posted]:
    """Moves the accounts' totals; all of it, or raises `Refusal` and moves nothing."""
    before: dict[int, tuple[Account, Totals]] = {}
    posted: list[Posted] = []
    for movement in movements:
        account = movement.account
        if account.number not in before:
            before[account.number] = (account, account.totals)
        totals = account.add(movement.side, movement.effect, movement.amount)
        posted.append(Posted(movement, totals))
    try:
        for account, condition in conditions:
            _check_version(account, condition, before[account.number][1])
        for account, condition in conditions:
            _check_bounds(account, condition)
        for account, totals in before.values():
            account.check_limits(totals)
        for account, _ in before.values():
            account.check_range()
    except Refusal:
        for account, totals in before.values():
            account.totals = totals
        raise
    book.touched(before.values())
    return posted


def _check_version(account: Account, condition: Precondition, before: Totals) -> None:
    version = before[-1]
    if condition.expected_version not in (None, version):
        raise Refusal(
            Reason.VERSION_MISMATCH,
            f"{account.name} is at version {version}, not {condition.expected_version}",
            {
                "account": account.name,
                "expected_version": str(condition.expected_version),
                "version": version,
            },
        )


def _check_bounds(account: Account, condition: Precondition) -> None:
    posted, available, _ = spans(account.totals, account.normal)
    for name, bound, balance, sign in (
        ("min_posted_minor", condition.min_posted, posted, 1),
        ("max_posted_minor", condition.max_posted, posted, -1),
        ("min_available_minor", condition.min_available, available, 1),
        ("max_available_minor", condition.max_available, available, -1),
    ):
        if bound is not None and (balance - bound) * sign < 0:
            raise Refusal(
                Reason.BALANCE_OUT_OF_BOUNDS,
                f"{account.name} would have {balance}, outside its {name} of {bound}",
                {
                    "account": account.name,
                    "bound": name,
                    "bound_minor": bound,
                    "balance_minor": balance,
                },
            )

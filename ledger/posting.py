"""Rules of new transactions, direct and pending, and of applying any transaction's legs."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, NoReturn

from ledger.accounts import (
    NO_LIMITS,
    SAFE_TOTAL_MINOR,
    Account,
    Effect,
    Side,
    Totals,
    spans,
)
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


# The types below are made for every entry, so they are plain tuples, always read whole.

# One leg that a client asks for: account, side, amount, currency, what must hold for it.
Leg = tuple[str, Side, int, str, Precondition | None]
# One entry to be: account, side, effect, amount, index of the entry settled or reversed by it.
Movement = tuple[Account, Side, Effect, int, int | None]
# One recorded entry: its movement, then its account's totals right after it.
Posted = tuple[Account, Side, Effect, int, int | None, int, int, int, int, int]


class Draft(NamedTuple):
    """A new transaction that a client asks for. Times are microseconds since 1970."""

    legs: Sequence[Leg]
    pending: bool = False
    expire_us: int | None = None
    exchanges: Sequence[Exchange] = ()


def open_draft(book: Book, draft: Draft, now_us: int) -> list[Posted]:
    """Applies a new transaction to the book, or raises `Refusal` and leaves the book as it was."""
    legs = draft.legs
    effect = Effect.HOLD if draft.pending else Effect.POST
    accounts = book.accounts
    movements: list[Movement] = []
    conditions: list[tuple[Account, Precondition]] = []
    for name, side, amount, currency, condition in legs:
        account = accounts.get(name)
        if account is None or account.closed_us is not None or account.currency != currency:
            refuse_legs(book, legs)
        movements.append((account, side, effect, amount, None))
        if condition is not None:
            conditions.append((account, condition))
    check_balanced([(currency, side, amount) for _, side, amount, currency, _ in legs])
    if draft.exchanges:
        check_exchanges(
            draft.exchanges,
            [(name, side, amount, currency) for name, side, amount, currency, _ in legs],
        )
    if draft.expire_us is not None and draft.expire_us <= now_us:
        raise Refusal(
            Reason.EXPIRE_TIME_PASSED,
            "the expiry is not in the future",
            {"expire_time": book.time_text(draft.expire_us), "record_time": book.time_text(now_us)},
        )
    return apply(book, movements, conditions)


def refuse_legs(book: Book, legs: Sequence[Leg]) -> NoReturn:
    """Refuses legs of which at least one names no open account of its currency."""
    accounts = [(currency, book.account(name)) for name, _, _, currency, _ in legs]
    for _, account in accounts:
        account.check_open()
    for currency, account in accounts:
        if account.currency != currency:
            raise Refusal(
                Reason.CURRENCY_MISMATCH,
                f"{account.name} takes {account.currency}, not {currency}",
                {
                    "account": account.name,
                    "currency_code": currency,
                    "account_currency_code": account.currency,
                },
            )
    raise AssertionError("no leg was at fault")


def check_balanced(legs: Sequence[tuple[str, Side, int]]) -> None:
    """Refuses unless debits equal credits in each currency."""
    differences: dict[str, int] = {}
    for currency, side, amount in legs:
        signed = amount if side is Side.DEBIT else -amount
        differences[currency] = differences.get(currency, 0) + signed
    for unbalanced, difference in differences.items():
        if difference:
            debited, credited = (
                sum(a for currency, s, a in legs if s is side and currency == unbalanced)
                for side in (Side.DEBIT, Side.CREDIT)
            )
            raise Refusal(
                Reason.UNBALANCED,
                f"debits of {debited} and credits of {credited} {unbalanced} differ",
                {
                    "currency_code": unbalanced,
                    "debits_minor": debited,
                    "credits_minor": credited,
                },
            )


def apply(
    book: Book,
    movements: Sequence[Movement],
    conditions: Sequence[tuple[Account, Precondition]] = (),
) -> list[Posted]:
    """Moves the accounts' totals; all of it, or raises `Refusal` and moves nothing."""
    before: dict[int, tuple[Account, Totals]] = {}
    posted: list[Posted] = []
    for account, side, effect, amount, source_index in movements:
        if account.number not in before:
            before[account.number] = (account, account.totals)
        totals = account.add(side, effect, amount)
        posted.append((account, side, effect, amount, source_index, *totals))
    try:
        for account, condition in conditions:
            _check_version(account, condition, before[account.number][1])
        for account, condition in conditions:
            _check_bounds(book, account, condition)
        # By identity: most accounts have no limits, and this is asked for every entry.
        limited = [pair for pair in before.values() if pair[0].limits is not NO_LIMITS]
        for account, totals in limited:
            account.check_floors(totals, book.lapsed_of(account))
        for account, totals in limited:
            account.check_ceilings(totals, book.lapsed_of(account))
        for account, _ in before.values():
            if max(account.totals) > SAFE_TOTAL_MINOR:
                account.check_range()
    except Refusal:
        for account, totals in before.values():
            account.totals = totals
        raise
    book.touched(before)
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


def _check_bounds(book: Book, account: Account, condition: Precondition) -> None:
    posted, available, _ = spans(account.totals, account.normal, book.lapsed_of(account))
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

"""Rules of what becomes of an earlier transaction: posted, voided, expired, reversed."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from ledger.accounts import Effect, Side
from ledger.book import Book, Source, SourceEntry
from ledger.posting import Kind, Movement, Posted, apply, check_balanced
from ledger.refusal import Reason, Refusal

# Names an earlier transaction: its sequence or its request_id.
Key = int | str
# Entry index and minor units.
Part = tuple[int, int]

SETTLED: dict[int, tuple[Reason, str]] = {
    Kind.POST: (Reason.HOLD_ALREADY_POSTED, "posted"),
    Kind.VOID: (Reason.HOLD_ALREADY_VOIDED, "voided"),
}


class Post(NamedTuple):
    """A request to post a hold; no parts means all that is left."""

    key: Key
    parts: Sequence[Part] = ()
    keep_rest: bool = False


class Void(NamedTuple):
    """A request to release all that is left of a hold."""

    key: Key


class Reverse(NamedTuple):
    """A request to reverse a transaction; no parts means all that is left."""

    key: Key
    parts: Sequence[Part] = ()


def post(book: Book, request: Post, sequence: int) -> tuple[Source, list[Posted]]:
    """Posts a hold in full or part; the rest is released or stays held."""
    source = _held(book, request.key)
    amounts = _amounts(book, source, request.parts, Reason.AMOUNT_EXCEEDS_HOLD)
    _check_parts_balanced(source, amounts)
    movements: list[Movement] = []
    for entry in source.entries:
        amount = amounts.get(entry.index, 0)
        released = amount if request.keep_rest else entry.remaining
        if released:
            movements.append(_movement(book, entry, Effect.RELEASE, released))
        if amount:
            movements.append(_movement(book, entry, Effect.POST, amount))
    return source, _settle(book, source, movements, Kind.POST, sequence)


def void(book: Book, request: Void, sequence: int) -> tuple[Source, list[Posted]]:
    """Releases all that is left of a hold."""
    source = _held(book, request.key)
    return source, _settle(book, source, _release(book, source), Kind.VOID, sequence)


def expire(book: Book, source: Source, sequence: int) -> list[Posted]:
    """Releases all that is left of a hold whose time has come."""
    return _settle(book, source, _release(book, source), Kind.EXPIRY, sequence)


def reverse(book: Book, request: Reverse) -> tuple[Source, list[Posted]]:
    """Posts the opposite of an earlier transaction, never more than is left of it."""
    source = book.source(request.key)
    if source.kind not in (Kind.DIRECT, Kind.POST):
        raise Refusal(
            Reason.TRANSACTION_NOT_REVERSIBLE,
            f"{book.words(source.sequence)} cannot be reversed",
            book.facts(source.sequence),
        )
    amounts = _amounts(book, source, request.parts, Reason.AMOUNT_EXCEEDS_ORIGINAL)
    movements: list[Movement] = [
        (
            book.open_account(entry.account),
            Side.CREDIT if entry.side is Side.DEBIT else Side.DEBIT,
            Effect.POST,
            amounts[entry.index],
            entry.index,
        )
        for entry in source.entries
        if entry.index in amounts
    ]
    # After the accounts: one that is closed comes first in order of precedence.
    _check_parts_balanced(source, amounts)
    book.settling(source)
    posted = apply(book, movements)
    for entry in source.entries:
        entry.remaining -= amounts.get(entry.index, 0)
    return source, posted


def _held(book: Book, key: Key) -> Source:
    """The pending transaction of that key, or `Refusal` if nothing of it is held any more."""
    source = book.source(key)
    if source.kind != Kind.PENDING:
        raise Refusal(
            Reason.TRANSACTION_NOT_PENDING,
            f"{book.words(source.sequence)} is not pending",
            book.facts(source.sequence),
        )
    if not any(entry.remaining for entry in source.entries):
        _refuse_settled(book, source)
    if source.expire_us is not None and source.expire_us <= book.record_us:
        # Its time has come, though no transaction says so yet.
        _refuse_expired(book, source, source.expire_us)
    return source


def _refuse_settled(book: Book, source: Source) -> NoReturn:
    assert source.last_settlement is not None, "a hold ended without a settlement"
    kind, by = source.last_settlement
    if kind == Kind.EXPIRY:
        assert source.expire_us is not None, "a hold without an expiry expired"
        _refuse_expired(book, source, source.expire_us)
    reason, verb = SETTLED[kind]
    raise Refusal(
        reason,
        f"{book.words(source.sequence, 'the hold')} was {verb} by {book.words(by)}",
        book.facts(source.sequence, closed_by=by),
    )


def _refuse_expired(book: Book, source: Source, expire_us: int) -> NoReturn:
    raise Refusal(
        Reason.HOLD_EXPIRED,
        f"{book.words(source.sequence, 'the hold')} has expired",
        {**book.facts(source.sequence), "expire_time": book.time_text(expire_us)},
    )


def _amounts(book: Book, source: Source, parts: Sequence[Part], too_much: Reason) -> dict[int, int]:
    """Minor units by entry index; refuses what is not there or not left."""
    left = {entry.index: entry for entry in source.entries}
    if not parts:
        rest = {index: entry.remaining for index, entry in left.items() if entry.remaining}
        if not rest:
            first = source.entries[0]
            _refuse_excess(book, source, first, too_much, first.amount)
        return rest
    amounts: dict[int, int] = {}
    for index, amount in parts:
        entry = left.get(index)
        if entry is None or index in amounts:
            raise Refusal(
                Reason.ENTRY_NOT_FOUND,
                f"{book.words(source.sequence)} has no entry {index} to take a part of, or it is "
                "named twice",
                {**book.facts(source.sequence), "entry_index": index},
            )
        amounts[index] = amount
    for index, amount in amounts.items():
        if amount > left[index].remaining:
            _refuse_excess(book, source, left[index], too_much, amount)
    return amounts


def _check_parts_balanced(source: Source, amounts: Mapping[int, int]) -> None:
    entries = {entry.index: entry for entry in source.entries}
    # In the order of the request, whose first currency at fault is the one that is named.
    check_balanced(
        [(entries[index].currency, entries[index].side, units) for index, units in amounts.items()]
    )


def _refuse_excess(
    book: Book, source: Source, entry: SourceEntry, reason: Reason, amount: int
) -> NoReturn:
    raise Refusal(
        reason,
        f"entry {entry.index} of {book.words(source.sequence)} has {entry.remaining} left, "
        f"not {amount}",
        {
            **book.facts(source.sequence),
            "entry_index": entry.index,
            "requested_minor": amount,
            "remaining_minor": entry.remaining,
        },
    )


def _movement(book: Book, entry: SourceEntry, effect: Effect, amount: int) -> Movement:
    return (book.accounts[entry.account], entry.side, effect, amount, entry.index)


def _release(book: Book, source: Source) -> list[Movement]:
    return [
        _movement(book, entry, Effect.RELEASE, entry.remaining)
        for entry in source.entries
        if entry.remaining
    ]


def _settle(
    book: Book, source: Source, movements: Sequence[Movement], kind: Kind, sequence: int
) -> list[Posted]:
    book.settling(source)
    posted = apply(book, movements)
    held = {entry.index: entry for entry in source.entries}
    for _, _, effect, amount, source_index in movements:
        if effect is Effect.RELEASE and source_index is not None:
            held[source_index].remaining -= amount
    source.last_settlement = (kind, sequence)
    return posted

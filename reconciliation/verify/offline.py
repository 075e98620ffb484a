"""The verification of an export: each statement, what it covers, and the ledger's log beside it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

from reconciliation.closing.statement import (
    NONE_BEFORE,
    PeriodStatement,
    StatedItem,
    StatedMatch,
    StatementError,
    Tally,
    open_statement,
)
from reconciliation.matching.book_days import BookDayError, BookDays, read_book_days
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import Item, ItemKey, Leg, Source
from reconciliation.matching.match import is_within
from reconciliation.verify.bank import BankBooks, read_file_leaf
from reconciliation.verify.leaves import LeafError, read_item, read_match
from reconciliation.verify.ledger_log import TRANSACTIONS, LedgerLog
from reconciliation.verify.sources import item_of, read_source, strays
from runtime.signed_notes import VerifierKey

NOTE, ITEMS, MATCHES = "statement.note", "items.jsonl", "matches.jsonl"
SOURCES, BANK, BANK_FILES = "sources.jsonl", "bank.jsonl", "bank"
FILES = (NOTE, ITEMS, MATCHES, SOURCES, BANK, BANK_FILES)
LEDGER = "ledger"
# What is in the ledger's log.
BOOKED = (Source.LEDGER, Source.ADJUSTMENT)
OF_STRIPE = (Source.STRIPE, Source.PAYOUT)
Leaf = TypeVar("Leaf")


class Finding(Exception):  # noqa: N818 (what a verification finds is its result, not an error)
    """The first thing that is wrong, and where."""

    def __init__(self, place: Path | str, message: str) -> None:
        super().__init__(f"{place}: {message}")


@dataclass
class Found:
    """How many items were made again of what their sources gave."""

    proven: Counter[Source] = field(default_factory=Counter)
    without_bytes: Counter[Source] = field(default_factory=Counter)
    bank_files: int = 0
    other_days: int = 0
    """Of those that are proven: their bytes say another book day than the first ones did."""


class Report(NamedTuple):
    """What an export turned out to be."""

    statements: list[PeriodStatement]
    ledger_items: int
    """Items that are what the ledger's log says; 0 without a log."""
    has_log: bool
    found: "Found"


def verify(folder: Path, key: VerifierKey) -> Report:
    """Checks everything that is there; raises `Finding` with the first thing that is wrong, and
    `OSError` for what cannot be read."""
    places = sorted(path for path in folder.iterdir() if path.name != LEDGER)
    statements = []
    previous = NONE_BEFORE
    for number, place in enumerate(places, start=1):
        if place.name != f"{number:06}":
            raise Finding(place, f"is not the folder of closing {number}")
        if sorted(path.name for path in place.iterdir()) != sorted(FILES):
            raise Finding(place, f"has not exactly {', '.join(FILES)}")
        statement = _statement(place / NOTE, key)
        if statement.closing_number != number:
            raise Finding(place / NOTE, f"is of closing {statement.closing_number}")
        if statement.previous != previous:
            raise Finding(place / NOTE, "does not follow the statement before it")
        previous = sha256(statement.text().encode()).digest()
        statements.append(statement)
    if not statements:
        raise Finding(folder, "has no closed period")
    log = _log(folder, statements)
    found, bank = Found(), BankBooks()
    for place, statement in zip(places, statements, strict=True):
        _take_files(place, statement, bank)
        _check(place, statement, log, found, bank)
    found.bank_files = bank.files
    return Report(statements, found.proven[Source.LEDGER], log is not None, found)


def _statement(path: Path, key: VerifierKey) -> PeriodStatement:
    try:
        return open_statement(path.read_bytes(), key)
    except StatementError as error:
        raise Finding(path, str(error)) from None


def _log(folder: Path, statements: list[PeriodStatement]) -> LedgerLog | None:
    """The log, if there is one: each checkpoint that a statement names is one of it."""
    path = folder / LEDGER / TRANSACTIONS
    if not path.exists():
        return None
    try:
        log = LedgerLog(path, {each.ledger_place.tree_size for each in statements})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Finding(path, f"is no log of a ledger: {type(error).__name__}") from None
    for each in statements:
        place = each.ledger_place
        if log.roots.get(place.tree_size) != place.root:
            raise Finding(
                path, f"is not what closing {each.closing_number} names at {place.tree_size}"
            )
    return log


def _check(
    place: Path,
    statement: PeriodStatement,
    log: LedgerLog | None,
    found: Found,
    bank: BankBooks,
) -> None:
    """Checks what a statement covers, and adds to what was found."""
    tally = Tally()
    items: dict[ItemKey, StatedItem] = {}
    sources = _Sources(place / SOURCES, statement, found)
    before = ("", "", "")
    for where, item in _lines(place / ITEMS, read_item):
        if _order(item.key) <= before:
            raise Finding(where, "is not in order")
        before = _order(item.key)
        items[item.key] = item
        tally.add_item(item, statement.period.first_day)
        if log is not None and item.key.source in BOOKED:
            _check_booked(where, item, log, statement)
            found.proven[Source.LEDGER] += 1
        elif item.key.source in OF_STRIPE:
            sources.check(item)
        elif item.key.source is Source.BANK:
            _check_line(where, item, bank, found)
    sources.end()
    matched = Counter[tuple[ItemKey, int]]()
    last = 0
    for where, match in _lines(place / MATCHES, read_match):
        if match.match_id <= last:
            raise Finding(where, "is not in order")
        last = match.match_id
        tally.add_match(match)
        _check_match(where, match, items)
        for stray in sources.strays(match):
            raise Finding(where, f"{stray.key} is of another payout by its own bytes")
        matched.update((key, match.match_id) for key, _, _ in match.allocations)
    for item in items.values():
        for leg, match_id in item.matches.items():
            if not matched[item.key, match_id]:
                raise Finding(place, f"{item.key.key} is in no match {match_id} of {leg}")
    _compare(place, statement, tally)


def _take_files(place: Path, statement: PeriodStatement, bank: BankBooks) -> None:
    """The files that came since the statement before: with them they are those that it names."""
    names, accounts = set(), set()
    for where, leaf in _lines(place / BANK, read_file_leaf):
        name = leaf.file_sha256.hex()
        names.add(name)
        accounts.add(leaf.account)
        try:
            bank.take(leaf, place / BANK_FILES / name)
        except LeafError as error:
            raise Finding(where, str(error)) from None
        except FileNotFoundError:
            raise Finding(where, "has no file of its hash") from None
    if names != {path.name for path in (place / BANK_FILES).iterdir()}:
        raise Finding(place / BANK_FILES, "has not exactly the files that are named")
    for named in statement.bank_places:
        if not bank.is_at(named):
            raise Finding(place / BANK, f"the files of {named.account} are not the statement's")
    if extra := accounts - {named.account for named in statement.bank_places}:
        raise Finding(place / BANK, f"names {min(extra)}, of which the statement has no files")


def _check_line(where: str, item: StatedItem, bank: BankBooks, found: Found) -> None:
    """An item of a bank is a line of its statements, one as often as they have it."""
    try:
        is_proven = bank.check(item)
    except LeafError as error:
        raise Finding(where, str(error)) from None
    (found.proven if is_proven else found.without_bytes)[Source.BANK] += 1


class _Sources:
    """The bytes that items of a closing were made of, in the order of the items."""

    def __init__(self, path: Path, statement: PeriodStatement, found: Found) -> None:
        self._path = path
        self._lines = _lines(path, read_source)
        self._next = next(self._lines, None)
        self._found = found
        self._book_days = _book_days(path, statement)
        self._read: dict[ItemKey, Item] = {}

    def check(self, stated: StatedItem) -> None:
        """The next item, whose bytes are the next ones if it has any."""
        source = stated.key.source
        if self._next is None or self._next[1][0] != stated.key:
            self._found.without_bytes[source] += 1
            return
        where, (_, content) = self._next
        try:
            item = item_of(stated, content, self._book_days)
        except LeafError as error:
            raise Finding(where, str(error)) from None
        self._found.proven[source] += 1
        self._found.other_days += item.book_date != stated.book_day
        if Leg.CONTENT in stated.matches:
            self._read[item.id] = item
        self._next = next(self._lines, None)

    def end(self) -> None:
        """All items were there."""
        if self._next is not None:
            raise Finding(self._next[0], "is of no item of the closing, or not in order")

    def strays(self, match: StatedMatch) -> Iterator[ItemKey]:
        """Items of a match that have no place in it by their bytes."""
        members = (self._read.get(key) for key, _, _ in match.allocations)
        return strays(match, [item for item in members if item is not None])


def _book_days(path: Path, statement: PeriodStatement) -> BookDays:
    try:
        return read_book_days(dict(statement.corridors))
    except BookDayError as error:
        raise Finding(path, str(error)) from None


def _order(key: ItemKey) -> tuple[str, str, str]:
    return key.corridor, key.source.value, key.key


def _check_booked(where: str, item: StatedItem, log: LedgerLog, statement: PeriodStatement) -> None:
    """An item of the ledger is what its transaction does to a balance at Stripe, an adjustment what
    its own does to the account of the bank."""
    at = (item.key.corridor, item.key.key)
    said = log.adjusted if item.key.source is Source.ADJUSTMENT else log.moved
    if said.get(at) != item.amount_minor:
        raise Finding(where, "is not what the ledger's log says")
    if log.sequences[at] > statement.ledger_place.tree_size:
        raise Finding(where, "is beyond the checkpoint that the statement names")


def _check_match(where: str, match: StatedMatch, items: dict[ItemKey, StatedItem]) -> None:
    """Both sides are equal in each currency, and nothing exceeds its item. Of an item of another
    period there is only what the match takes of it."""
    sums: Counter[str] = Counter()
    sides = set()
    for key, currency, amount in match.allocations:
        if key.source not in match.leg.sources:
            raise Finding(where, f"{key.key} has no place in {match.leg}")
        item = items.get(key)
        if item is not None:
            stands = item.standings.get(match.leg) is Standing.MATCHED
            if not stands or item.matches[match.leg] != match.match_id:
                raise Finding(where, f"{key.key} is not in this match by its own leaf")
            is_taken = is_within(amount, item.amount_minor) or (
                # Of a payout that came back nothing is taken.
                amount == 0 and match.leg is Leg.BANKED and key.source is Source.PAYOUT
            )
            if item.currency != currency or not is_taken:
                raise Finding(where, f"takes of {key.key} what it has not")
        is_left = match.leg.is_left(key.source)
        sides.add(is_left)
        sums[currency] += amount if is_left else -amount
    if len(sides) != 2 or any(sums.values()):
        raise Finding(where, "its two sides are not equal")


def _compare(place: Path, statement: PeriodStatement, tally: Tally) -> None:
    for what, said, found in (
        ("items", statement.item_count, tally.item_count),
        ("late items", statement.late_count, tally.late_count),
        ("matches", statement.match_count, tally.match_count),
        ("root", statement.root, tally.root),
        ("sums", dict(statement.sums), dict(tally.sums)),
    ):
        if said != found:
            raise Finding(place, f"the {what} are not those of the statement")


def _lines(path: Path, read: Callable[[bytes], Leaf]) -> Iterator[tuple[str, Leaf]]:
    """The leaves of a file, with their places."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}, line {number}"
            if not line.endswith(b"\n"):
                raise Finding(where, "does not end with a line feed")
            try:
                yield where, read(line[:-1])
            except LeafError as error:
                raise Finding(where, str(error)) from None

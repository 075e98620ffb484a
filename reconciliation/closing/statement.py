"""The statement of what was reconciled in a period: lines of text that follow from the items and
matches alone, in one way that there is to write them. docs/closing.md has the format.

Pure; a verifier needs nothing but this and the public key.
"""

import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple
from urllib.parse import quote, unquote

from reconciliation.closing.period import Period, PeriodKind
from reconciliation.matching.breaks import Standing
from reconciliation.matching.item import ItemKey, Leg, Source
from runtime.merkle import EMPTY_ROOT, HASH_BYTES, Frontier, leaf_hash
from runtime.signed_notes import NoteError, VerifierKey, decode, encode, open_lines

ORIGIN_PREFIX = "reconciliation/"
# Lines of a statement: a hundred corridors in ten currencies, and as many breaks as may be carried.
MAX_NOTE_BYTES = 2**20
NONE_BEFORE = bytes(HASH_BYTES)

LEGS_OF: Mapping[Source, tuple[Leg, ...]] = {
    source: tuple(leg for leg in Leg if source in leg.sources) for source in Source
}
# How an item may stand in a leg of its source, in the order of the lines; None: it takes no part.
STANDINGS: tuple[Standing | None, ...] = (*Standing, None)
_WORDS = {standing: "aside" if standing is None else standing.lower() for standing in STANDINGS}


class StatementError(ValueError):
    """A statement is none; the message names the line and what is wrong."""


class StatedItem(NamedTuple):
    """An item as a statement has it."""

    key: ItemKey
    currency: str
    amount_minor: int
    instant: datetime
    book_day: date
    sha256: bytes
    """Of the bytes that the source gave for the last revision."""
    standings: Mapping[Leg, Standing]
    matches: Mapping[Leg, int]
    """The matches that it is in."""

    def leaf(self) -> bytes:
        """The bytes that the statement covers."""
        stands = {
            leg.value: f"MATCHED {self.matches[leg]}"
            if standing is Standing.MATCHED
            else standing.value
            for leg, standing in self.standings.items()
        }
        return canonical(
            {
                "amount": str(self.amount_minor),
                "book_day": self.book_day.isoformat(),
                "corridor": self.key.corridor,
                "currency": self.currency,
                "instant": time_text(self.instant),
                "key": self.key.key,
                "sha256": self.sha256.hex(),
                "source": self.key.source.value,
                "standings": stands,
            }
        )


class StatedMatch(NamedTuple):
    """A match as a statement has it."""

    match_id: int
    leg: Leg
    rule: str
    allocations: Sequence[tuple[ItemKey, str, int]]
    """Item, currency and amount."""

    def leaf(self) -> bytes:
        """The bytes that the statement covers."""
        return canonical(
            {
                "allocations": [
                    {
                        "amount": str(amount),
                        "corridor": key.corridor,
                        "currency": currency,
                        "key": key.key,
                        "source": key.source.value,
                    }
                    for key, currency, amount in sorted(self.allocations)
                ],
                "leg": self.leg.value,
                "match": str(self.match_id),
                "rule": self.rule,
            }
        )


class SumPlace(NamedTuple):
    """What a line of sums is of."""

    corridor: str
    leg: str
    source: str
    currency: str


@dataclass
class Sums:
    """How many items, and how much in minor units, by how they stand."""

    counts: dict[Standing | None, int] = field(default_factory=lambda: dict.fromkeys(STANDINGS, 0))
    amounts: dict[Standing | None, int] = field(default_factory=lambda: dict.fromkeys(STANDINGS, 0))


@dataclass
class Tally:
    """Items and matches counted and hashed one by one: items by corridor, source and key, then
    matches by their ids. Asserts the order."""

    sums: dict[SumPlace, Sums] = field(default_factory=lambda: defaultdict(Sums))
    tree: Frontier = field(default_factory=Frontier)
    item_count: int = 0
    match_count: int = 0
    late_count: int = 0
    _last_item: tuple[str, str, str] = ("", "", "")
    _last_match: int = 0

    def add_item(self, item: StatedItem, first_day: date) -> None:
        """One more; it is late if its book day is before the period's first."""
        place = (item.key.corridor, item.key.source.value, item.key.key)
        assert self._last_match == 0, "items come before matches"
        assert self._last_item < place, "items come in their order"
        self._last_item = place
        self.item_count += 1
        self.late_count += item.book_day < first_day
        for leg in LEGS_OF[item.key.source]:
            where = SumPlace(item.key.corridor, leg.value, item.key.source.value, item.currency)
            sums, standing = self.sums[where], item.standings.get(leg)
            sums.counts[standing] += 1
            sums.amounts[standing] += item.amount_minor
        self.tree.append(leaf_hash(item.leaf()))

    def add_match(self, match: StatedMatch) -> None:
        """One more."""
        assert self._last_match < match.match_id, "matches come in their order"
        self._last_match = match.match_id
        self.match_count += 1
        self.tree.append(leaf_hash(match.leaf()))

    @property
    def root(self) -> bytes:
        """Over all of them."""
        return self.tree.root() if self.tree.size else EMPTY_ROOT


class CarriedBreak(NamedTuple):
    """A break that is open when the period is closed."""

    break_id: int
    kind: str
    corridor: str
    amounts: tuple[tuple[str, int], ...]


class LedgerPlace(NamedTuple):
    """How far the ledger's log is covered: the sequence up to which items were taken, and a
    checkpoint of at least that size."""

    sequence: int
    tree_size: int
    root: bytes


class BankPlace(NamedTuple):
    """How many files of a bank account are covered, from its first one on, and the root of the tree
    of their leaves."""

    account: str
    files: int
    root: bytes


@dataclass(frozen=True, kw_only=True)
class PeriodStatement:
    """What is signed."""

    ledger: str
    closing_number: int
    period: Period
    corridors: tuple[tuple[str, str], ...]
    """With their time zones, sorted."""
    change_number: int
    rules_version: int
    policy_version: str
    ledger_place: LedgerPlace
    bank_places: tuple[BankPlace, ...] = ()
    """By account; none in statements from before files were covered."""
    item_count: int
    match_count: int
    late_count: int
    root: bytes
    sums: Mapping[SumPlace, Sums]
    carried: tuple[CarriedBreak, ...]
    previous: bytes
    """SHA-256 of the text of the statement before; zeros of the first one."""
    close_time: datetime
    client: str
    approver: str
    """The second person, where breaks are carried. Else empty."""

    def text(self) -> str:
        """The lines that are signed, each with a line feed."""
        place = self.ledger_place
        lines = [
            f"{ORIGIN_PREFIX}{self.ledger}",
            f"closing {self.closing_number}",
            f"period {self.period.kind} {self.period.first_day} {self.period.last_day}",
            *(f"corridor {word(name)} {zone}" for name, zone in self.corridors),
            f"change {self.change_number} rules {self.rules_version}"
            f" policy {word(self.policy_version)}",
            f"ledger {place.sequence} checkpoint {place.tree_size} {encode(place.root)}",
            *(
                f"bank {word(bank.account)} files {bank.files} {encode(bank.root)}"
                for bank in self.bank_places
            ),
            f"items {self.item_count} late {self.late_count} matches {self.match_count}"
            f" root {encode(self.root)}",
            *(_sum_line(where, self.sums[where]) for where in sorted(self.sums)),
            *(_carried_line(each) for each in sorted(self.carried)),
            f"previous {encode(self.previous)}",
            f"closed {time_text(self.close_time)} {' '.join(filter(None, self.people))}",
        ]
        return "".join(f"{line}\n" for line in lines)

    @property
    def people(self) -> tuple[str, str]:
        """Who closed it."""
        return self.client, self.approver


def source_line(key: ItemKey, content: bytes) -> bytes:
    """The bytes that an item was made of, as they are exported beside its leaf."""
    return canonical(
        {
            "bytes": b64encode(content).decode(),
            "corridor": key.corridor,
            "key": key.key,
            "source": key.source.value,
        }
    )


def file_leaf(account: str, file_sha256: bytes, asked: str) -> bytes:
    """A file of a bank account as a statement covers it; `asked` is how it was read, empty of files
    of which that was not kept."""
    return canonical({"account": account, "asked": asked, "sha256": file_sha256.hex()})


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON as RFC 8785 says, of texts alone: their keys are ASCII, so that code points order as
    UTF-16 code units do."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def word(text: str) -> str:
    """A text without white space: percent-encoded, as RFC 3986 says, but for unreserved bytes."""
    return quote(text, safe="")


def _sum_line(where: SumPlace, sums: Sums) -> str:
    by_standing = " ".join(
        f"{_WORDS[standing]} {sums.counts[standing]} {sums.amounts[standing]}"
        for standing in STANDINGS
    )
    total = f"{sum(sums.counts.values())} {sum(sums.amounts.values())}"
    return (
        f"sum {word(where.corridor)} {where.leg} {where.source} {where.currency}"
        f" items {total} {by_standing}"
    )


def _carried_line(carried: CarriedBreak) -> str:
    amounts = "".join(f" {code} {amount}" for code, amount in carried.amounts)
    return f"carried {carried.break_id} {carried.kind} {word(carried.corridor) or '-'}{amounts}"


_B64 = r"[A-Za-z0-9+/]{43}="
_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_LINES = {
    "closing": rf"closing ({_NUMBER})",
    "period": rf"period (DAY|MONTH) ({_DAY}) ({_DAY})",
    "corridor": r"corridor (\S+) (\S+)",
    "change": rf"change ({_NUMBER}) rules ({_NUMBER}) policy (\S+)",
    "ledger": rf"ledger ({_NUMBER}) checkpoint ({_NUMBER}) ({_B64})",
    "bank": rf"bank (\S+) files ({_NUMBER}) ({_B64})",
    "items": rf"items ({_NUMBER}) late ({_NUMBER}) matches ({_NUMBER}) root ({_B64})",
    "sum": rf"sum (\S+) (\S+) (\S+) ([A-Z]{{3}}) items {_NUMBER} {_INTEGER}"
    + "".join(rf" {_WORDS[standing]} ({_NUMBER}) ({_INTEGER})" for standing in STANDINGS),
    "carried": rf"carried ({_NUMBER}) (\S+) (\S+)((?: [A-Z]{{3}} {_INTEGER})*)",
    "previous": rf"previous ({_B64})",
    "closed": r"closed (\S+) (\S+)(?: (\S+))?",
}


def open_statement(note: bytes, key: VerifierKey) -> PeriodStatement:
    """The statement that a signed note is. Raises `StatementError`."""
    try:
        lines = open_lines(note, key, MAX_NOTE_BYTES)
    except NoteError as error:
        raise StatementError(str(error)) from None
    return read_statement(lines)


def read_statement(lines: Sequence[str]) -> PeriodStatement:
    """The statement of its lines, without line feeds, whoever wrote them. Raises
    `StatementError` for anything that `text` does not write."""
    found: dict[str, list[re.Match[str]]] = {name: [] for name in _LINES}
    for number, line in enumerate(lines[1:], start=2):
        name = line.partition(" ")[0]
        read = re.fullmatch(_LINES[name], line) if name in _LINES else None
        if read is None:
            raise StatementError(f"line {number}: is no line of a statement")
        found[name].append(read)
    once = set(_LINES) - {"corridor", "bank", "sum", "carried"}
    if missing := sorted(name for name in once if len(found[name]) != 1):
        raise StatementError(f"does not have exactly one line {missing[0]}")
    try:
        statement = _statement(lines[0], found)
    except ValueError as error:
        raise StatementError(str(error)) from None
    if statement.text() != "".join(f"{line}\n" for line in lines):
        raise StatementError("is not written as a statement is")
    return statement


def _statement(origin: str, found: Mapping[str, Sequence[re.Match[str]]]) -> PeriodStatement:
    if not origin.startswith(ORIGIN_PREFIX):
        raise StatementError(f"line 1: does not begin with {ORIGIN_PREFIX}")
    (closing,), (period,), (change,) = found["closing"], found["period"], found["change"]
    (ledger,), (items,), (previous,) = found["ledger"], found["items"], found["previous"]
    (closed,) = found["closed"]
    return PeriodStatement(
        ledger=origin.removeprefix(ORIGIN_PREFIX),
        closing_number=int(closing[1]),
        period=Period(PeriodKind(period[1]), date.fromisoformat(period[2])),
        corridors=tuple((unquote(line[1]), line[2]) for line in found["corridor"]),
        change_number=int(change[1]),
        rules_version=int(change[2]),
        policy_version=unquote(change[3]),
        ledger_place=LedgerPlace(int(ledger[1]), int(ledger[2]), _hash(ledger[3])),
        bank_places=tuple(
            BankPlace(unquote(line[1]), int(line[2]), _hash(line[3])) for line in found["bank"]
        ),
        item_count=int(items[1]),
        late_count=int(items[2]),
        match_count=int(items[3]),
        root=_hash(items[4]),
        sums=dict(_sums(line) for line in found["sum"]),
        carried=tuple(_carried(line) for line in found["carried"]),
        previous=_hash(previous[1]),
        close_time=datetime.fromisoformat(closed[1]),
        client=closed[2],
        approver=closed[3] or "",
    )


def _hash(text: str) -> bytes:
    return decode(text, HASH_BYTES, "a hash")


def _sums(line: re.Match[str]) -> tuple[SumPlace, Sums]:
    sums = Sums()
    for place, standing in enumerate(STANDINGS):
        sums.counts[standing] = int(line[5 + 2 * place])
        sums.amounts[standing] = int(line[6 + 2 * place])
    return SumPlace(unquote(line[1]), line[2], line[3], line[4]), sums


def _carried(line: re.Match[str]) -> CarriedBreak:
    words = line[4].split()
    amounts = tuple(
        (code, int(amount)) for code, amount in zip(words[::2], words[1::2], strict=True)
    )
    corridor = "" if line[3] == "-" else unquote(line[3])
    return CarriedBreak(int(line[1]), line[2], corridor, amounts)


def tally_of(items: Iterable[StatedItem], matches: Iterable[StatedMatch], first_day: date) -> Tally:
    """The tally of items and matches in whatever order they come."""
    tally = Tally()
    for item in sorted(items, key=lambda i: (i.key.corridor, i.key.source.value, i.key.key)):
        tally.add_item(item, first_day)
    for match in sorted(matches, key=lambda m: m.match_id):
        tally.add_match(match)
    return tally

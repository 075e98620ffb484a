"""Reads one file in a process of its own, so that no call waits for it (asking.py starts it).

It is asked in lines of JSON and answers in such lines. In this order:

    in:  `Asked`: what the file is and what is expected of it; the file is one that it inherits
    out: {"statements": [header, ...]}, all of them proved; or {"refused": ...},
         {"unknown_format": 1}, {"failed": where}, and no more
    in:  {"past": ..., "id": ..., "excludes": [...]} of earlier statements, many times;
         then {"first_id": ...}: the id of the file's first statement
    out: {"verdicts": [...]}, or {"too_many": 1} and no more; then {"lines": [...]} and
         {"items": [...]} many times, with how many they are; then {"end": 1}
"""

import json
import os
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.lines import (
    TooManyCarriersError,
    is_compared,
    item_of,
    key_of,
    number_of,
)
from reconciliation.bank.wire import Asked, header_of, line_row, past_from, refused_of
from reconciliation.items.rows import document_of
from reconciliation.matching.item import Item, ItemError
from reconciliation.statements.continuity import (
    Continuity,
    Past,
    exclusion,
    identity_of,
    judge,
    past_of,
)
from reconciliation.statements.detecting import HEAD_BYTES, detected
from reconciliation.statements.model import Entry, EntryStatus, Expected, Kind, Statement
from reconciliation.statements.reading import Declared, read_statements
from reconciliation.statements.refusal import Place, Reason, StatementRefusedError

# Behind whatever serves calls on the same machine.
NICENESS = 10
# Of lines and of items, in one line of JSON.
ROWS_PER_PAGE = 1_000
START = "from reconciliation.bank.reader import serve; serve()"

Answer = dict[str, Any]


def serve() -> None:
    """The process's side; it ends when it has said all, or when nobody listens. Its argument is the
    address space that it may have, in bytes."""
    memory_bytes = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.nice(NICENESS)
    for answer in conversation(sys.stdin.buffer):
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def conversation(lines: Iterable[bytes]) -> Iterator[Answer]:
    """What is answered to what is asked. An error that nobody foresaw is told by its place: its
    message may quote the file."""
    asked = iter(lines)
    try:
        yield from _answers(asked)
    except StatementRefusedError as error:
        yield {"refused": refused_of(error)}
    except MemoryError:
        yield {"failed": "it needs more memory than it may have"}
    except Exception as error:  # noqa: BLE001 (told to who asked)
        yield {"failed": _place(error)}


def _answers(lines: Iterator[bytes]) -> Iterator[Answer]:
    asked = Asked.from_line(next(lines))
    account = asked.account
    with os.fdopen(asked.file_number, "rb", closefd=False) as file:
        statements = statements_of(asked, file)
    if statements is None:
        yield {"unknown_format": 1}
        return
    yield {"statements": [header_of(statement, asked.today) for statement in statements]}
    chain = Chain(account)
    for line in lines:
        told = json.loads(line)
        if "first_id" in told:
            yield from _taken(chain, statements, told["first_id"])
            return
        chain.add(told["id"], past_from(told["past"], account), told["excludes"])


def statements_of(asked: Asked, file: BinaryIO) -> tuple[Statement, ...] | None:
    """The statements of a file, all of them proved; None if its format is not known. Raises
    `StatementRefusedError`."""
    declared = asked.declared
    if declared is None:
        file.seek(0)
        found = detected(file.read(HEAD_BYTES))
        if found is None:
            return None
        declared = Declared(found)
    file.seek(0)
    expected = replace(
        asked.account.expected(),
        opening=asked.opening,
        closing=asked.closing,
        opening_follows=True,
    )
    return read_statements(file, declared, Expected((expected,), asked.today))


def _taken(chain: "Chain", statements: Sequence[Statement], first_id: int) -> Iterator[Answer]:
    """Verdicts of all statements, then their lines, then the items that are new by them."""
    judged = []
    try:
        for number, statement in enumerate(statements, first_id):
            judged.append(chain.judged(number, statement))
    except TooManyCarriersError:
        yield {"too_many": 1}
        return
    yield {"verdicts": [each.verdict for each in judged]}
    for kind, pages in (
        ("lines", _pages(row for each in judged for row in each.lines)),
        ("items", _pages(item for each in judged for item in each.items)),
    ):
        for page in pages:
            rows = document_of("bank statements", page) if kind == "items" else json.dumps(page)
            yield {kind: rows, "count": len(page)}
    yield {"end": 1}


@dataclass(frozen=True)
class Judged:
    """A statement as it is taken."""

    verdict: Answer
    lines: Sequence[Answer]
    items: Sequence[Item]


@dataclass
class Chain:
    """The statements of an account that have days in common with those of the file."""

    account: BankAccount
    ids: list[int] = field(default_factory=list)
    pasts: list[Past] = field(default_factory=list)
    excludes: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    counts: dict[bytes, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, statement_id: int, past: Past, excludes: Iterable[int]) -> None:
        """An earlier statement, and those that it excludes."""
        self.ids.append(statement_id)
        self.pasts.append(past)
        for other in excludes:
            self.excludes[statement_id].add(other)
            self.excludes[other].add(statement_id)
        for identity, count in Counter(past.entries).items():
            self.counts[identity][statement_id] = count

    def judged(self, statement_id: int, statement: Statement) -> Judged:
        """A further statement, with its lines and the items that are new by it."""
        if statement.kind is not Kind.BOOKED:
            rows = [
                line_row(statement_id, entry, identity_of(entry), "", is_compared=False)
                for entry in statement.entries
            ]
            return Judged({"continuity": "", "other": 0, "why": "", "excludes": []}, rows, ())
        past = replace(past_of(statement), account=self.account.name)
        verdict = judge(self.pasts, past)
        shared = [
            (other, found)
            for other, earlier in zip(self.ids, self.pasts, strict=True)
            if (found := exclusion(earlier, past)) is not None
        ]
        before = {
            identity: number_of(self.counts[identity], self.excludes)
            for identity in dict.fromkeys(past.entries)
        }
        self.add(statement_id, past, [other for other, _ in shared])
        lines, items = self._lines(statement_id, statement, before)
        told = {
            "continuity": verdict.continuity.name,
            "other": 0
            if verdict.index is None or verdict.continuity is Continuity.OK
            else self.ids[verdict.index],
            "why": verdict.why,
            "excludes": [[other, found[0].name, found[1]] for other, found in shared],
        }
        return Judged(told, lines, items)

    def _lines(
        self, statement_id: int, statement: Statement, before: dict[bytes, int]
    ) -> tuple[list[Answer], list[Item]]:
        after = {identity: number_of(self.counts[identity], self.excludes) for identity in before}
        seen: Counter[bytes] = Counter()
        lines, items = [], []
        for entry in statement.entries:
            identity, key, day = identity_of(entry), "", entry.booking_date
            is_item = is_compared(self.account, entry)
            if entry.status is EntryStatus.BOOKED and day is not None:
                seen[identity] += 1
                # The last of them are those that are new.
                number = after[identity] - self.counts[identity][statement_id] + seen[identity]
                key = key_of(self.account.name, day, identity, number)
                if is_item and number > before[identity]:
                    items.append(self._item(statement, entry, identity, number))
            lines.append(line_row(statement_id, entry, identity, key, is_compared=is_item))
        return lines, items

    def _item(self, statement: Statement, entry: Entry, identity: bytes, number: int) -> Item:
        try:
            return item_of(self.account, entry, identity, number)
        except ItemError as error:
            raise too_large(statement, entry) from error


def too_large(statement: Statement, entry: Entry) -> StatementRefusedError:
    """The refusal of an amount that is beyond an item's."""
    place = Place(statement.version, statement.position, entry.position, field="amount")
    return StatementRefusedError(Reason.TOO_LARGE, place, "a smaller amount was expected")


def _pages(rows: Iterable[Any]) -> Iterator[list[Any]]:
    page = []
    for row in rows:
        page.append(row)
        if len(page) == ROWS_PER_PAGE:
            yield page
            page = []
    if page:
        yield page


def _place(error: Exception) -> str:
    """The error's type and place, without its message."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"

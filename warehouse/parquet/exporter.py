"""Exports what is new since the last export: files first, and then the manifest that names them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from itertools import groupby
from typing import Any

from runtime.clock import Clock
from runtime.progress import Progress
from runtime.sql_files import read_sql
from warehouse.facts.columns import Column
from warehouse.facts.rows import Row
from warehouse.facts.sink import FactSink, Session
from warehouse.parquet import exported
from warehouse.parquet.exported import EXPORTED, Exported
from warehouse.parquet.manifest import (
    LedgerEnd,
    Manifest,
    NamedFile,
    file_name,
    manifest_name,
    read_manifest,
    sha256_of,
)
from warehouse.parquet.places import Place
from warehouse.sink import AnotherLoadError, LoadRefusedError, leaf_hash

# Rows that are read together; a file has no more.
FILE_ROWS = 100_000

# Makes a Parquet file of rows, and proves that it holds them.
Write = Callable[[Sequence[Column], Sequence[Row]], bytes]


class AnotherPastError(LoadRefusedError):
    """The warehouse has another past than what has been exported from it."""


@dataclass(frozen=True)
class Ends:
    """How far a warehouse reaches."""

    warehouse: str
    ledgers: Mapping[str, LedgerEnd] = field(default_factory=dict)
    loads: Mapping[str, int] = field(default_factory=dict)


class Exporter:
    """One warehouse and one place."""

    def __init__(
        self,
        facts: FactSink,
        place: Place,
        write: Write,
        progress: Progress,
        clock: Clock,
        file_rows: int = FILE_ROWS,
    ) -> None:
        self._facts = facts
        self._place = place
        self._write = write
        self._progress = progress
        self._clock = clock
        self._file_rows = file_rows

    async def export(self) -> Manifest | None:
        """Exports what is new; None if nothing is. Raises `CommandError`, `AnotherPastError`,
        `LoadRefusedError`, and `AnotherLoadError` if another export has come first: files of an
        export that has failed are named by no manifest."""
        content = await self._place.last_manifest()
        before = None if content is None else read_manifest(content)
        ends = await asyncio.to_thread(self._ends, before)
        done = Ends(ends.warehouse) if before is None else _ends_of(before)
        if (ends.ledgers, ends.loads) == (done.ledgers, done.loads):
            return None
        files: list[NamedFile] = []
        for table in (*EXPORTED, *await asyncio.to_thread(self._file_tables)):
            for of, after, through in _spans(table, done, ends):
                files += await self._export(table, of, after, through)
        manifest = Manifest(
            number=1 if before is None else before.number + 1,
            previous_sha256="" if content is None else sha256_of(content),
            warehouse=ends.warehouse,
            create_time=self._clock.now().astimezone(UTC).isoformat(),
            ledgers=ends.ledgers,
            loads=ends.loads,
            files=files,
        )
        if not await self._place.put(manifest_name(manifest.number), manifest.to_json()):
            raise AnotherLoadError("another export has come first")
        return manifest

    def _ends(self, before: Manifest | None) -> Ends:
        """How far the warehouse reaches, if that goes on from what has been exported."""
        with self._facts.warehouse.session("") as session:
            ((warehouse,),) = session.run(_sql("identity"), {})
            ledgers = {
                ledger: LedgerEnd(sequence, bytes(leaf).hex())
                for ledger, sequence, leaf in session.run(_sql("ledger_ends"), {})
            }
            loads = dict(session.run(_sql("load_ends"), {}))
            if before is not None:
                _check_past(session, before, Ends(warehouse, ledgers, loads))
            for table in EXPORTED:
                if table.gapless:
                    _check_gaps(session, table)
            for ledger, end in ledgers.items():
                _check_leaf(session, ledger, end)
        return Ends(warehouse, ledgers, loads)

    def _file_tables(self) -> Sequence[Exported]:
        """The tables of Stripe's files."""
        with self._facts.warehouse.session("") as session:
            return [
                exported.exported_file_table(name, kind, headings.split(","))
                for name, kind, headings in session.run(_sql("file_tables"), {})
            ]

    async def _export(
        self, table: Exported, of: str, after: int, through: int
    ) -> Sequence[NamedFile]:
        """Files of a table's rows behind a position and up to another."""
        files: list[NamedFile] = []
        last: Row | None = None
        count = 0
        while True:
            rows = await asyncio.to_thread(self._rows, table, of, after, through, last)
            for day, of_day in _by_day(table, rows):
                files.append(await self._put(table, of, day, of_day))
            count += len(rows)
            self._progress.show(f"rows of {table.name}", count)
            if len(rows) < self._file_rows:
                break
            last = rows[-1]
        if table is exported.LEDGER_TRANSACTION and count != through - after:
            raise LoadRefusedError(f"{of} has {count} transactions of {after + 1} to {through}")
        return files

    def _rows(
        self, table: Exported, of: str, after: int, through: int, last: Row | None
    ) -> list[Row]:
        values: dict[str, Any] = {"through": through, "limit": self._file_rows}
        if table.is_of_ledger:
            values["ledger"] = of
        if last is None:
            values["after"] = after
        else:
            values |= {name: last[name] for name in table.order}
        names = [column.name for column in table.columns]
        with self._facts.warehouse.session("") as session:
            statement = exported.rows_behind(table, is_first=last is None)
            return [dict(zip(names, row, strict=True)) for row in session.run(statement, values)]

    async def _put(self, table: Exported, of: str, day: date, rows: Sequence[Row]) -> NamedFile:
        content = await asyncio.to_thread(self._write, table.columns, rows)
        positions = [int(str(row[table.position])) for row in rows]
        first, last, sha256 = min(positions), max(positions), sha256_of(content)
        ledger = of if table.is_of_ledger else ""
        path = file_name(table.name, ledger, day, first, last, sha256)
        # There may be the very file of an export that was killed.
        await self._place.put(path, content)
        return NamedFile(
            path=path,
            table=table.name,
            of=of,
            record_day=day.isoformat(),
            rows=len(rows),
            first=first,
            last=last,
            bytes=len(content),
            sha256=sha256,
            columns=[{"name": c.name, "type": c.type.value} for c in table.columns],
            proven=_proven(table),
        )


def _sql(name: str) -> str:
    return read_sql(__file__, name)


def _proven(table: Exported) -> str:
    if table.is_of_ledger:
        return "trial balance"
    return "feed" if table.gapless else table.proven


def _ends_of(manifest: Manifest) -> Ends:
    return Ends(manifest.warehouse, manifest.ledgers, manifest.loads)


def _spans(table: Exported, done: Ends, ends: Ends) -> Sequence[tuple[str, int, int]]:
    """Whose rows are new, behind which position and up to which."""
    if not table.is_of_ledger:
        after, through = done.loads.get(table.source, 0), ends.loads.get(table.source, 0)
        return [(table.source, after, through)] if through > after else []
    spans = []
    for ledger, end in ends.ledgers.items():
        known = done.ledgers.get(ledger)
        after = 0 if known is None else known.sequence
        if end.sequence > after:
            spans.append((ledger, after, end.sequence))
    return spans


def _by_day(table: Exported, rows: Sequence[Row]) -> Sequence[tuple[date, Sequence[Row]]]:
    """Rows by the day of their partition, each in their order."""

    def day_of(row: Row) -> date:
        when: Any = row[table.day_of]
        day: date = when.astimezone(UTC).date()
        return day

    found: dict[date, list[Row]] = defaultdict(list)
    for day, of_day in groupby(rows, key=day_of):
        found[day] += of_day
    return sorted(found.items())


def _check_past(session: Session, before: Manifest, ends: Ends) -> None:
    if before.warehouse != ends.warehouse:
        raise AnotherPastError("what is there was exported from another warehouse")
    for source, number in before.loads.items():
        if ends.loads.get(source, 0) < number:
            raise AnotherPastError(f"fewer loads of {source} are here than were exported")
    for ledger, end in before.ledgers.items():
        _check_leaf(session, ledger, end)


def _check_leaf(session: Session, ledger: str, end: LedgerEnd) -> None:
    values = {"ledger": ledger, "sequence": end.sequence}
    found = [leaf_hash(leaf.encode()).hex() for (leaf,) in session.run(_sql("leaf"), values)]
    if found != [end.leaf_hash]:
        raise AnotherPastError(
            f"transaction {end.sequence} of {ledger} is not the one that was proven"
        )


def _check_gaps(session: Session, table: Exported) -> None:
    ((count, last),) = session.run(exported.gaps(table), {})
    if count != last:
        raise LoadRefusedError(f"{table.name} has {count} of {last} changes of its feed")

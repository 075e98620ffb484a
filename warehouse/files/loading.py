"""Writes the rows of a file within a load's transaction, in a table that grows with its columns,
and reads them back: what is not the file's is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from runtime.sql_files import read_sql
from warehouse.facts import statements
from warehouse.facts.columns import Type, integer, text, time
from warehouse.facts.rows import Row
from warehouse.files.stripe_file import Cells, StripeFile, Summary, count_and_hash
from warehouse.sink import LoadRefusedError

if TYPE_CHECKING:
    from warehouse.facts.sink import Session

# What each row has beside its cells.
LOAD_NUMBER, LOAD_TIME = "_load_number", "_load_time"
FILE_ID, ROW_NUMBER = "_file_id", "_row_number"
OWN = (
    *(integer(LOAD_NUMBER), time(LOAD_TIME), text(FILE_ID), integer(ROW_NUMBER)),
    *(text("_corridor"), text("_run_id"), text("_file_sha256")),
)
STAGED = "staged_file_row"
# Rows that are written, and read back, together; and characters in them.
CHUNK_ROWS = 5_000
CHUNK_CHARACTERS = 8 * 1024 * 1024
# PostgreSQL has 1,600 columns a table.
MAX_TABLE_COLUMNS = 1_200


@dataclass(frozen=True)
class LoadOf:
    """The load that brings a file."""

    number: int
    time: datetime


def load_file(session: "Session", file: StripeFile, summary: Summary, load: LoadOf) -> int:
    """Writes a file's rows, unless they are there; how many were new. Raises `LoadRefusedError` if
    the rows of the file in the warehouse are not those of the file."""
    _prepare(session, file, summary)
    known = session.run(_count(file.table_name), {"file_id": file.file_id})
    written = 0
    if known == [(0,)]:
        for first, rows in _chunks(file):
            _write(session, file, summary, load, first, rows)
            written += len(rows)
    found = count_and_hash(_read(session, file, summary))
    if found != (summary.row_count, summary.rows_sha256):
        raise LoadRefusedError(
            f"{found[0]} rows of {file.file_id} in {file.table_name} are not the"
            f" {summary.row_count} of the file"
        )
    return written


def _prepare(session: "Session", file: StripeFile, summary: Summary) -> None:
    """The table, with all columns that the file has."""
    table = file.table_name
    titles = session.run(_sql("table_of"), {"table_name": table})
    if not titles:
        told = {"table_name": table, "kind": file.kind, "title": file.title}
        session.run(_sql("add_table"), told)
        session.run(_create(table, is_keyed=session.dialect == "postgres"), {})
    elif titles != [(file.kind, file.title)]:
        raise LoadRefusedError(f"{table} is the table of another title")
    there = {
        name
        for (name,) in session.run(read_sql(statements.__file__, "columns"), {"table_name": table})
    }
    new = [
        (name, heading)
        for name, heading in zip(summary.columns, summary.headings, strict=True)
        if name not in there
    ]
    if len(there) + len(new) > MAX_TABLE_COLUMNS:
        raise LoadRefusedError(f"{table} would have more than {MAX_TABLE_COLUMNS} columns")
    for name, heading in new:
        session.run(f'ALTER TABLE "{table}" ADD COLUMN "{name}" {Type.TEXT.value}', {})
        told = {"table_name": table, "column_name": name, "heading": heading}
        session.run(_sql("add_column"), told)


def _write(
    session: "Session",
    file: StripeFile,
    summary: Summary,
    load: LoadOf,
    first: int,
    rows: Sequence[Cells],
) -> None:
    own: Row = {
        LOAD_NUMBER: load.number,
        LOAD_TIME: load.time,
        FILE_ID: file.file_id,
        "_corridor": file.corridor,
        "_run_id": file.run_id,
        "_file_sha256": file.sha256,
    }
    columns = (*OWN, *(text(name) for name in summary.columns))
    staged: list[Row] = [
        {**own, ROW_NUMBER: number, **dict(zip(summary.columns, row, strict=True))}
        for number, row in enumerate(rows, first)
    ]
    session.stage(STAGED, columns, staged)
    names = statements.names(columns)
    session.run(f'INSERT INTO "{file.table_name}" ({names}) SELECT {names} FROM {STAGED}', {})


def _read(session: "Session", file: StripeFile, summary: Summary) -> Iterator[Cells]:
    """The rows of a file as they are in the warehouse, in their order."""
    names = statements.names([text(name) for name in summary.columns])
    statement = (
        f'SELECT {ROW_NUMBER}, {names} FROM "{file.table_name}" WHERE {FILE_ID} = {{file_id}}'
        f" AND {ROW_NUMBER} > {{after}} ORDER BY {ROW_NUMBER} LIMIT {{limit}}"
    )
    after = 0
    while rows := session.run(
        statement, {"file_id": file.file_id, "after": after, "limit": CHUNK_ROWS}
    ):
        for number, *cells in rows:
            yield cells
            after = number


def _chunks(file: StripeFile) -> Iterator[tuple[int, list[list[str]]]]:
    """Rows that are written together, and the number of the first, from 1."""
    _, rows = file.table()
    chunk: list[list[str]] = []
    first, characters = 1, 0
    for row in rows:
        chunk.append(row)
        characters += sum(map(len, row))
        if len(chunk) == CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
            yield first, chunk
            first, characters, chunk = first + len(chunk), 0, []
    if chunk:
        yield first, chunk


def _create(table: str, *, is_keyed: bool) -> str:
    columns = ", ".join(f"{column.name} {column.type.value} NOT NULL" for column in OWN)
    key = f", PRIMARY KEY ({FILE_ID}, {ROW_NUMBER})" if is_keyed else ""
    return f'CREATE TABLE "{table}" ({columns}{key})'


def _count(table: str) -> str:
    return f'SELECT count(*) FROM "{table}" WHERE {FILE_ID} = {{file_id}}'


def _sql(name: str) -> str:
    return read_sql(__file__, name)

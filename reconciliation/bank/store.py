"""Files of banks, their statements and lines, and what was refused, in PostgreSQL."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.bank.accounts import BankAccount
from reconciliation.bank.wire import Row
from reconciliation.errors import statement_not_found
from runtime.sql_files import read_sql

# Of the bytes of a file in a row.
PIECE_BYTES = 1024 * 1024
# Earlier statements that the statements of a file are compared with.
MAX_EARLIER = 2_000
CHANNEL = "reconciliation_statement"

# One file at a time: numbers of statements are in the order of commits, without a gap.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.statements', 0))"
_KNOWN = "SELECT file_id FROM bank_file WHERE bank_account = %(account)s AND sha256 = %(sha256)s"
_ADD_FILE = """
    INSERT INTO bank_file (bank_account, sha256, file_name, byte_count, client, record_time)
    VALUES (%(account)s, %(sha256)s, %(file_name)s, %(byte_count)s, %(client)s, %(now)s)
    RETURNING file_id
"""
_ADD_PIECE = """
    INSERT INTO bank_file_piece (file_id, piece, content)
    VALUES (%(file_id)s, %(piece)s, %(content)s)
"""
_ADD_READING = """
    INSERT INTO bank_file_reading (file_id, asked) VALUES (%(file_id)s, %(asked)s)
"""
_PIECES = "SELECT content FROM bank_file_piece WHERE file_id = %(file_id)s ORDER BY piece"
_LAST = "SELECT coalesce(max(statement_id), 0) FROM bank_statement"
_EARLIER = read_sql(__file__, "earlier_statements")
_ADD_STATEMENTS = read_sql(__file__, "write_statements")
_ADD_LINES = read_sql(__file__, "write_lines")
_ADD_EXCLUSIONS = """
    INSERT INTO bank_exclusion (statement_id, earlier_id, continuity, reason)
    SELECT n.statement_id, n.earlier_id, n.continuity, n.reason
    FROM jsonb_to_recordset(%(exclusions)s::jsonb) AS n (
        statement_id bigint, earlier_id bigint, continuity text, reason text
    )
"""
_STATEMENTS = read_sql(__file__, "read_statements")
_LINES = """
    SELECT
        position, state, amount_minor, booking_date, value_date, bank_reference,
        customer_reference, end_to_end_id, remittance, counterparty, sha256,
        CASE WHEN is_compared THEN line_key ELSE '' END AS item_key
    FROM bank_line WHERE statement_id = %(statement_id)s AND position > %(after)s
    ORDER BY position LIMIT %(limit)s
"""
_REFUSE = """
    INSERT INTO bank_refusal (
        bank_account, sha256, file_name, byte_count, problem, place, expected, client, record_time
    ) VALUES (
        %(account)s, %(sha256)s, %(file_name)s, %(byte_count)s, %(problem)s, %(place)s,
        %(expected)s, %(client)s, %(now)s
    )
"""
_SEEN = """
    SELECT name, version FROM bank_file_seen
    WHERE bank_account = %(account)s AND name = any(%(names)s)
"""
_LOOKED = """
    INSERT INTO bank_file_seen (bank_account, name, version, sha256, is_refused, record_time)
    VALUES (%(account)s, %(name)s, %(version)s, %(sha256)s, %(is_refused)s, %(now)s)
    ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class BankFile:
    """A file as it came; its bytes are in an open file."""

    account: BankAccount
    name: str
    file_number: int
    byte_count: int
    sha256: bytes
    client: str
    """Who brought it; empty where it was found in a store."""


@dataclass(frozen=True)
class StatementFilter:
    """Which statements; what is empty or 0 is no filter."""

    account: str = ""
    kind: str = ""
    file_id: int = 0
    as_of: datetime | None = None


async def lock(connection: AsyncConnection) -> None:
    """Nobody else takes a file until the transaction ends."""
    await connection.exec_driver_sql(_LOCK)


async def known_file(connection: AsyncConnection, account: str, sha256: bytes) -> int | None:
    """The id of a file of the account with these bytes, if it was taken."""
    rows = await connection.exec_driver_sql(_KNOWN, {"account": account, "sha256": sha256})
    found = rows.scalar_one_or_none()
    return None if found is None else int(found)


async def add_file(connection: AsyncConnection, file: BankFile, now: datetime) -> int:
    """Keeps all bytes of a file; its id."""
    values = {**_file(file), "now": now}
    file_id = int((await connection.exec_driver_sql(_ADD_FILE, values)).scalar_one())
    for piece, offset in enumerate(range(0, file.byte_count, PIECE_BYTES)):
        content = os.pread(file.file_number, PIECE_BYTES, offset)
        await connection.exec_driver_sql(
            _ADD_PIECE, {"file_id": file_id, "piece": piece, "content": content}
        )
    return file_id


async def add_reading(connection: AsyncConnection, file_id: int, asked: str) -> None:
    """Keeps what the reader of a file was asked."""
    await connection.exec_driver_sql(_ADD_READING, {"file_id": file_id, "asked": asked})


async def bytes_of(connection: AsyncConnection, file_id: int) -> bytes:
    """All bytes of a file, as they came."""
    rows = await connection.exec_driver_sql(_PIECES, {"file_id": file_id})
    return b"".join(rows.scalars())


async def last_id(connection: AsyncConnection) -> int:
    """The id of the last statement; 0 if there is none."""
    return int((await connection.exec_driver_sql(_LAST)).scalar_one())


async def earlier_statements(
    connection: AsyncConnection, account: str, headers: Sequence[Row]
) -> list[tuple[int, Row, list[int]]]:
    """Earlier statements that a file's may have something in common with: id, what of it, and the
    ids that it excludes. One more than `MAX_EARLIER` where there are too many."""
    booked = [header for header in headers if header["kind"] == "BOOKED"]
    if not booked:
        return []
    rows = await connection.exec_driver_sql(
        _EARLIER,
        {
            "account": account,
            "first_day": date.fromisoformat(min(header["first_day"] for header in booked)),
            "last_day": date.fromisoformat(max(header["last_day"] for header in booked)),
            "numbers": [header["number"] for header in booked if header["number"] is not None],
            "years": sorted({int(header["closing_date"][:4]) for header in booked}),
            "limit": MAX_EARLIER + 1,
        },
    )
    found = []
    for row in rows.mappings():
        past = dict(row)
        excludes = list(past.pop("excludes"))
        found.append((int(past.pop("statement_id")), past, excludes))
    return found


async def add_statements(
    connection: AsyncConnection,
    file: BankFile,
    file_id: int,
    first_id: int,
    statements: Sequence[Row],
    now: datetime,
) -> None:
    """Adds a file's statements, headers and verdicts in one, and what they exclude."""
    await connection.exec_driver_sql(
        _ADD_STATEMENTS,
        {
            "first_id": first_id,
            "file_id": file_id,
            "account": file.account.name,
            "corridor": file.account.corridor,
            "statements": json.dumps(statements),
            "now": now,
        },
    )
    exclusions = [
        {"statement_id": number, "earlier_id": other, "continuity": word, "reason": why}
        for number, statement in enumerate(statements, first_id)
        for other, word, why in statement["excludes"]
    ]
    if exclusions:
        await connection.exec_driver_sql(_ADD_EXCLUSIONS, {"exclusions": json.dumps(exclusions)})


async def add_lines(connection: AsyncConnection, lines: str) -> None:
    """Adds lines, written out as JSON."""
    await connection.exec_driver_sql(_ADD_LINES, {"lines": lines})


async def list_statements(
    connection: AsyncConnection, wanted: StatementFilter, after: int, limit: int
) -> Sequence[Any]:
    """The rows of statements in the order in which they were taken."""
    rows = await connection.exec_driver_sql(
        _STATEMENTS,
        {
            "account": wanted.account,
            "kind": wanted.kind,
            "file_id": wanted.file_id,
            "as_of": wanted.as_of,
            "after": after,
            "limit": limit,
        },
    )
    return rows.all()


async def get_statement(connection: AsyncConnection, statement_id: int) -> Any:
    """The row of a statement. Raises `STATEMENT_NOT_FOUND`."""
    rows = await list_statements(connection, StatementFilter(), statement_id - 1, 1)
    if not rows or rows[0].statement_id != statement_id:
        raise statement_not_found(statement_id)
    return rows[0]


async def lines_of(
    connection: AsyncConnection, statement_id: int, after: int, limit: int
) -> Sequence[Any]:
    """The rows of a statement's lines after a position."""
    rows = await connection.exec_driver_sql(
        _LINES, {"statement_id": statement_id, "after": after, "limit": limit}
    )
    return rows.all()


async def refuse(
    connection: AsyncConnection,
    file: BankFile,
    problem: str,
    place: str,
    expected: str,
    now: datetime,
) -> None:
    """Writes down that a file was refused."""
    await connection.exec_driver_sql(
        _REFUSE,
        {**_file(file), "problem": problem, "place": place, "expected": expected, "now": now},
    )


async def seen_of(
    connection: AsyncConnection, account: str, names: Collection[str]
) -> set[tuple[str, str]]:
    """Of these names in the account's store those with the versions that were looked into."""
    rows = await connection.exec_driver_sql(_SEEN, {"account": account, "names": list(names)})
    return {(row.name, row.version) for row in rows}


async def looked_into(
    connection: AsyncConnection,
    file: BankFile,
    version: str,
    now: datetime,
    *,
    is_refused: bool,
) -> None:
    """Writes down that a file of a store is done with until its version changes."""
    await connection.exec_driver_sql(
        _LOOKED,
        {
            "account": file.account.name,
            "name": file.name,
            "version": version,
            "sha256": file.sha256,
            "is_refused": is_refused,
            "now": now,
        },
    )


def _file(file: BankFile) -> dict[str, Any]:
    return {
        "account": file.account.name,
        "sha256": file.sha256,
        "file_name": file.name,
        "byte_count": file.byte_count,
        "client": file.client,
    }

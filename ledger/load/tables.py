"""Parquet as input: a table of direct transactions, one row per entry, or a table of accounts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ledger.export.parquet import LABELS, READ_ROWS, TIME, open_table, with_micros
from ledger.export.rows import LIMITS, RowError
from ledger.load.given import Bad, Given, Line, Message, file_identity
from ledger.times import timestamp_of
from ledger.v1.account_pb2 import AccountInput, NormalBalance
from ledger.v1.direction_pb2 import Direction
from ledger.v1.entry_pb2 import EntryInput
from ledger.v1.transaction_mutations_pb2 import BatchItem
from ledger.v1.transaction_pb2 import TransactionInput
from ledger.validation import MAX_ENTRIES, VALIDATOR
from money.v1.money_pb2 import Money
from runtime.command_failures import CommandError

TEXT, INTEGER = pa.string(), pa.int64()
# Column: its type, whether it has to be there.
ENTRY_COLUMNS = {
    "request_id": (TEXT, True),
    "account": (TEXT, True),
    "direction": (TEXT, True),
    "amount": (INTEGER, True),
    "currency": (TEXT, True),
    "description": (TEXT, False),
    "effective_time": (TIME, False),
    "reference": (TEXT, False),
    "metadata": (LABELS, False),
}
# These belong to the transaction: all its rows say the same.
SHARED_COLUMNS = ("effective_time", "reference", "metadata")
ACCOUNT_COLUMNS = {
    "name": (TEXT, True),
    "currency": (TEXT, True),
    "normal_balance": (TEXT, True),
    **dict.fromkeys(LIMITS, (INTEGER, False)),
    "metadata": (LABELS, False),
    # An export's table of accounts has these, which the ledger assigns again.
    "number": (INTEGER, False),
    "create_time": (TIME, False),
}
# What an entry or an account takes in memory beside its texts.
ROW_BYTES = 200

Row = dict[str, Any]


class Table:
    """A Parquet file; which table it is, its columns say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_table(path) as file:
                schema, self.total = file.schema_arrow, int(file.metadata.num_rows)
        except RowError as error:
            raise CommandError(f"{path}: {error}") from error
        self._has_accounts = "normal_balance" in schema.names
        columns = ACCOUNT_COLUMNS if self._has_accounts else ENTRY_COLUMNS
        self._schema = _checked(path, schema, columns)

    def locate(self, place: int) -> tuple[str, int]:
        return "row", place

    def identity(self) -> str:
        return file_identity(self._path)

    def given(self, after: int) -> Iterator[Line]:
        """Accounts, or transactions at the places of their last rows, after a row."""
        rows = self._rows(after)
        return _accounts(rows) if self._has_accounts else _transactions(rows)

    def _rows(self, after: int) -> Iterator[tuple[int, Row]]:
        """Rows with their numbers."""
        number = 0
        try:
            with open_table(self._path) as file:
                for batch in file.iter_batches(READ_ROWS):
                    skipped = min(max(after - number, 0), batch.num_rows)
                    number += skipped
                    rows = batch.slice(skipped)
                    if rows.num_rows:
                        for row in with_micros(cut(rows).cast(self._schema)).to_pylist():
                            number += 1
                            yield number, row
        except RowError as error:
            raise CommandError(f"{self._path}, after row {number}: {error}") from error


def cut(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with what is finer than a microsecond cut off their times, as the ledger does it:
    to the microsecond before, also before 1970."""
    arrays = [
        pc.floor_temporal(column.cast(pa.timestamp("ns")), unit="microsecond")
        .cast(pa.timestamp("us"))
        .cast(TIME)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=rows.schema.names)


def _checked(path: Path, schema: pa.Schema, columns: Mapping[str, tuple[Any, bool]]) -> pa.Schema:
    """The types to read the file's columns as; raises `CommandError` for other columns."""
    missing = [name for name, (_, needed) in columns.items() if needed and name not in schema.names]
    unknown = [name for name in schema.names if name not in columns]
    if missing or unknown:
        wrong = [f"lacks {name}" for name in missing] + [f"has an unknown {n}" for n in unknown]
        raise CommandError(f"{path}: the table {', '.join(wrong)}")
    for field in schema:
        if not _fits(field.type, columns[field.name][0]):
            raise CommandError(
                f"{path}: column {field.name} is {field.type}, not {columns[field.name][0]}"
            )
    return pa.schema([pa.field(name, columns[name][0]) for name in schema.names])


def _fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type are values of the other, in another width or encoding."""
    if wanted == TEXT:
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        return bool(pa.types.is_string(value) or pa.types.is_large_string(value))
    if wanted == INTEGER:
        return bool(pa.types.is_integer(kind))
    if wanted == TIME:
        # Without a zone nobody knows which moment is meant.
        return bool(pa.types.is_timestamp(kind)) and kind.tz is not None
    return bool(kind == wanted)


def _accounts(rows: Iterator[tuple[int, Row]]) -> Iterator[Line]:
    for number, row in rows:
        problem = _missing(row, ACCOUNT_COLUMNS)
        if problem is None and row["normal_balance"] not in ("DEBIT", "CREDIT"):
            problem = "normal_balance is neither DEBIT nor CREDIT"
        if problem is not None:
            yield Bad(number, 0, problem)
            continue
        account = AccountInput(
            name=row["name"],
            currency_code=row["currency"],
            normal_balance=NormalBalance.Value(f"NORMAL_BALANCE_{row['normal_balance']}"),
            metadata=dict(row.get("metadata") or ()),
        )
        for name in LIMITS:
            if row.get(name) is not None:
                setattr(account.limits, f"{name}_minor", row[name])
        yield _validated(number, account)


def _transactions(rows: Iterator[tuple[int, Row]]) -> Iterator[Line]:
    """Transactions of the rows that follow each other with one request_id."""
    group: list[Row] = []
    last = 0
    for number, row in rows:
        problem = _missing(row, ENTRY_COLUMNS)
        if problem is None and row["direction"] not in ("DEBIT", "CREDIT"):
            problem = "direction is neither DEBIT nor CREDIT"
        if problem is None and group and row["request_id"] == group[0]["request_id"]:
            problem = _differing(group[0], row)
            if problem is None and len(group) == MAX_ENTRIES:
                problem = f"request_id has more than {MAX_ENTRIES:,} rows"
        elif group:
            yield _transaction(last, group)
            group = []
        if problem is not None:
            yield Bad(number, 0, problem)
        else:
            group.append(row)
        last = number
    if group:
        yield _transaction(last, group)


def _transaction(place: int, rows: list[Row]) -> Line:
    first = rows[0]
    effective_us = first.get("effective_time")
    draft = TransactionInput(
        entries=[
            EntryInput(
                account=row["account"],
                direction=Direction.Value(f"DIRECTION_{row['direction']}"),
                amount=Money(currency_code=row["currency"], minor_units=row["amount"]),
                description=row.get("description") or "",
            )
            for row in rows
        ],
        effective_time=None if effective_us is None else timestamp_of(effective_us),
        reference=first.get("reference") or "",
        metadata=dict(first.get("metadata") or ()),
    )
    return _validated(place, BatchItem(request_id=first["request_id"], create=draft), len(rows))


def _validated(place: int, message: Message, rows: int = 1) -> Given[Message] | Bad:
    violations = VALIDATOR.violations(message)
    if violations:
        return Bad(place, 0, f"{violations[0].field} {violations[0].description}")
    return Given(place, message, message.ByteSize() + rows * ROW_BYTES)


def _missing(row: Row, columns: Mapping[str, tuple[Any, bool]]) -> str | None:
    for name, (_, needed) in columns.items():
        if needed and row[name] in (None, ""):
            return f"{name} is required"
    return None


def _differing(first: Row, row: Row) -> str | None:
    for name in SHARED_COLUMNS:
        if row.get(name) != first.get(name):
            return f"{name} is not that of the transaction's first row"
    return None

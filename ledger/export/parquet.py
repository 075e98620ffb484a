"""The Parquet form of an export: its tables, written in parts and read as the bytes they are of.

A part holds `PART_TRANSACTIONS` transactions and is named by its first. Parts and their row groups
end where the transactions say, never where a message or a run ended, so that an export that was
interrupted has the bytes of one that was not.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.export.rows import Row, RowError, account_line, leaf_of_row

ACCOUNTS_FILE = "accounts.parquet"
# A row group ends at the first of these; so much of a file is held in memory, as columns.
ROW_GROUP_ROWS = 10_000
ROW_GROUP_LINE_BYTES = 16 * 1024 * 1024
# Rows of Python take several times the memory of columns, so only so many are held as such.
CHUNK_LINE_BYTES = 1024 * 1024
READ_ROWS = 1_000
COMPRESSION = "zstd"
_PART = re.compile(r"transactions-([0-9]{12})\.parquet")

TIME = pa.timestamp("us", tz="UTC")
LABELS = pa.map_(pa.string(), pa.string())


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


ACCOUNTS = pa.schema(
    [
        _required("number", pa.int64()),
        _required("name", pa.string()),
        _required("currency", pa.string()),
        _required("normal_balance", pa.string()),
        _required("create_time", TIME),
        pa.field("max_available", pa.int64()),
        pa.field("max_posted", pa.int64()),
        pa.field("min_available", pa.int64()),
        pa.field("min_posted", pa.int64()),
        _required("metadata", LABELS),
    ]
)
ENTRY = pa.struct(
    [
        _required("account", pa.string()),
        _required("direction", pa.string()),
        _required("effect", pa.string()),
        _required("amount", pa.int64()),
        _required("currency", pa.string()),
        pa.field("description", pa.string()),
        pa.field("source_entry", pa.int32()),
        _required("pending_credits", pa.int64()),
        _required("pending_debits", pa.int64()),
        _required("posted_credits", pa.int64()),
        _required("posted_debits", pa.int64()),
        _required("version", pa.int64()),
    ]
)
EXCHANGE = pa.struct(
    [
        _required("sold_currency", pa.string()),
        _required("sold_amount", pa.int64()),
        _required("bought_currency", pa.string()),
        _required("bought_amount", pa.int64()),
        _required("rate", pa.string()),
        pa.field("remainder_account", pa.string()),
    ]
)
TRANSACTIONS = pa.schema(
    [
        _required("sequence", pa.int64()),
        _required("ledger", pa.string()),
        _required("kind", pa.string()),
        _required("record_time", TIME),
        _required("effective_time", TIME),
        pa.field("expire_time", TIME),
        pa.field("request_id", pa.string()),
        pa.field("reference", pa.string()),
        pa.field("settles", pa.int64()),
        pa.field("reverses", pa.int64()),
        _required("metadata", LABELS),
        _required("exchanges", pa.list_(_required("item", EXCHANGE))),
        _required("entries", pa.list_(_required("item", ENTRY))),
    ]
)


class TableWriter:
    """One file, written as rows come; it has its name only when it is whole."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
        self._writing = path.with_name(f"{path.name}.partial")
        # Without statistics: a query would believe forged ones, which change no row.
        self._writer = pq.ParquetWriter(
            self._writing,
            schema,
            compression=COMPRESSION,
            write_statistics=False,
            write_page_checksum=True,
        )
        self._rows: list[Row] = []
        self._chunk_bytes = 0
        self._columns: list[pa.Table] = []
        self._group_rows = 0
        self._group_bytes = 0
        self.written = 0

    def add(self, row: Row, line_bytes: int) -> None:
        """Adds a row that stands for a line of so many bytes."""
        self._rows.append(row)
        self._chunk_bytes += line_bytes
        self._group_rows += 1
        self._group_bytes += line_bytes
        self.written += 1
        if self._chunk_bytes >= CHUNK_LINE_BYTES:
            self._end_chunk()
        if self._group_rows >= ROW_GROUP_ROWS or self._group_bytes >= ROW_GROUP_LINE_BYTES:
            self._end_group()

    def finish(self) -> None:
        """Writes what is left and gives the file its name."""
        self._end_group()
        self._writer.close()
        sync(self._writing)
        self._writing.replace(self._path)

    def abandon(self) -> None:
        """Leaves nothing; the next run writes the file again."""
        # Closing writes a footer, which a full disk refuses, perhaps being why we are here.
        with suppress(OSError):
            self._writer.close()
        self._writing.unlink()

    def _end_chunk(self) -> None:
        self._columns.append(pa.Table.from_pylist(self._rows, self._schema))
        self._rows, self._chunk_bytes = [], 0

    def _end_group(self) -> None:
        self._end_chunk()
        if self._group_rows:
            self._writer.write_table(pa.concat_tables(self._columns))
        self._columns, self._group_rows, self._group_bytes = [], 0, 0


def accounts_writer(directory: Path) -> TableWriter:
    """Writes the file of accounts."""
    return TableWriter(directory / ACCOUNTS_FILE, ACCOUNTS)


def part_writer(directory: Path, first_sequence: int) -> TableWriter:
    """Writes the part that begins with this transaction."""
    return TableWriter(directory / part_name(first_sequence), TRANSACTIONS)


def part_name(first_sequence: int) -> str:
    """The name of the part that begins with this transaction."""
    return f"transactions-{first_sequence:012d}.parquet"


def is_part(name: str) -> bool:
    """Whether a file of this name is a part."""
    return _PART.fullmatch(name) is not None


def first_of(path: Path) -> int:
    """The transaction that a part begins with, which its name says."""
    match = _PART.fullmatch(path.name)
    if match is None:
        raise RowError(f"{path.name} is not the name of a part")
    return int(match[1])


def parts(directory: Path) -> list[Path]:
    """The parts of an export in order of their transactions."""
    return sorted(path for path in directory.iterdir() if is_part(path.name))


def count_of(path: Path) -> int:
    """How many rows a file has, which its footer says."""
    with open_table(path) as file:
        return int(file.metadata.num_rows)


def account_lines(path: Path) -> Iterator[bytes]:
    """The account lines that a file of accounts stands for, in its order; raises `RowError`."""
    return _lines(path, ACCOUNTS, account_line)


def leaves(path: Path) -> Iterator[bytes]:
    """The leaves that a part stands for, in its order; raises `RowError`."""
    return _lines(path, TRANSACTIONS, leaf_of_row)


def rows_of(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """The rows of a file with that schema, times as microseconds; raises `RowError` for another."""
    with open_table(path) as file:
        if not file.schema_arrow.equals(schema):
            raise RowError(f"{path.name} has not the columns of an export")
        for batch in file.iter_batches(READ_ROWS, columns=columns):
            yield from with_micros(batch).to_pylist()


@contextmanager
def open_table(path: Path) -> Iterator[pq.ParquetFile]:
    """A file to read; raises `RowError` where it is damaged."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise RowError(f"{path.name} is damaged: {error}") from error
    except OSError as error:
        # What the operating system says has a number; the rest is about the file's content.
        if error.errno is not None:
            raise
        raise RowError(f"{path.name} is damaged: {error}") from error


def _lines(path: Path, schema: pa.Schema, line: Callable[[Row], bytes]) -> Iterator[bytes]:
    for number, row in enumerate(rows_of(path, schema), 1):
        try:
            yield line(row)
        except (OverflowError, TypeError, ValueError) as error:
            raise RowError(f"{path.name}, row {number}: {error}") from error


def with_micros(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its times as integers: Python's own are slow and end with the year 9999."""
    arrays = [
        column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def sync(path: Path) -> None:
    """Has the file on disk before it gets its name."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())

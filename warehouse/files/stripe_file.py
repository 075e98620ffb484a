"""A file of Stripe's, as it is to be loaded, and what its rows hash to. Pure."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runtime.csv_tables import read_table
from warehouse.files.names import columns_of, table_of

# Of reports, which are the larger ones: what the gateway reads of one at most.
MAX_FILE_BYTES = 256 * 1024 * 1024

Cells = Sequence[str | None]


@dataclass(frozen=True)
class StripeFile:
    """A file: whose it is, and its bytes."""

    # "sigma" or "report", and the query's title or the report's type.
    kind: str
    title: str
    corridor: str
    # Stripe's id of a query's run, or the gateway's of a report.
    run_id: str
    content: bytes

    @property
    def file_id(self) -> str:
        """Its name in the warehouse: ids of two corridors may be the same."""
        return f"{self.corridor}/{self.run_id}"

    @property
    def table_name(self) -> str:
        """The table of its rows."""
        return table_of(self.kind, self.title)

    @property
    def sha256(self) -> str:
        """Of its bytes, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def table(self) -> tuple[list[str], Iterator[list[str]]]:
        """Headings and rows. Raises NotATableError, for rows when they are read."""
        return read_table(io.BytesIO(self.content))


@dataclass(frozen=True)
class Summary:
    """What a file comes to: the proof that a load has to equal."""

    headings: list[str]
    row_count: int
    rows_sha256: str

    @property
    def columns(self) -> list[str]:
        """What its columns are called in the table."""
        return columns_of(self.headings)


def summary_of(file: StripeFile) -> Summary:
    """Counts and hashes a file's rows. Raises NotATableError."""
    headings, rows = file.table()
    row_count, rows_sha256 = count_and_hash(rows)
    return Summary(headings, row_count, rows_sha256)


def count_and_hash(rows: Iterable[Cells]) -> tuple[int, str]:
    """How many rows there are, and the SHA-256, in hex, of all in canonical form: each a line of
    JSON, a list of its cells in the file's order."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        told = json.dumps(list(row), ensure_ascii=False, separators=(",", ":"))
        digest.update(told.encode() + b"\n")
        count += 1
    return count, digest.hexdigest()

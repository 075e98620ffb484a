"""Reads the data of a release: tab-separated lines with a source, refused by their number."""

from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parent / "data"


class DataError(ValueError):
    """A line of a data file cannot be used; the message names file and line."""


def data_lines(
    path: Path, columns: tuple[str, ...] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """(where, fields) of each line without comments and empty ones. Raises `DataError`.

    `where` names file and line, for what the caller finds wrong with the fields. Without `columns`
    a line may have any number of them.
    """
    for number, raw in enumerate(path.read_bytes().splitlines(), start=1):
        where = f"{path.name} line {number}"
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: not UTF-8") from error
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if columns is not None and len(fields) != len(columns):
            names = ", ".join(columns)
            raise DataError(f"{where}: has {len(fields)} columns, not {len(columns)}: {names}")
        yield where, fields

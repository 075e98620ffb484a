"""Lists in columns: text with one line of fields for each thing, and limits by name."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from compliance.screening.entries import BrokenListError

END_OF_FILE = "\x1a"
MAX_ROWS = 500_000
MAX_FIELD_CHARACTERS = 20_000


def decode(content: bytes) -> str:
    """UTF-8 as authorities publish now, Windows-1252 as some did before."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise BrokenListError(f"byte {error.start} is in no known character set") from error


def rows(
    name: str, text: str, delimiter: str = ",", max_rows: int = MAX_ROWS
) -> Iterator[tuple[int, list[str]]]:
    """Each row that has anything, with the number of its last line; white space is one space."""
    previous_limit = csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for count, row in enumerate(reader, start=1):
            if count > max_rows:
                raise BrokenListError(f"{name} has more than {max_rows} rows")
            fields = [" ".join(field.split()) for field in row]
            if any(fields):
                yield reader.line_num, fields
    except csv.Error as error:
        raise BrokenListError(f"{name} line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(previous_limit)


def records(
    name: str,
    content: bytes,
    columns: Sequence[str],
    delimiter: str = ",",
    *,
    max_rows: int = MAX_ROWS,
    leading_rows: int = 0,
) -> Iterator[Mapping[str, str]]:
    """The rows below the header by their columns' names, of which `columns` have to be there.

    The header is the first row or, below a title, one of the next `leading_rows`. Each row has as
    many fields as the header. Raises `BrokenListError`.
    """
    header: list[str] | None = None
    skipped = 0
    for line, row in rows(name, decode(content), delimiter, max_rows):
        if header is not None:
            if len(row) != len(header):
                raise BrokenListError(
                    f"{name} line {line} has {len(row)} fields, not {len(header)}"
                )
            yield dict(zip(header, row, strict=True))
            continue
        missing = [column for column in columns if column not in row]
        if not missing:
            header = row
        elif skipped < leading_rows:
            skipped += 1
        else:
            raise BrokenListError(f"{name} has no column {missing[0]!r}: it is another format")
    if header is None:
        raise BrokenListError(f"{name} is empty")

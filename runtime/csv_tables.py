"""Reads CSV as a table: headings, and rows that have as many cells. Nothing is guessed, and nothing
of it is changed: a cell is the text that stands there."""

import csv
import io
from collections.abc import Iterator
from typing import IO, cast

# PostgreSQL has 1,600 columns a table, and DuckDB reads no more at once.
MAX_COLUMNS = 500
MAX_HEADING_CHARACTERS = 500
# What the csv module takes of a cell unless it is told otherwise.
MAX_CELL_CHARACTERS = 128 * 1024
NUL = "\0"


class NotATableError(ValueError):
    """Bytes that are no table. The text says where, and what was expected, and quotes nothing."""


def read_table(file: IO[bytes]) -> tuple[list[str], Iterator[list[str]]]:
    """The headings of a table and its rows, in their order; the file stays open. Raises
    NotATableError, for rows when they are read."""
    rows = _rows(file)
    headings = next(rows, None)
    if not headings:
        raise NotATableError("line 1: headings")
    if len(headings) > MAX_COLUMNS:
        raise NotATableError(f"line 1: at most {MAX_COLUMNS} headings")
    if any(len(heading) > MAX_HEADING_CHARACTERS for heading in headings):
        raise NotATableError(f"line 1: headings of at most {MAX_HEADING_CHARACTERS} characters")
    return headings, rows


def _rows(file: IO[bytes]) -> Iterator[list[str]]:
    text = io.TextIOWrapper(cast("io.BufferedReader", file), encoding="utf-8-sig", newline="")
    table = csv.reader(text, strict=True)
    width = 0
    try:
        for cells in table:
            # A line without anything is a cell without anything, where there is one column.
            row = cells or [""] * (width == 1)
            if width and len(row) != width:
                raise NotATableError(f"line {table.line_num}: as many cells as headings")
            if any(NUL in cell or len(cell) > MAX_CELL_CHARACTERS for cell in row):
                raise NotATableError(
                    f"line {table.line_num}: cells of at most {MAX_CELL_CHARACTERS} characters,"
                    " none of them NUL"
                )
            width = width or len(row)
            yield row
            if not width:
                return
    except csv.Error:
        raise NotATableError(f"line {table.line_num}: a row of CSV") from None
    except UnicodeDecodeError:
        raise NotATableError("text in UTF-8") from None
    finally:
        # The file is closed by who opened it.
        text.detach()

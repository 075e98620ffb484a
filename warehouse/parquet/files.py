"""Writes rows as a Parquet file, and reads it back: it holds what was given, or is none."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from warehouse.facts.columns import Column
from warehouse.facts.duckdb_warehouse import DuckDbSession
from warehouse.facts.rows import Row
from warehouse.sink import LoadRefusedError

GIVEN = "given_rows"
WRITE = f"COPY (SELECT * FROM {GIVEN}) TO '{{path}}' (FORMAT parquet, COMPRESSION zstd)"
# Rows that one side has and the other has not, as often.
DIFFER = """
    SELECT count(*) FROM (
        (SELECT * FROM {given} EXCEPT ALL SELECT * FROM read_parquet('{path}'))
        UNION ALL
        (SELECT * FROM read_parquet('{path}') EXCEPT ALL SELECT * FROM {given})
    )
"""
TYPES = "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM {of})"


def parquet_bytes(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """A Parquet file of these rows. Raises `LoadRefusedError` if what it holds is not exactly what
    was given: every value, and every type."""
    with tempfile.TemporaryDirectory(prefix="parquet-") as folder, duckdb.connect() as connection:
        path = Path(folder) / "rows.parquet"
        DuckDbSession(connection).stage(GIVEN, columns, rows)
        connection.execute(WRITE.format(path=path))
        told = {"given": GIVEN, "path": path}
        (count,) = connection.execute(DIFFER.format(**told)).fetchone() or (None,)
        types = [
            connection.execute(TYPES.format(of=of)).fetchall()
            for of in (GIVEN, f"read_parquet('{path}')")
        ]
        if count != 0 or types[0] != types[1]:
            raise LoadRefusedError(f"{count} rows of a file are not as they were given")
        return path.read_bytes()

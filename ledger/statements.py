"""The named SQL of the ledger, read once: one file, one statement, one purpose."""

from functools import cache

from runtime.sql_files import read_sql


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return read_sql(__file__, name)

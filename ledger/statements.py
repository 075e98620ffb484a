"""The named SQL of the ledger, read once: one file, one statement, one purpose."""

from functools import cache
from pathlib import Path

_DIRECTORY = Path(__file__).parent / "sql"


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (_DIRECTORY / f"{name}.sql").read_text(encoding="utf-8")

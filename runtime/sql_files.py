"""SQL that stands in files of its own, in the folder `sql` beside the module that runs it."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Table, TextClause, text


def read_sql(module_file: str, name: str) -> str:
    """The SQL of `sql/<name>.sql` beside a module, which gives its `__file__`."""
    return (Path(module_file).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def sql_statement(module_file: str, name: str, **parts: str) -> TextClause:
    """The same for SQLAlchemy; `parts` are put where the file has their names in braces."""
    written = read_sql(module_file, name)
    return text(written.format(**parts) if parts else written)


def columns_of(table: Table, alias: str = "", without: Collection[str] = ()) -> str:
    """The columns that the code knows, as SQL: `*` would be those of a later release as well."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(
        f"{prefix}{column.name}" for column in table.columns if column.name not in without
    )

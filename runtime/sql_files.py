"""SQL that stands in files of its own, in the folder `sql` beside the module that runs it."""

from pathlib import Path

from sqlalchemy import TextClause, text


def read_sql(module_file: str, name: str) -> str:
    """The SQL of `sql/<name>.sql` beside a module, which gives its `__file__`."""
    return (Path(module_file).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def sql_statement(module_file: str, name: str) -> TextClause:
    """The same for SQLAlchemy."""
    return text(read_sql(module_file, name))

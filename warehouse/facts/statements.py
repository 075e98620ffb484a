"""SQL that follows from a table's declaration; both warehouses read all of it.

Names come from the code, or from files and are made plain (`warehouse/files/names.py`). Values are
named in braces, as in the files of `sql/`.
"""

from collections.abc import Sequence

from warehouse.facts.columns import EPOCH, SEQUENCE, Column, Kind, Table

# What a version hashes to that its source has no longer.
GONE = "gone"


def staged(table: Table) -> str:
    """The name of the temporary table that a load's rows are written to first."""
    return f"staged_{table.name}"


def definition(columns: Sequence[Column]) -> str:
    """Columns with their types."""
    return ", ".join(
        f'"{column.name}" {column.type.value}{" NOT NULL" if column.is_required else ""}'
        for column in columns
    )


def names(columns: Sequence[Column], alias: str = "") -> str:
    """Columns by name."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(f'{prefix}"{column.name}"' for column in columns)


def create_table(table: Table, *, is_indexed: bool) -> str:
    """The table, if it is not there; with the key that keeps rows from coming twice, if wanted."""
    is_version = table.kind is Kind.VERSIONS
    key = (*table.key, "load_number") if is_version else ("generation", EPOCH, SEQUENCE)
    primary = f", PRIMARY KEY ({', '.join(key)})" if is_indexed else ""
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({definition(table.all_columns)}{primary})"


def create_indexes(table: Table) -> Sequence[str]:
    """By what rows are about, and by what is told whole."""
    columns = {"key": ", ".join(table.key), "scope": table.scope}
    return [
        f"CREATE INDEX IF NOT EXISTS {table.name}_by_{name} ON {table.name} ({of})"
        for name, of in columns.items()
        if of
    ]


def add_column(table: Table, column: Column) -> str:
    """A column that a later release brings, which is empty in what was there before."""
    assert not column.is_required, "rows of before have nothing there"
    return f"ALTER TABLE {table.name} ADD COLUMN {column.name} {column.type.value}"


def insert_changes(table: Table) -> str:
    """All rows that were staged, in their order."""
    own = table.own_columns
    return (
        f"INSERT INTO {table.name} (load_number, load_time, generation, {names(own)})"
        f" SELECT {{load_number}}, {{load_time}}, {{generation}}, {names(own, 's')}"
        f" FROM {staged(table)} AS s ORDER BY s.{EPOCH}, s.{SEQUENCE}"
    )


def insert_versions(table: Table) -> str:
    """The rows that were staged and are not as they were found last."""
    own, (key,) = table.own_columns, table.key
    last = (
        f"SELECT v.{key}, v.digest, row_number() OVER (PARTITION BY v.{key}"
        f" ORDER BY v.load_number DESC) AS place FROM {table.name} AS v"
        f" WHERE v.{key} IN (SELECT k.{key} FROM {staged(table)} AS k)"
    )
    return (
        f"INSERT INTO {table.name} (load_number, load_time, is_gone, {names(own)})"
        f" SELECT {{load_number}}, {{load_time}}, FALSE, {names(own, 's')}"
        f" FROM {staged(table)} AS s LEFT JOIN ({last}) AS l ON l.{key} = s.{key} AND l.place = 1"
        f" WHERE l.digest IS DISTINCT FROM s.digest ORDER BY s.{key}"
    )


def insert_gone(table: Table, *, is_scoped: bool) -> str:
    """That the source has no longer what was found last and is not among the keys that are
    staged, of the scopes that are staged or at all."""
    (key,) = table.key
    scoped = f" WHERE w.{table.scope} IN (SELECT c.value FROM staged_scope AS c)"
    numbered = (
        f"SELECT {names(table.columns, 'w')}, w.is_gone,"
        f" row_number() OVER (PARTITION BY w.{key} ORDER BY w.load_number DESC) AS place"
        f" FROM {table.name} AS w{scoped if is_scoped else ''}"
    )
    columns = f"load_number, load_time, is_gone, digest, {names(table.columns)}"
    return (
        f"INSERT INTO {table.name} ({columns})"
        f" SELECT {{load_number}}, {{load_time}}, TRUE, '{GONE}', {names(table.columns, 'v')}"
        f" FROM ({numbered}) AS v"
        " WHERE v.place = 1 AND NOT v.is_gone"
        f" AND NOT EXISTS (SELECT 1 FROM staged_key AS k WHERE k.value = cast(v.{key} AS varchar))"
    )


def insert_lines(name: str, columns: Sequence[Column]) -> str:
    """The rows of a file into a table, as DuckDB reads it: a line each, JSON in which every value
    is text, so that nothing is guessed or rounded."""
    structure = ", ".join(f'"{column.name}": "VARCHAR"' for column in columns)
    values = ", ".join(f'cast(r.content."{c.name}" AS {c.type.value})' for c in columns)
    return (
        f"INSERT INTO {name} ({names(columns)}) SELECT {values}"
        f" FROM (SELECT from_json(l.line, '{{{structure}}}') AS content FROM read_csv($path,"
        " columns = {'line': 'VARCHAR'}, auto_detect = false, header = false, delim = '\\x01',"
        " quote = '', escape = '', new_line = '\\n', max_line_size = $longest,"
        " strict_mode = false) AS l) AS r"
    )


def count_of_load(table: Table) -> str:
    """How many rows a load has written."""
    return f"SELECT count(*) FROM {table.name} WHERE load_number = {{load_number}}"


def create_views(table: Table) -> Sequence[str]:
    """The rows that hold, and of each key the last one."""
    columns = table.all_columns
    if table.kind is Kind.VERSIONS:
        return [_last(table, table.view, table.name, "load_number DESC", "NOT v.is_gone")]
    holds = (
        f"SELECT {names(columns, 'v')} FROM {table.name} AS v WHERE NOT EXISTS (SELECT 1"
        f" FROM warehouse_restore AS r WHERE r.source = '{table.source}'"
        " AND r.generation > v.generation AND (v.epoch > r.epoch"
        " OR (v.epoch = r.epoch AND v.sequence > r.sequence)))"
    )
    if table.key == (SEQUENCE,):
        return [f"CREATE OR REPLACE VIEW {table.view} AS {holds}"]
    history = f"{table.view}_history"
    last = _last(table, table.view, history, f"{EPOCH} DESC, v.{SEQUENCE} DESC", "TRUE")
    return [f"CREATE OR REPLACE VIEW {history} AS {holds}", last]


def _last(table: Table, view: str, of: str, order: str, condition: str) -> str:
    columns = table.all_columns
    key = ", ".join(f"v.{name}" for name in table.key)
    numbered = (
        f"SELECT {names(columns, 'v')},"
        f" row_number() OVER (PARTITION BY {key} ORDER BY v.{order}) AS place FROM {of} AS v"
    )
    return (
        f"CREATE OR REPLACE VIEW {view} AS SELECT {names(columns, 'v')} FROM ({numbered}) AS v"
        f" WHERE v.place = 1 AND {condition}"
    )

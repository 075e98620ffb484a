"""Where facts go: each batch is one transaction of rows and position."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

from runtime.clock import Clock
from runtime.command_failures import CommandError
from runtime.sql_files import read_sql
from warehouse.facts import statements
from warehouse.facts.columns import Column, Kind, Table, text
from warehouse.facts.rows import All, Batch, Place, Position, Row, last_of_each
from warehouse.facts.tables import TABLES
from warehouse.files.loading import LoadOf, load_file
from warehouse.sink import AnotherLoadError

Parameters = Mapping[str, Any]
VALUE = text("value")


class Session(Protocol):
    """One transaction of a warehouse."""

    # "postgres", where tables have keys and indexes, or "duckdb".
    dialect: str

    def run(self, statement: str, parameters: Parameters) -> Sequence[tuple[Any, ...]]:
        """Runs a statement in which values are named in braces; answers its rows, if it has any."""

    def stage(self, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Makes a temporary table of these rows, exactly as they are."""

    def commit(self) -> None:
        """Commits."""


class Warehouse(Protocol):
    """Opens transactions. What fails because somebody else is at it is `AnotherLoadError`, and
    rows that the warehouse cannot hold are `LoadRefusedError`."""

    def session(self, lock: str) -> AbstractContextManager[Session]:
        """A transaction that is alone with the lock of that name; what it has not committed in the
        end is gone."""


class FactLoad:
    """Rows that nobody sees yet."""

    def __init__(self, session: Session, source: str, after: Position, clock: Clock) -> None:
        self._session = session
        self._source = source
        self._after = after
        self._load_number = after.load_number + 1
        self._load_time = clock.now()

    def write(self, batch: Batch) -> int:
        """Writes a batch's rows and files; how many rows were new. Raises `LoadRefusedError`."""
        tables = {table.name: table for table in TABLES}
        count = 0
        for name, rows in batch.rows.items():
            count += self._write(tables[name], rows, self._generation(batch))
        for each in batch.complete:
            count += self._retire(each)
        load = LoadOf(self._load_number, self._load_time)
        for file, summary in batch.files:
            count += load_file(self._session, file, summary, load)
        return count

    def keep(self, batch: Batch, row_count: int) -> Position:
        """Commits rows and position; answers the position."""
        position = replace(
            self._after,
            place=batch.place,
            mark=batch.mark,
            generation=self._generation(batch),
            load_number=self._load_number,
        )
        told = {
            "source": self._source,
            "generation": position.generation,
            "epoch": position.place.epoch,
            "sequence": position.place.sequence,
            "mark": position.mark,
            "load_number": position.load_number,
            "row_count": row_count,
            "news_time": batch.news_time,
            "load_time": self._load_time,
        }
        for name in ("move_source", "record_load", *(("record_restore",) * batch.goes_back)):
            self._session.run(_sql(name), told)
        self._session.commit()
        return position

    def _generation(self, batch: Batch) -> int:
        return self._after.generation + batch.goes_back

    def _write(self, table: Table, rows: Sequence[Row], generation: int) -> int:
        if table.kind is Kind.VERSIONS:
            rows = last_of_each(table, rows)
        if not rows:
            return 0
        self._session.stage(statements.staged(table), table.own_columns, rows)
        insert = {
            Kind.CHANGES: statements.insert_changes,
            Kind.VERSIONS: statements.insert_versions,
        }
        self._session.run(
            insert[table.kind](table),
            {
                "load_number": self._load_number,
                "load_time": self._load_time,
                "generation": generation,
            },
        )
        return self._written(table)

    def _retire(self, told: All) -> int:
        self._session.stage("staged_key", [VALUE], [{"value": key} for key in sorted(told.keys)])
        scopes = told.scopes or ()
        self._session.stage("staged_scope", [VALUE], [{"value": each} for each in sorted(scopes)])
        before = self._written(told.table)
        self._session.run(
            statements.insert_gone(told.table, is_scoped=told.scopes is not None),
            {"load_number": self._load_number, "load_time": self._load_time},
        )
        return self._written(told.table) - before

    def _written(self, table: Table) -> int:
        counted = statements.count_of_load(table)
        ((count,),) = self._session.run(counted, {"load_number": self._load_number})
        return int(count)


@dataclass(frozen=True)
class FactSink:
    """The facts of a warehouse."""

    warehouse: Warehouse
    clock: Clock

    def prepare(self, tables: Sequence[Table] = TABLES) -> None:
        """Makes the tables, columns and views that are not there yet; those of the ledger are.
        Raises `CommandError` if a newer release has written there."""
        with self.warehouse.session("prepare") as session:
            session.run(_sql("tables"), {})
            session.run(_sql("add_identity"), {"identity": str(uuid4())})
            digest = _digest(tables, session.dialect)
            # Readers of views wait for whoever replaces them, and he for them.
            if session.run(_sql("schema"), {}) == [(digest,)]:
                return
            for table in tables:
                _prepare_table(session, table)
            for name in _views(session.dialect):
                session.run(_sql(name), {})
            session.run(_sql("forget_schema"), {})
            session.run(_sql("record_schema"), {"digest": digest})
            session.commit()

    def position(self, source: str) -> Position:
        """How far a source has been loaded."""
        with self.warehouse.session("") as session:
            return _position(session, source)

    @contextmanager
    def load(self, source: str, after: Position) -> Iterator[FactLoad]:
        """Writes rows; they are gone again unless they are kept. Raises `AnotherLoadError`."""
        with self.warehouse.session(source) as session:
            if _position(session, source) != after:
                raise AnotherLoadError(f"another load of {source} has come first")
            session.run(_sql("add_source"), {"source": source})
            yield FactLoad(session, source, after, self.clock)

    def take(self, source: str, after: Position, batch: Batch) -> tuple[Position, int]:
        """Writes a batch and where the source goes on after it, all of it or nothing. Answers the
        new position, and how many rows were new; of a batch that says nothing new nothing is kept.
        """
        with self.load(source, after) as load:
            row_count = load.write(batch)
            is_news = row_count or batch.goes_back or batch.place != after.place
            return (load.keep(batch, row_count), row_count) if is_news else (after, 0)

    def complete(self, source: str, moment: datetime) -> None:
        """Notes that the source has nothing that is not here."""
        with self.warehouse.session(source) as session:
            session.run(_sql("add_source"), {"source": source})
            session.run(_sql("complete_source"), {"source": source, "complete_time": moment})
            session.commit()

    def read(self, name: str, parameters: Parameters) -> Sequence[tuple[Any, ...]]:
        """The rows of a statement of `sql/`."""
        with self.warehouse.session("") as session:
            return session.run(_sql(name), parameters)


def _sql(name: str) -> str:
    return read_sql(__file__, name)


def _position(session: Session, source: str) -> Position:
    rows = session.run(_sql("position"), {"source": source})
    if not rows:
        return Position()
    ((epoch, sequence, generation, mark, load_number),) = rows
    return Position(Place(epoch, sequence), generation, mark, load_number)


def _views(dialect: str) -> Sequence[str]:
    """The files that make views besides those of each table."""
    return (f"{dialect}_unnested", "views")


def _digest(tables: Sequence[Table], dialect: str) -> str:
    """What tables and views are made by."""
    made = [
        statement
        for table in tables
        for statement in (
            statements.create_table(table, is_indexed=True),
            *statements.create_views(table),
        )
    ]
    return sha256("\n".join([*made, *map(_sql, _views(dialect))]).encode()).hexdigest()


def _prepare_table(session: Session, table: Table) -> None:
    is_indexed = session.dialect == "postgres"
    session.run(statements.create_table(table, is_indexed=is_indexed), {})
    for statement in statements.create_indexes(table) if is_indexed else ():
        session.run(statement, {})
    there = [name for (name,) in session.run(_sql("columns"), {"table_name": table.name})]
    known = {column.name for column in table.all_columns}
    if unknown := [name for name in there if name not in known]:
        raise CommandError(
            f"a newer release has written to this warehouse: {table.name} has {', '.join(unknown)}"
        )
    for column in table.all_columns:
        if column.name not in there:
            session.run(statements.add_column(table, column), {})
    for statement in statements.create_views(table):
        session.run(statement, {})

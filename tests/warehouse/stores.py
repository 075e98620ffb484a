"""Warehouses as tests look at them: the sink, the command's arguments, and plain SQL."""

from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg

from runtime.clock import Clock
from warehouse.duckdb_sink import DuckDbSink
from warehouse.facts.duckdb_warehouse import DuckDbWarehouse
from warehouse.facts.postgres_warehouse import PostgresWarehouse
from warehouse.facts.sink import FactSink
from warehouse.postgres_sink import PostgresSink
from warehouse.sink import Sink


class Store(Protocol):
    """One warehouse."""

    sink: Sink
    facts: FactSink
    environment: dict[str, str]
    arguments: tuple[str, ...]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query answers."""

    def change(self, statement: str) -> None:
        """Changes rows behind the loader's back."""


class DuckDbStore:
    """A file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        sink = DuckDbSink(path, clock)
        self.sink: Sink = sink
        self.facts = FactSink(DuckDbWarehouse(sink), clock)
        self.environment: dict[str, str] = {}
        self.arguments: tuple[str, ...] = ("--duckdb", str(path))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        with duckdb.connect(self.path) as connection:
            return connection.execute(statement).fetchall()

    def change(self, statement: str) -> None:
        """Changes rows behind the loader's back."""
        with duckdb.connect(self.path) as connection:
            connection.execute(statement)


class PostgresStore:
    """A database."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.sink: Sink = PostgresSink(url, clock)
        self.facts = FactSink(PostgresWarehouse(url), clock)
        self.environment = {"WAREHOUSE_DATABASE_URL": url}
        self.arguments: tuple[str, ...] = ()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a query answers."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def change(self, statement: str) -> None:
        """Changes rows behind the loader's back."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

"""What one engine has compiled and found out serves every other one of the same process.

A statement is compiled once for each engine, and its server is asked once what it is. A service has
one engine or two for its whole life; tests open some thousand, each with the same two hundred
statements, and compiling took a tenth of their time.
"""

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import LRUCache

import runtime.postgres

MAX_STATEMENTS = 3_000
_COMPILED: LRUCache[Any, Any] = LRUCache(MAX_STATEMENTS)
_TYPES: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
# What the first engine has found out about its server.
_FOUND: dict[str, Any] = {}


class OneDialect(PGDialectAsync_psycopg):
    """Equal to every other one: all speak through the same driver to servers of one release."""

    supports_statement_cache = True

    def initialize(self, connection: Any) -> None:
        """Asks the server of the first engine; the others know then what theirs would say."""
        if not _FOUND:
            before = dict(vars(self))
            super().initialize(connection)  # type: ignore[no-untyped-call]
            _FOUND.update(
                (name, value)
                for name, value in vars(self).items()
                if name not in before or before[name] is not value
            )
        vars(self).update(_FOUND)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneDialect)

    def __hash__(self) -> int:
        return hash(OneDialect)


def share_compiled_statements() -> None:
    """From now on; what `runtime.postgres` opened before keeps its own."""
    runtime.postgres.create_async_engine = _create_async_engine  # type: ignore[attr-defined]


def _create_async_engine(*arguments: Any, **named: Any) -> AsyncEngine:
    engine = create_async_engine(*arguments, **named)
    opened: Any = engine.sync_engine
    assert type(opened.dialect) is PGDialectAsync_psycopg
    opened.dialect.__class__ = OneDialect
    opened.dialect._type_memos = _TYPES
    opened._compiled_cache = _COMPILED
    return engine

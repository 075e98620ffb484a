"""One item's failure stays with that item; claimed rows that cannot be read are dead letters."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from runtime.items import MAX_TOLD, DeadLetter, DeadLetterError, Items
from runtime.loops import Loop
from runtime.tasks import cancel

PATIENCE_SECONDS = 20.0
MAX_ATTEMPTS = 3
_numbers = itertools.count(1)


def kind() -> str:
    """A kind of items that no other test uses."""
    return f"tested items {next(_numbers)}"


def failed(of: str, failure: str) -> float | None:
    return REGISTRY.get_sample_value("loop_items_failed_total", {"items": of, "failure": failure})


def told(logs: Sequence[Any]) -> list[tuple[str, str]]:
    return [(entry["event"], entry["item"]) for entry in logs if "item" in entry]


def test_metrics_are_there_before_the_first_failure() -> None:
    of = kind()
    Items(of)
    assert (failed(of, "unreadable"), failed(of, "unhandled")) == (0, 0)


def test_a_failure_is_counted_each_time_and_told_once_until_it_is_over() -> None:
    of = kind()
    items = Items(of)

    def handle(key: str, error: Exception | None) -> None:
        with items.kept_apart(key):
            if error is not None:
                raise error

    with capture_logs() as logs:
        for error in (ValueError("Ada Lovelace"), ValueError("Ada"), None, ValueError("Ada")):
            handle("bad", error)
            handle("good", None)
    assert told(logs) == [("item_unhandled", "bad")] * 2
    assert logs[0]["error_type"] == "ValueError"
    assert logs[0]["places"][-1].endswith(" handle")
    assert "Ada" not in str(logs)
    assert failed(of, "unhandled") == 3


def test_that_a_dependency_is_away_is_no_failure_of_the_item() -> None:
    of = kind()
    items = Items(of)
    with pytest.raises(ConnectionError), items.kept_apart("any"):
        raise ConnectionError
    assert failed(of, "unhandled") == 0


def test_so_many_failures_are_remembered() -> None:
    items = Items(kind())

    def fail(number: int) -> None:
        with items.kept_apart(str(number)):
            raise ValueError

    with capture_logs() as logs:
        for number in range(MAX_TOLD):
            fail(number)
        fail(0)
        assert len(logs) == MAX_TOLD
        fail(MAX_TOLD)
        fail(0)  # The oldest, which had to go.
        assert len(logs) == MAX_TOLD + 2


async def test_what_cannot_be_handled_is_found_among_those_handled_together() -> None:
    of = kind()
    handled: list[int] = []
    calls: list[int] = []
    unhandled: list[int] = []

    async def handle(part: Sequence[int]) -> None:
        calls.append(len(part))
        if {3, 60} & set(part):
            raise ValueError
        handled.extend(part)

    await Items(of).together(
        range(64), handle, str, lambda number, _error: unhandled.append(number)
    )
    assert sorted(handled) == [number for number in range(64) if number not in {3, 60}]
    assert unhandled == [3, 60]
    assert failed(of, "unhandled") == 2
    assert len(calls) <= 2 * 2 * 6 + 1


async def test_an_outage_ends_what_is_done_together() -> None:
    calls = 0

    async def handle(_part: Sequence[int]) -> None:
        nonlocal calls
        calls += 1
        raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError):
        await Items(kind()).together(range(64), handle, str)
    assert calls == 1
    await Items(kind()).together([], handle, str)
    assert calls == 1


class Jobs:
    """A loop over a table, as services have them: claims what is due, and handles it."""

    CLAIM = (
        "UPDATE job SET attempts = attempts + 1 WHERE id IN (SELECT id FROM job"
        " WHERE state = 'PENDING' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)"
        " RETURNING id, body, attempts"
    )

    def __init__(self, connection: psycopg.AsyncConnection[Any], items: Items) -> None:
        self._connection = connection
        self._items = items
        self.handled: list[tuple[int, int]] = []
        self.all_handled = asyncio.Event()

    def loop(self) -> Loop:
        return Loop(kind(), self._round, poll_seconds=PATIENCE_SECONDS)

    async def _round(self) -> bool:
        async with self._connection.transaction():
            cursor = await self._connection.execute(self.CLAIM)
            rows = await cursor.fetchall()
            claimed = await self._items.claimed(
                rows, self._read, lambda row: str(row[0]), self._set_aside
            )
        for number, value in claimed:
            # A crash of the worker would leave it like this, too: claimed and not done.
            if value < 0:
                continue
            self.handled.append((number, value))
            await self._connection.execute("UPDATE job SET state = 'DONE' WHERE id = %s", [number])
        if not rows:
            self.all_handled.set()
        return bool(rows)

    @staticmethod
    def _read(row: Any) -> tuple[int, int]:
        number, body, attempts = row
        if attempts > MAX_ATTEMPTS:
            raise DeadLetterError("TOO_MANY_ATTEMPTS")
        return number, int(body["value"])

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            await self._connection.execute(
                "UPDATE job SET state = 'DEAD', reason = %s WHERE id = %s",
                [letter.reason, int(letter.key)],
            )


async def test_a_row_that_cannot_be_read_is_a_dead_letter_and_its_neighbours_go_on(
    new_database: Callable[[str], str],
) -> None:
    of = kind()
    bodies = ['{"value": 1}', '{"valu": 2}', "[]", '{"value": -1}', '{"value": 5}', '{"value": 6}']
    async with await psycopg.AsyncConnection.connect(
        new_database("sample"), autocommit=True
    ) as connection:
        await connection.execute(
            "CREATE TABLE job (id bigint PRIMARY KEY, body jsonb, attempts int DEFAULT 0,"
            " state text DEFAULT 'PENDING', reason text)"
        )
        for number, body in enumerate(bodies, 1):
            await connection.execute("INSERT INTO job (id, body) VALUES (%s, %s)", [number, body])
        jobs = Jobs(connection, Items(of))
        with capture_logs() as logs:
            task = asyncio.create_task(jobs.loop().run())
            await asyncio.wait_for(jobs.all_handled.wait(), PATIENCE_SECONDS)
            await cancel(task)
        cursor = await connection.execute("SELECT state, reason FROM job ORDER BY id")
        assert await cursor.fetchall() == [
            ("DONE", None),
            ("DEAD", "UNREADABLE"),
            ("DEAD", "UNREADABLE"),
            ("DEAD", "TOO_MANY_ATTEMPTS"),
            ("DONE", None),
            ("DONE", None),
        ]
    assert jobs.handled == [(1, 1), (5, 5), (6, 6)]
    assert failed(of, "unreadable") == 3
    assert told(logs) == [("item_unreadable", key) for key in ("2", "3", "4")]

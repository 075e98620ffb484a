"""`reconciliation.match`: items matched per second, from the database into the database.

A million items, half of the ledger and half of Stripe, as a day of card payments has them: each
pair has the balance transaction's id in common, one in a thousand has another amount, one in a
thousand is missing, and one in a thousand postings books two balance transactions. The limit is
COPY of the rows that matching writes, into a table with the same columns and one key and no checks,
in the same run on the same server. Matching is one process of the service's code; its memory is
what it grew to.
"""

import asyncio
import hashlib
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench.benchmark import Target, with_target
from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.policy import read_policy
from reconciliation.part import DATABASE_ROLE
from reconciliation.runs.matcher import BATCH_ITEMS, Matcher
from runtime.clock import ManualClock
from runtime.migrations import migrate
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from sandbox.embedded_postgres import temporary_server

NAME = "reconciliation.match"
PAIRS = 500_000
MIN_ITEMS_PER_SECOND = 50_000
TARGET = Target("value", ">=", MIN_ITEMS_PER_SECOND)
START = datetime(2026, 11, 30, tzinfo=UTC)
# One in so many of each.
ODD = 1_000
ITEMS = (
    "COPY item (ordinal, item_id, source, corridor, key, revision, currency, amount_minor, instant,"
    " book_date, sha256, tokens, group_key, state, content, intake_number) FROM STDIN"
)
TOKENS = "COPY item_token (corridor, token, item_id, ordinal) FROM STDIN"
PLAIN = """
    CREATE TABLE plain (
        leg text NOT NULL, item_id bigint NOT NULL, generation integer NOT NULL, match_id bigint,
        difference_id bigint, is_ignored boolean, amount_minor bigint,
        PRIMARY KEY (leg, item_id, generation)
    )
"""
COPY_OUT = """
    COPY (
        SELECT leg, item_id, generation, match_id, difference_id, is_ignored, amount_minor
        FROM standing ORDER BY item_id
    ) TO STDOUT
"""
COPY_IN = """
    COPY plain (leg, item_id, generation, match_id, difference_id, is_ignored, amount_minor)
    FROM STDIN
"""

Given = tuple[str, str, int, list[str]]
"""Source, key, amount and tokens."""


def items(pairs: int) -> Iterator[Given]:
    """What comes in, each posting beside its balance transaction."""
    for number in range(pairs):
        token, amount = f"txn_{number:08}", 500 + number * 7919 % 100_000
        kind = number % ODD
        if kind == 1:
            yield "LEDGER", f"l{number}", amount, [token]
            yield "STRIPE", token, amount - 1, [token]
        elif kind == 2:
            yield "STRIPE", token, amount, [token]
        elif kind == 3:
            yield "LEDGER", f"l{number}", amount + 30, [token, f"{token}x"]
            yield "STRIPE", token, amount, [token]
            yield "STRIPE", f"{token}x", 30, [f"{token}x"]
        else:
            yield "LEDGER", f"l{number}", amount, [token]
            yield "STRIPE", token, amount, [token]


async def measure(pairs: int = PAIRS) -> dict[str, Any]:
    """The benchmark's line."""
    with temporary_server(durable=True) as postgres:
        url = await asyncio.to_thread(postgres.database_url, "reconciliation_bench")
        await migrate(url, "reconciliation")
        given = await asyncio.to_thread(_fill, url, pairs)
        engine = create_engine(url, role=DATABASE_ROLE, pool_size=2, application_name="bench")
        matcher = Matcher(
            engine,
            read_policy(read_calendars()),
            ManualClock(START + timedelta(days=1)),
            Notifier(),
        )
        begun = time.perf_counter()
        runs = 0
        while await matcher.round():
            runs += 1
        seconds = time.perf_counter() - begun
        await engine.dispose()
        standing, differences, copy_seconds = await asyncio.to_thread(_limit, url)
    if standing != given:
        raise RuntimeError(f"{given - standing} items do not stand in any way")
    rate, limit = given / seconds, given / copy_seconds
    line = {
        "name": NAME,
        "value": round(rate),
        "unit": "items/s",
        "limit": round(limit),
        "limit_name": "COPY of the rows that it writes",
        "ratio": round(rate / limit, 3),
        "items": given,
        "seconds": round(seconds, 1),
        "runs": runs,
        "batch_items": BATCH_ITEMS,
        "differences": differences,
        "process_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    return with_target(line, TARGET)


def _fill(url: str, pairs: int) -> int:
    """Items as an intake would have left them; how many."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        digest = hashlib.sha256(b"bench").digest()
        with cursor.copy(ITEMS) as copy:
            for count, (source, key, amount, tokens) in enumerate(items(pairs), start=1):
                row = (count, count, source, "main", key, 1, "EUR", amount, START, START.date())
                copy.write_row((*row, digest, tokens, "", "BOOKED", "NONE", 1))
        with cursor.copy(TOKENS) as copy:
            for number, (_, _, _, tokens) in enumerate(items(pairs), start=1):
                for token in tokens:
                    copy.write_row(("main", token, number, number))
        connection.commit()
        connection.autocommit = True
        cursor.execute("ANALYZE item, item_token")
    return count


def _limit(url: str) -> tuple[int, int, float]:
    """How many items stand, how many differences there are, and how long COPY took."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(PLAIN)
        with cursor.copy(COPY_OUT) as copy:
            rows = b"".join(bytes(block) for block in copy)
        begun = time.perf_counter()
        with cursor.copy(COPY_IN) as copy:
            copy.write(rows)
        connection.commit()
        seconds = time.perf_counter() - begun
        cursor.execute("SELECT count(*) FROM standing")
        (standing,) = cursor.fetchall()[0]
        cursor.execute("SELECT count(*) FROM difference")
        (differences,) = cursor.fetchall()[0]
    return standing, differences, seconds

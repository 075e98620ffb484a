"""Group commit: the commit points of many payments in one database transaction.

While one transaction is being written the next gathers, so that transactions grow with the load
and a lone payment waits for nobody. Nobody is answered before the commit. A part that cannot be
written as it was decided is not written at all, without harm to its neighbours; its caller then
locks the rows, reads and decides again (see docs/adr/0016-payments-commit-in-groups.md).
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager

import psycopg
from prometheus_client import Counter, Histogram

from gateway.bookkeeping.reporting import CHANNEL
from gateway.operations.store import FIXED_OF_OPERATION, OPERATION
from gateway.payments.store.recording import count_transitions
from gateway.payments.store.rows import assignments
from gateway.payments.store.schema import (
    EVENT,
    FIXED_OF_PAYMENT,
    PAYMENT,
    REQUEST,
    ROUTING_DECISION,
)
from gateway.payments.store.writes import Writes, encode
from runtime.batching import Batcher, FullError
from runtime.connections import Connections
from runtime.database import Database
from runtime.logs import get_logger
from runtime.sql_files import columns_of, read_sql
from runtime.telemetry import child_span, tracer

# What one transaction writes at most, and what may wait: beyond it a part takes the general path,
# whose pool bounds it.
MAX_PARTS = 128
MAX_WAITING = 4_096
# Transactions under way at a time: one is decided and encoded while the other is written.
MAX_COMMITS = 2

_NUMBERED_OPERATION, _NUMBERED_EVENT = ("operation_number",), ("event_number", "sequence")
STATEMENT = read_sql(__file__, "commit_writes").format(
    request_columns=columns_of(REQUEST),
    request_values=columns_of(REQUEST, "request"),
    payment_columns=columns_of(PAYMENT),
    payment_values=columns_of(PAYMENT, "added"),
    operation_columns=columns_of(OPERATION, without=_NUMBERED_OPERATION),
    operation_values=columns_of(OPERATION, "added", without=_NUMBERED_OPERATION),
    routing_columns=columns_of(ROUTING_DECISION),
    routing_values=columns_of(ROUTING_DECISION, "added"),
    event_columns=columns_of(EVENT, without=_NUMBERED_EVENT),
    event_values=columns_of(EVENT, "added", without=_NUMBERED_EVENT),
    payment_changes=assignments(PAYMENT, FIXED_OF_PAYMENT),
    operation_changes=assignments(OPERATION, FIXED_OF_OPERATION),
)

PARTS = Histogram(
    "gateway_payment_commit_parts", "Commit points written in one transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)  # fmt: skip
CONFLICTS = Counter(
    "gateway_payment_commit_conflicts_total",
    "Commit points that could not be written as they were decided.",
)
REFUSED = Counter(
    "gateway_payment_commits_refused_total",
    "Transactions of group commit that the database refused: their parts go the slow way alone.",
)

log = get_logger(__name__)
_tracer = tracer(__name__)


class PaymentCommitter:
    """Writes commit points, those that come at the same time together, and of each payment one at
    a time: a second step is decided from the first."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._commits: Batcher[Writes, bool] = Batcher(
            self._commit,
            max_items=MAX_PARTS,
            max_writes=MAX_COMMITS,
            max_waiting=MAX_WAITING,
            key=lambda part: part.payment_id,
        )

    def submit(self, part: Writes) -> "asyncio.Future[bool]":
        """Whether the part was written: False if not as it was decided, and then nothing of it.

        Raises what psycopg raises if the database is gone: then it may have been written.
        """
        try:
            return self._commits.submit(part)
        except FullError:
            refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            refused.set_result(False)
            return refused

    async def _commit(self, parts: Sequence[Writes]) -> list[bool]:
        """Writes a batch; which of it were written."""
        try:
            accepted = await self._write(parts)
        except psycopg.Error as error:
            if _may_have_been_committed(error):
                raise
            # One part may be at fault: each goes the general way by itself.
            REFUSED.inc()
            log.warning("commit_refused", parts=len(parts), error_type=type(error).__name__)
            accepted = set()
        CONFLICTS.inc(len(parts) - len(accepted))
        for number in accepted:
            count_transitions(parts[number].changes)
        return [number in accepted for number in range(len(parts))]

    async def _write(self, parts: Sequence[Writes]) -> set[int]:
        """One transaction: the numbers of the parts that it wrote."""
        PARTS.observe(len(parts))
        parameters = {"parts": encode(parts), "booking_channel": CHANNEL}
        async with self._connections.borrow() as connection:
            cursor = await connection.execute(STATEMENT, parameters, prepare=True)
            return {number for (number,) in await cursor.fetchall()}


def commit_span() -> AbstractContextManager[object]:
    """Covers one caller's wait for its commit, whose own statement belongs to many traces."""
    return child_span(_tracer, "gateway.commit", {"db.system": "postgresql"})


def _may_have_been_committed(error: psycopg.Error) -> bool:
    """Whether the connection was lost, rather than the statement refused."""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))
    )


SETTINGS = {
    # The statement takes milliseconds to plan, the same way each time; the planner knows neither
    # how few rows a part has nor how large the tables will be.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # It waits for nobody but another writer of the same request_id, and not for ever.
    "lock_timeout": "5s",
}


def commit_connections(database: Database | str, role: str) -> Connections:
    """One for each transaction that may be under way."""
    return Connections(
        database,
        role=role,
        size=MAX_COMMITS,
        application_name="gateway-commits",
        session_settings=SETTINGS,
    )

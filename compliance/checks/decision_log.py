"""Decides and writes to the log: all that wait in one transaction, one at a time in a process.

The chain makes writers wait for each other, so that a transaction for each decision would make the
log the slowest part of a check. What arrives while a batch is being committed forms the next one.
One that cannot be written is found by halving its batch: only its own caller gets to know of it.

Decisions are made under the log's lock, one after the other, each seeing what those before it have
let through, in this batch, in another and in other processes. The facts of a batch are read just
before, in the same round trip.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import psycopg

from compliance.cases.case import CaseChange, Checked
from compliance.cases.keeping import CaseKeeping, count
from compliance.cases.store import runs_in
from compliance.checks.canonical import dumps
from compliance.checks.decision import DecisionRecord
from compliance.checks.facts_store import (
    LOAD_FACTS,
    CheckInput,
    Found,
    LoadedFacts,
    found_in,
    lookups_of,
)
from compliance.checks.findings import Verdict
from compliance.checks.history import CountedPayment, Histories, HistoryFacts
from compliance.checks.history_store import (
    READ_HISTORY,
    ReadHistory,
    RememberedHistories,
    asked_of,
    read_history_of,
    to_write,
)
from compliance.errors import ERRORS
from compliance.v1 import error_reason_pb2
from runtime import arrays
from runtime.batching import Batcher, FullError
from runtime.database import Database
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import is_unavailable
from runtime.session import Session
from runtime.sql_files import read_sql
from runtime.telemetry import child_span, tracer

MAX_BATCH = 256
MAX_WAITING = 4096
STATEMENT_TIMEOUT_SECONDS = 10.0
# A process that stands still while it has the log's lock is left by the server after so long, so
# that the others go on.
MAX_STANDSTILL_MS = 2_000
SETTINGS = {
    "idle_in_transaction_session_timeout": str(MAX_STANDSTILL_MS),
    # Batches differ in their size alone: by it, each would be planned anew, under the lock.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
# A connection that broke while it was idle is noticed by the next write. To write a batch again is
# safe: what was committed already is left out, as any request_id that was used before.
MAX_ATTEMPTS = 2

_LOCK = read_sql(__file__, "lock_decisions")
_APPEND = read_sql(__file__, "append_decisions")

log = get_logger(__name__)
_tracer = tracer(__name__)


@dataclass(frozen=True)
class Place:
    """A decision's position in the chain."""

    sequence: int
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True)
class Decided:
    """A decision, and what it means for cases: None for what nobody has to decide."""

    record: DecisionRecord
    checked: Checked | None = None


@dataclass(frozen=True)
class Postponed:
    """Not decided, and not in the log: something has to be found out first, by what was loaded."""

    loaded: LoadedFacts


@dataclass(frozen=True)
class Undecided:
    """What is to be decided: `decide` gets what was found about `asked` and the rest of its batch,
    and what was let through besides `payment`; it is pure.

    `payment` is how it counts if it is let through; None for what does not count.
    """

    decision_id: str
    asked: CheckInput
    request: bytes
    payment: CountedPayment | None
    decide: Callable[[Found, tuple[HistoryFacts, ...]], Decided | Postponed]


@dataclass(frozen=True)
class Appended:
    """A decision in the log."""

    record: DecisionRecord
    place: Place


# None if the request_id was decided before.
Answer = Appended | Postponed | None


class DecisionLog:
    """The way into the table `decision`."""

    def __init__(
        self, database: Database | str, role: str, application_name: str, cases: CaseKeeping
    ) -> None:
        self._database = Database.of(database)
        self._cases = cases
        self._role = role
        self._application_name = application_name
        self._batcher: Batcher[Undecided, Answer] = Batcher(
            self._write, max_items=MAX_BATCH, max_waiting=MAX_WAITING, gathers=True
        )
        self._items = Items("decisions to write")
        self._connection: Session | None = None
        self._remembered = RememberedHistories()

    async def append(self, undecided: Undecided) -> Answer:
        """What was decided and where it was written.

        Returns when it is committed. A call that is given up may still be written: its repetition
        finds it. Raises `OVERLOADED`, or a database error.
        """
        try:
            written = self._batcher.submit(undecided)
        except FullError:
            raise ERRORS.error(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                error_reason_pb2.ERROR_REASON_OVERLOADED,
                "too many decisions wait to be written",
            ) from None
        # The statements belong to many traces.
        with child_span(_tracer, "compliance.decide", {"db.system": "postgresql"}):
            return await written

    async def close(self) -> None:
        """Writes what still waits, then lets go of the connection; nobody appends any more."""
        await self._batcher.close()
        await self._disconnect()

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _write(self, batch: Sequence[Undecided]) -> list[Answer | Exception]:
        """Writes a batch: what was decided and where it was written, or why it was not."""
        answers: dict[str, Answer] = {}
        failures: dict[str, Exception] = {}

        async def insert(part: Sequence[Undecided]) -> None:
            answers.update(await self._insert_again(part))

        def fail(undecided: Undecided, error: Exception) -> None:
            failures[undecided.decision_id] = _failure(error)

        try:
            await self._items.together(batch, insert, _decision_id, fail)
        except Exception as error:
            if not is_unavailable(error):
                raise
            # Those who wait are told now rather than when the database is back.
            for undecided in batch:
                if undecided.decision_id not in answers:
                    failures.setdefault(undecided.decision_id, _not_written())
        return [failures.get(u.decision_id) or answers.get(u.decision_id) for u in batch]

    async def _insert_again(self, batch: Sequence[Undecided]) -> dict[str, Answer]:
        attempt = 1
        while True:  # At most MAX_ATTEMPTS times.
            try:
                return await self._insert_in_time(batch)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning(
                    "decisions_not_written",
                    count=len(batch),
                    attempt=attempt,
                    error_type=type(error).__name__,
                )
                if attempt == MAX_ATTEMPTS:
                    raise
            attempt += 1

    async def _insert_in_time(self, batch: Sequence[Undecided]) -> dict[str, Answer]:
        try:
            async with asyncio.timeout(STATEMENT_TIMEOUT_SECONDS):
                return await self._insert(batch)
        except Exception:
            await self._disconnect()
            raise

    async def _insert(self, batch: Sequence[Undecided]) -> dict[str, Answer]:
        if self._connection is None or self._connection.closed:
            self._connection = await self._database.connect(
                role=self._role,
                application_name=self._application_name,
                configure=_configure,
            )
        await self._connection.plan_anew()
        connection = self._connection
        changes: tuple[CaseChange, ...] = ()
        lookups = lookups_of([undecided.asked for undecided in batch])
        counted = asked_of(
            [undecided.payment for undecided in batch if undecided.payment is not None],
            [undecided.asked.request_id for undecided in batch],
        )
        # What goes to the server together takes one round trip: the facts, the lock and what is
        # read under it; then the decisions and their COMMIT. Whatever fails leaves the connection,
        # and with it the transaction.
        async with connection.pipeline() as pipeline:
            await connection.execute("BEGIN")
            facts = await connection.execute(LOAD_FACTS, lookups, prepare=True)
            await connection.execute(_LOCK, prepare=True)
            history = await connection.execute(READ_HISTORY, counted, prepare=True)
            # To the server a session is idle only once it was told that nothing more comes now:
            # without that it would wait under the lock for good. It is the same round trip.
            await pipeline.sync()
            found = found_in(await facts.fetchall())
            read = read_history_of(await history.fetchall(), self._remembered.loads)
            made = _decide(batch, found, read)
            parameters = made.to_write(self._remembered)
            cursor = await connection.execute(_APPEND, parameters, prepare=True)
            checked = [item.checked for item in made.decided if item.checked is not None]
            if checked:
                changes = await self._cases.keep(runs_in(connection, pipeline), checked)
            await connection.execute("COMMIT")
        count(changes)
        places = {
            decision_id: Place(sequence, bytes(previous_hash), bytes(hash_))
            for decision_id, sequence, previous_hash, hash_ in await cursor.fetchall()
        }
        records = [item.record for item in made.decided]
        appended = {
            record.decision_id: Appended(record, places[record.decision_id]) for record in records
        }
        return {**appended, **made.postponed}


@dataclass
class _Made:
    """What became of a batch: decisions in its order, and by id what was postponed."""

    histories: Histories
    decided: list[Decided] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    postponed: dict[str, Postponed] = field(default_factory=dict)

    def to_write(self, remembered: RememberedHistories) -> dict[str, Any]:
        """What `append_decisions.sql` is told."""
        return {
            "records": arrays.texts([dumps(item.record) for item in self.decided]),
            "bodies": arrays.byteas(self.requests),
            **to_write(self.histories, remembered),
        }


def _decide(batch: Sequence[Undecided], found: Found, read: ReadHistory) -> _Made:
    """Decides a batch in its order, but for requests that were decided before.

    `read` is what was read under the log's lock.
    """
    made, known = _Made(read.histories), set(read.decided)
    for undecided in batch:
        request_id, payment = undecided.asked.request_id, undecided.payment
        if request_id in known:
            continue
        history = () if payment is None else made.histories.facts_of(payment)
        decided = undecided.decide(found, history)
        if isinstance(decided, Postponed):
            made.postponed[undecided.decision_id] = decided
            continue
        known.add(request_id)
        if payment is not None and decided.record.verdict == Verdict.ALLOW.name:
            made.histories.count(payment)
        made.decided.append(decided)
        made.requests.append(undecided.request)
    return made


async def _configure(connection: Session) -> None:
    arrays.register(connection)
    for name, value in SETTINGS.items():
        await connection.execute("SELECT set_config(%s, %s, FALSE)", [name, value])


def _decision_id(undecided: Undecided) -> str:
    return undecided.decision_id


def _failure(error: Exception) -> Exception:
    """One that the database does not take for what it holds fails for good, others not."""
    if isinstance(error, psycopg.Error) and not isinstance(error, psycopg.DataError):
        return _not_written()
    return error


def _not_written() -> psycopg.OperationalError:
    return psycopg.OperationalError("the decision log cannot be written")

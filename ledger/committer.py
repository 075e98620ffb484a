"""Group commit: many callers, one committer per ledger, one database transaction per batch.

While one batch is being written the next gathers in the queue, so that batches grow with the load
and a lone caller waits for nobody. What the committer wrote last it still knows, and decides the
next batch from that; the one statement that writes it claims the ledger's head by comparing its
revision, so that a second replica is noticed, not assumed away. See docs/adr/0003-group-commit.md.
"""

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import NamedTuple

import psycopg

from ledger import store
from ledger.accounts import Account
from ledger.book import Book
from ledger.commands import Command, Outcome, Prior
from ledger.deciding import Deciding
from ledger.errors import batch_too_large, database_unavailable, ledger_moving, overloaded
from ledger.limits import LIMITS, Limits
from ledger.metrics import COMMIT_ITEMS, COMMIT_SECONDS, COMMITS
from ledger.needs import needs_of, touched_by
from ledger.plan import Head, Plan
from ledger.queue import CommandQueue, FullError, Waiting, answer_all
from ledger.times import micros_of, text_of
from runtime.clock import Clock
from runtime.connections import Connection, Connections
from runtime.errors import ServiceError
from runtime.logs import get_logger

MAX_CACHED_ACCOUNTS = 200_000
# From this attempt on the head is locked first, so that a busy second replica cannot win forever.
LOCKING_ATTEMPT = 2
MAX_ATTEMPTS = 5
MAX_OUTAGES = 2

log = get_logger(__name__)


class Attempt(Enum):
    """What one attempt to commit a batch came to."""

    COMMITTED = auto()
    # The head had moved, a request_id was taken or a moment closed: nothing was written.
    LOST = auto()
    # Holds had to expire first: some have, the batch has not been decided yet.
    EXPIRED = auto()


class Result(NamedTuple):
    """One attempt: what was written, if anything, and for whom it was decided."""

    attempt: Attempt
    plan: Plan | None = None
    decided: Sequence[Waiting] = ()
    postponed: Sequence[Waiting] = ()


class Committer:
    """The only writer of one ledger in this process."""

    def __init__(
        self,
        ledger_id: int,
        ledger: str,
        connections: Connections,
        clock: Clock,
        on_commit: Callable[[int, int], None],
        limits: Limits = LIMITS,
    ) -> None:
        self._ledger_id = ledger_id
        self._ledger = ledger
        self._connections = connections
        self._clock = clock
        self._on_commit = on_commit
        self._queue = CommandQueue(limits)
        self._running: asyncio.Task[None] | None = None
        self._limits = limits
        self._sweep_wanted = False
        self._more_due = False
        self._is_ending = False
        self._head: Head | None = None
        self._accounts: dict[str, Account] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or being committed."""
        return self._running is None

    async def submit(self, command: Command) -> Outcome:
        """Waits for the command's outcome. A caller that leaves before it is taken is dropped.

        Raises `ServiceError` with OVERLOADED when the queue is full, and DEPENDENCY_UNAVAILABLE
        when the database is.
        """
        try:
            outcome = self._queue.put(command)
        except FullError:
            raise overloaded(self._ledger) from None
        self._wake()
        return await outcome

    def expire_due(self) -> None:
        """Has holds whose time has come expired, though nobody asks for anything else."""
        self._sweep_wanted = True
        self._wake()

    async def finished(self) -> None:
        """Waits until what is queued has been answered; holds that are due can wait."""
        self._is_ending = True
        while self._running is not None:
            await asyncio.wait([self._running])

    def _wake(self) -> None:
        if self._running is None:
            # A context of its own: the work belongs to no single caller, nor does its deadline.
            self._running = asyncio.create_task(
                self._run(), name=f"committer-{self._ledger}", context=contextvars.Context()
            )

    async def _run(self) -> None:
        try:
            while self._queue or self._sweep_wanted or self._more_due:
                if self._sweep_wanted:
                    # Another replica may have made the hold, of which we know nothing yet.
                    self._sweep_wanted = False
                    self._forget()
                self._more_due = False
                await self._queue.gather()
                batch, items = self._queue.take()
                COMMIT_ITEMS.observe(items)
                await self._commit_or_isolate(batch)
        finally:
            self._running = None

    async def _commit_or_isolate(self, batch: Sequence[Waiting]) -> None:
        """Commits a batch; if it fails as a whole, each command by itself.

        So a defect that one request brings to light stays with that request, and what is too much
        for one commit is done in several.
        """
        try:
            await self._commit(batch)
        except Exception as error:  # noqa: BLE001 (handed to the callers, each of whom raises it)
            self._forget()
            if isinstance(error, (ServiceError, store.LedgerFencedError)) or len(batch) <= 1:
                if isinstance(error, store.TooManyEntriesError):
                    answer_all(batch, batch_too_large(error.entries))
                elif isinstance(error, store.LedgerFencedError):
                    answer_all(batch, ledger_moving(self._ledger))
                else:
                    answer_all(batch, error)
                return
            log.warning("commit_failed", ledger=self._ledger, error_type=type(error).__name__)
            for waiting in batch:
                await self._commit_or_isolate([waiting])

    async def _commit(self, batch: Sequence[Waiting]) -> None:
        """Expires holds, some of them if many are due, and commits the batch after that.

        The rules count by time what is due and not recorded yet, so that nobody has to wait until
        all of it is.
        """
        outages = lost = 0
        may_expire = True
        while lost < MAX_ATTEMPTS:
            try:
                with COMMIT_SECONDS.time():
                    async with self._connections.borrow() as connection:
                        attempt = await self._attempt(
                            connection,
                            batch,
                            lock=lost >= LOCKING_ATTEMPT,
                            repeated=lost > 0,
                            may_expire=may_expire,
                        )
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # It may have been committed: the next attempt looks the request ids up.
                self._forget()
                outages += 1
                lost += 1
                COMMITS.labels("outage").inc()
                log.warning(
                    "commit_interrupted", ledger=self._ledger, error_type=type(error).__name__
                )
                if outages >= MAX_OUTAGES:
                    raise database_unavailable() from error
                continue
            COMMITS.labels(attempt.name.lower()).inc()
            if attempt is Attempt.COMMITTED:
                return
            if attempt is Attempt.EXPIRED:
                may_expire = False
            else:
                self._forget()
                if not batch:
                    # Another replica is at it: two of them would undo each other's work.
                    return
                lost += 1
        raise AssertionError("a batch was not committed though it held the head's lock")

    async def _attempt(
        self,
        connection: Connection,
        batch: Sequence[Waiting],
        *,
        lock: bool,
        repeated: bool,
        may_expire: bool,
    ) -> Attempt:
        """One try. Callers are answered only after the commit, whichever way it was made."""
        if lock:
            # Whatever is known may be old by now, and the lock is no use to what is old.
            self._forget()
            async with connection.transaction():
                result = await self._decide_and_write(connection, batch, True, repeated, may_expire)
        else:
            result = await self._decide_and_write(connection, batch, False, repeated, may_expire)
        if result.plan is not None:
            self._accept(result.plan)
            # A commit of expiries has no outcomes: its batch is still to be decided.
            for waiting, outcome in zip(result.decided, result.plan.outcomes, strict=True):
                if not waiting.outcome.done():
                    waiting.outcome.set_result(outcome)
        self._queue.put_back(result.postponed)
        return result.attempt

    async def _decide_and_write(
        self,
        connection: Connection,
        batch: Sequence[Waiting],
        lock: bool,
        repeated: bool,
        may_expire: bool,
    ) -> Result:
        commands = [waiting.command for waiting in batch]
        needs = needs_of(commands, self._accounts, with_request_ids=repeated)
        now_us = micros_of(self._clock.now())
        book = Book(self._accounts, text_of)
        priors: dict[str, Prior] = {}
        if self._head is None or needs or lock or self._head.is_due(now_us):
            loaded = await store.load(connection, self._ledger_id, needs, lock=lock)
            if not self._remember(loaded, book):
                return Result(Attempt.LOST)
            priors = loaded.priors
        head = self._head
        assert head is not None, "the head was just loaded"
        record_us = head.record_us(now_us)
        postponed: Sequence[Waiting] = ()
        if head.is_due(record_us):
            if may_expire:
                return await self._expire(connection, head, record_us)
            self._more_due = not self._is_ending
            await self._count_lapsed(connection, commands, book, head, record_us)
            batch, postponed = _without_closing(batch, book)
            commands = [waiting.command for waiting in batch]
        plan = Deciding(self._ledger, head, book, priors, record_us).decide(commands)
        if not plan.is_empty and not await store.write(
            connection, self._ledger_id, self._ledger, plan
        ):
            return Result(Attempt.LOST)
        return Result(Attempt.COMMITTED, plan, batch, postponed)

    async def _count_lapsed(
        self,
        connection: Connection,
        commands: Sequence[Command],
        book: Book,
        head: Head,
        record_us: int,
    ) -> None:
        """Tells the book what is due of the accounts at hand and not recorded yet."""
        numbers = touched_by(commands, book)
        if numbers and head.next_expire_us is not None:
            book.lapsed = await store.lapsed(
                connection,
                self._ledger_id,
                numbers,
                first_us=head.next_expire_us,
                now_us=record_us,
            )

    async def _expire(self, connection: Connection, head: Head, record_us: int) -> Result:
        """Expires what is due by a moment, the earliest first, some of it if it is much."""
        due = await store.due_holds(
            connection, self._ledger_id, record_us, limit=self._limits.expiries_per_commit
        )
        if not due:
            # It was settled in time. When the next one is due has to be looked up.
            self._forget()
            return Result(Attempt.EXPIRED)
        needs = store.Needs(names=(), sequences=due, source_ids=(), request_ids=())
        book = Book(self._accounts, text_of)
        loaded = await store.load(connection, self._ledger_id, needs, lock=False)
        if not (loaded.head.is_same_commit(head) and self._remember(loaded, book)):
            return Result(Attempt.LOST)
        deciding = Deciding(self._ledger, loaded.head, book, {}, loaded.head.record_us(record_us))
        deciding.expire(due)
        plan = deciding.finish()
        if not await store.write(connection, self._ledger_id, self._ledger, plan):
            return Result(Attempt.LOST)
        return Result(Attempt.EXPIRED, plan)

    def _accept(self, plan: Plan) -> None:
        """Takes over what a committed plan made of the ledger."""
        if plan.is_empty:
            return
        self._head = plan.head_after()
        if plan.records:
            self._on_commit(self._ledger_id, plan.last_sequence)
        if len(self._accounts) > MAX_CACHED_ACCOUNTS:
            self._accounts.clear()

    def _remember(self, loaded: store.Loaded, book: Book) -> bool:
        """Adds what was loaded to what is known; False if what is known is out of date."""
        if self._head is not None and not self._head.is_same_commit(loaded.head):
            return False
        self._head = loaded.head
        for account in loaded.accounts:
            self._accounts.setdefault(account.name, account)
        for source in loaded.sources:
            book.sources[source.sequence] = source
        book.sequence_of.update(loaded.sequence_of)
        return True

    def _forget(self) -> None:
        """Drops what is known: it may be no longer true."""
        self._head = None
        self._accounts.clear()


def _without_closing(
    batch: Sequence[Waiting], book: Book
) -> tuple[Sequence[Waiting], Sequence[Waiting]]:
    """The batch without those who close an account that still holds what is due, and them.

    Nothing is recorded of a closed account, not even that a hold of it has expired: they wait.
    """
    waits = [
        bool(waiting.command.close)
        and waiting.command.close in book.accounts
        and book.accounts[waiting.command.close].number in book.lapsed
        for waiting in batch
    ]
    if not any(waits):
        return batch, ()
    return (
        [waiting for waiting, has_to_wait in zip(batch, waits, strict=True) if not has_to_wait],
        [waiting for waiting, has_to_wait in zip(batch, waits, strict=True) if has_to_wait],
    )

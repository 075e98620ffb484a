"""One service's PostgreSQL as this process sees it: which server takes writes, and whether it does.

A server that is frozen keeps its sockets open, its kernel acknowledges what is sent, and no
time-out of TCP ever fires. So each process commits something small each second, on a connection of
its own: as long as that is not answered the database is not well, and another primary is looked
for. When one is found, or none can be reached, every session with the old one is left: what was
under way there fails as when a connection is lost. While the server itself can be reached, and
only commits stand (a standby is away), nothing is left: each would hold a backend there for good.

After each of these commits, and at each new connection, it is looked whether a standby has what
is committed (`runtime.durability_watch`).

See docs/adr/0030-a-database-that-stalls.md.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg.rows import AsyncRowFactory, tuple_row

from runtime.backoff import Backoff
from runtime.database_errors import DatabaseDownError
from runtime.database_limits import DatabaseLimits
from runtime.database_url import Host, parse
from runtime.durability_watch import LOOK, DurabilityWatch, read
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds, is_unavailable
from runtime.notifier import Notifier
from runtime.session import NOTICE_MS, Session
from runtime.tasks import cancel

# How often the database is asked to commit, or whether there is another primary.
WATCH_SECONDS = 1.0
# A session of the watch whose commit stands is given up after so long, though its server can be
# reached, and each time after twice as long: at a server where commits stand it stays behind.
PATIENCE_SECONDS = 10.0
MAX_PATIENCE_SECONDS = 600.0
# A server that is away refuses at once, and is tried by each caller; one that is silent is not.
QUICK_REFUSAL_SECONDS = 0.5
RECONNECT = Backoff(timedelta(milliseconds=100), timedelta(milliseconds=500))
# A dead peer is noticed in about 15 s: TCP's own default is two hours.
TCP_OPTIONS: dict[str, Any] = {
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "15000",
}
# It is written to the log and to standbys, and to no table; anybody may. Gives where it is there.
SMALL_COMMIT = "SELECT (pg_logical_emit_message(TRUE, 'health', '') - '0/0'::pg_lsn)::bigint"
# Whether standbys are seen, and whether they would be in the role that may see them.
MAY_SEE_STANDBYS = """
    SELECT
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
        pg_has_role(session_user, 'pg_read_all_stats', 'MEMBER')
"""
SEE_STANDBYS = "SET ROLE pg_read_all_stats"
# Another text after a failover, a restore or a restart of the server.
INCARNATION = (
    "SELECT pg_postmaster_start_time() || ' ' || oid FROM pg_database"
    " WHERE datname = current_database()"
)
_WATCH = "watch"
_NOT_LOOKED_AT = "not looked at yet"

log = get_logger(__name__)


class DatabaseStallsError(Exception):
    """The database is not well: the message says how."""


class _ServerChangedError(psycopg.OperationalError):
    """Another server takes writes than the one that does not answer."""


class Database:
    """The way to all connections of one process to one database."""

    def __init__(
        self,
        url: str,
        limits: DatabaseLimits | None = None,
        durability: DurabilityWatch | None = None,
    ) -> None:
        self._url = parse(url)
        self.durability = durability or DurabilityWatch()
        """Whether what is committed is on a standby, too."""
        self._limits = limits or DatabaseLimits()
        # The one that was last good comes first, those that gave no answer last.
        self._hosts = list(self._url.hosts)
        self._sessions: WeakSet[Session] = WeakSet()
        self._trouble: str | None = _NOT_LOOKED_AT
        self._is_watched = False
        self._is_silent = False
        self._failures = 0
        self._patience_seconds = PATIENCE_SECONDS
        # Notified when there is a reason to look now.
        self._doubt = self.durability.wanted
        self._looked = asyncio.Event()
        self.name = self._url.parameters.get("dbname", "")
        self.changed = Notifier()
        """Notified when the database gets well or unwell."""

    @classmethod
    def of(cls, given: "str | Database") -> "Database":
        """A database that is given, or the one at this URL, which nobody watches."""
        return cls(given) if isinstance(given, str) else given

    async def connect(
        self,
        *,
        role: str | None,
        application_name: str,
        autocommit: bool = True,
        row_factory: AsyncRowFactory[Any] = tuple_row,
        configure: Callable[[Session], Any] | None = None,
    ) -> Session:
        """A session in the role at the server that takes writes.

        Raises `psycopg.OperationalError`; at once, while it is known that nobody answers.
        """
        if self._is_silent and self._is_watched:
            raise DatabaseDownError("the database cannot be reached")
        began = time.monotonic()
        try:
            session = await self._connect(role, application_name, row_factory)
        except psycopg.OperationalError:
            self._not_connected(began)
            self._doubt.notify()
            raise
        try:
            if configure is not None:
                await configure(session)
            await session.set_autocommit(autocommit)
        except BaseException:
            session.drop()
            raise
        return session

    async def check(self) -> None:
        """Raises `DatabaseStallsError` unless the last commit was answered in time."""
        await self._looked.wait()
        if self._trouble is not None:
            raise DatabaseStallsError(self._trouble)

    def loop(self) -> Loop:
        """Watches the database; what it finds is `check` and what becomes of sessions."""
        self._is_watched = True
        return Loop(
            "database",
            session=self._watch,
            poll_seconds=WATCH_SECONDS,
            notifier=self._doubt,
            # Whatever it is: it is no fault of ours that the database refuses a commit.
            expected=(psycopg.Error,),
            on_expected=self._commit_failed,
            backoff=RECONNECT,
        )

    async def _watch(self) -> Rounds:
        """A session with one primary; a round is a commit."""
        session = await self._connect_or_leave()
        try:
            await self._see_standbys(session)
            self._leave(lambda other: other.incarnation != session.incarnation, "moved")
            while True:  # Until the loop closes it, or the server is another.
                await self._commit(session)
                self._well()
                yield False
        finally:
            session.drop()

    async def _commit(self, session: Session) -> None:
        """Returns when a commit was answered and it was looked whether a standby has it; raises
        when there is reason to go elsewhere."""
        started = time.monotonic()
        commit = asyncio.ensure_future(self._commit_and_look(session))
        try:
            await asyncio.wait({commit}, timeout=self._limits.stall_seconds)
            while not commit.done():
                self._set("commits stand")
                await self._look_elsewhere(session)
                if time.monotonic() - started > self._patience_seconds:
                    self._patience_seconds = min(2 * self._patience_seconds, MAX_PATIENCE_SECONDS)
                    raise _ServerChangedError("the session of the watch gets no answer")
                await asyncio.wait({commit}, timeout=WATCH_SECONDS)
            commit.result()
        finally:
            await cancel(commit)
            if not commit.cancelled():
                commit.exception()  # It is of no interest when another reason is raised.

    async def _commit_and_look(self, session: Session) -> None:
        cursor = await session.execute(SMALL_COMMIT)
        row = await cursor.fetchone()
        assert row is not None, "a function gives a row"
        await self._look(session, committed=row[0])

    async def _look(self, session: Session, committed: int | None = None) -> None:
        cursor = await session.execute(LOOK)
        row = await cursor.fetchone()
        assert row is not None, "one is connected to a database"
        self.durability.looked(*read(row, committed))

    async def _see_standbys(self, session: Session) -> None:
        """Has the session see how standbys stand, if its login may."""
        cursor = await session.execute(MAY_SEE_STANDBYS)
        row = await cursor.fetchone()
        assert row is not None, "functions give a row"
        sees, is_member = row
        if is_member and not sees:
            await session.execute(SEE_STANDBYS)

    async def _look_elsewhere(self, session: Session) -> None:
        fresh = await self._connect_or_leave()
        try:
            if fresh.incarnation != session.incarnation:
                raise _ServerChangedError("another server takes writes")
            # Commits stand: is there a standby at all?
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.connect_seconds):
                    await self._see_standbys(fresh)
                    await self._look(fresh)
        finally:
            fresh.drop()

    def _well(self) -> None:
        self._is_silent = False
        self._failures = 0
        self._patience_seconds = PATIENCE_SECONDS
        silent_since = time.monotonic() - self._limits.answer_seconds
        self._leave(lambda session: session.waits_since(silent_since), "silent")
        self._set(None)

    async def _connect_or_leave(self) -> Session:
        """A session of the watch; if there is none to be had, all others are left."""
        began = time.monotonic()
        try:
            return await self._connect(None, _WATCH, tuple_row)
        except psycopg.Error:
            self._not_connected(began)
            self._leave(lambda _session: True, "unreachable")
            self._set("cannot be reached")
            raise

    def _not_connected(self, began: float) -> None:
        """Who is refused finds out quickly; what took long nobody has to find out again."""
        self._is_silent = time.monotonic() - began > QUICK_REFUSAL_SECONDS

    def _commit_failed(self, error: Exception) -> None:
        """A session that the server has ended is made anew first; what it refuses is not well."""
        if isinstance(error, _ServerChangedError):
            return
        self._failures += 1
        if self._trouble is None and (self._failures > 1 or not is_unavailable(error)):
            self._set(f"commits fail: {type(error).__name__}")

    def _set(self, trouble: str | None) -> None:
        self._looked.set()
        if trouble != self._trouble:
            self._trouble = trouble
            self.changed.notify()

    def _leave(self, condition: Callable[[Session], bool], reason: str) -> None:
        left = [session for session in self._sessions if condition(session)]
        for session in left:
            self._sessions.discard(session)
            session.leave()
        if left:
            log.warning("database_sessions_left", count=len(left), reason=reason)

    async def _connect(
        self, role: str | None, application_name: str, row_factory: AsyncRowFactory[Any]
    ) -> Session:
        """A session in autocommit mode at the first host that takes it."""
        errors: list[str] = []
        for host in list(self._hosts):
            try:
                session = await self._connect_to(host, role, application_name, row_factory)
            except psycopg.errors.ConnectionTimeout as error:
                self._move(host, len(self._hosts))
                errors.append(str(error))
            except psycopg.OperationalError as error:
                if len(self._hosts) == 1:
                    raise
                errors.append(str(error))
            else:
                self._move(host, 0)
                self._sessions.add(session)
                return session
        raise psycopg.OperationalError("; ".join(errors))

    async def _connect_to(
        self,
        host: Host,
        role: str | None,
        application_name: str,
        row_factory: AsyncRowFactory[Any],
    ) -> Session:
        conninfo = self._url.conninfo(
            host,
            application_name=application_name,
            connect_timeout=self._limits.connect_seconds,
            options=_options(self._url.parameters.get("options"), role),
            **TCP_OPTIONS,
        )
        session = await Session.connect(conninfo, autocommit=True, row_factory=row_factory)
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                async with session.cursor(row_factory=tuple_row) as cursor:
                    await cursor.execute(LOOK)
                    row = await cursor.fetchone()
        except TimeoutError:
            session.drop()
            raise psycopg.errors.ConnectionTimeout("no answer after connecting") from None
        except BaseException:
            session.drop()
            raise
        assert row is not None, "one is connected to a database"
        session.incarnation, reading = read(row)
        self.durability.connected(session.incarnation, reading)
        session.opened = time.monotonic()
        return session

    def _move(self, host: Host, place: int) -> None:
        self._hosts.remove(host)
        self._hosts.insert(place, host)


def _options(given: str | None, role: str | None) -> str:
    options = f"-c timezone=UTC -c client_connection_check_interval={NOTICE_MS}"
    if role is not None:
        options += f" -c role={role}"
    return f"{given} {options}" if given else options

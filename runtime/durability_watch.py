"""What a process knows of its primary's durability, and what it refuses because of it.

`runtime.database` looks: each second after a commit of its own, and at each new connection. Here is
what was seen last, as a metric, a line in the log when it changes, a detail of health, and where a
synchronous primary is required, as a refusal: nothing is served before it was seen once, and no
write is acknowledged while the last look speaks against it.

A look needs no right but `pg_read_all_stats` to see how standbys stand: without it
`pg_stat_replication` has a row for each of them with nothing in it. The login has to be a member;
only the session of the watch uses it.
"""

import asyncio
from dataclasses import replace
from typing import Any

from prometheus_client import Gauge

from runtime.durability import (
    NOT_LOOKED_AT,
    OTHER_SERVER,
    Durability,
    History,
    Reading,
    Standbys,
    Statement,
    state,
)
from runtime.health import NotWellError
from runtime.logs import get_logger
from runtime.notifier import Notifier

# How long it is waited for a standby to confirm a position: several looks.
CONFIRM_SECONDS = 5.0
DURABILITY = Gauge(
    "database_durability",
    "1 for what the last look found of the primary: whether commits are on a standby, too.",
    ["durability"],
)
for _durability in Durability:
    DURABILITY.labels(_durability).set(0)
REQUIRED = Gauge(
    "database_durability_required",
    "1 if nothing is acknowledged unless the primary is synchronous (REQUIRE_SYNCHRONOUS).",
)
TIMELINE = Gauge(
    "database_timeline", "The timeline that the primary writes; 0 before the first look."
)
# One row, for any role; in recovery there is no WAL file that is written. The first column is
# another text after a failover, a restore or a restart of the server.
LOOK = """
    SELECT
        pg_postmaster_start_time() || ' ' || d.oid,
        pg_is_in_recovery(),
        current_setting('default_transaction_read_only')::boolean,
        current_setting('fsync')::boolean,
        current_setting('full_page_writes')::boolean,
        current_setting('synchronous_commit'),
        current_setting('synchronous_standby_names'),
        CASE
            WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN (
                SELECT ARRAY[count(*), coalesce(max(r.flush_lsn - '0/0'::pg_lsn), 0)]::bigint[]
                FROM pg_stat_replication AS r
                WHERE r.state = 'streaming' AND r.sync_state IN ('sync', 'quorum')
            )
        END,
        CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END,
        c.system_identifier
    FROM pg_database AS d, pg_control_system() AS c
    WHERE d.datname = current_database()
"""
# Of a name in pg_wal, the timeline in hexadecimal digits.
TIMELINE_DIGITS = 8

log = get_logger(__name__)


class NotSynchronousError(NotWellError):
    """A synchronous primary is required, and the last look found none."""

    def __init__(self, statement: Statement) -> None:
        super().__init__(str(statement))
        self.statement = statement


class NotConfirmedError(TimeoutError):
    """No synchronous standby has said in time that it has flushed a position."""


def read(row: tuple[Any, ...], committed: int | None = None) -> tuple[str, Reading]:
    """A row of `LOOK`: which server and database it is, and what it showed."""
    incarnation, in_recovery, read_only, fsync, full_page_writes, commit, names, *rest = row
    standbys, file, system = rest
    return incarnation, Reading(
        in_recovery=in_recovery,
        read_only=read_only,
        fsync=fsync,
        full_page_writes=full_page_writes,
        synchronous_commit=commit,
        standby_names=names,
        standbys=None if standbys is None else Standbys(*standbys),
        timeline=int(file[:TIMELINE_DIGITS], 16) if file else 0,
        system=system,
        committed=committed,
    )


class DurabilityWatch:
    """The last look at one database, and whether it has to have found a synchronous primary."""

    def __init__(self, *, required: bool = False, is_shown: bool = True) -> None:
        """The metrics are of one database: of a process with several, of the one `is_shown`."""
        self.required = required
        self._is_shown = is_shown
        self.statement = NOT_LOOKED_AT
        self.history: History | None = None
        """Of the last look at a server that takes writes; None before."""
        self.before: Statement | None = None
        """What was said last of the history before this one; None if this process saw none."""
        self.wanted = Notifier()
        """Notified when somebody wants a look before its time."""
        self._incarnation = ""
        self._reading: Reading | None = None
        # Of the history that is written, whatever was said since of another server.
        self._found_last = NOT_LOOKED_AT
        self._looked = Notifier()
        self._has_begun = not required
        if required and is_shown:
            REQUIRED.set(1)

    @property
    def incarnation(self) -> str:
        """Which server and database the watch has looked at last; empty before."""
        return self._incarnation

    @property
    def sees_standbys(self) -> bool:
        """Whether the watch's login may see how standbys stand."""
        return self._reading is not None and self._reading.standbys is not None

    @property
    def refuses(self) -> bool:
        """Whether nothing may be acknowledged or begun."""
        return self.required and not self.statement.is_synchronous

    def check(self) -> None:
        """Raises `NotSynchronousError` while a write must not be acknowledged."""
        if self.refuses:
            raise NotSynchronousError(self.statement)

    async def check_begun(self) -> None:
        """For health: raises `NotSynchronousError` until what is required was seen once. Later it
        is writes that are refused, and reads go on."""
        if not self._has_begun:
            raise NotSynchronousError(self.statement)

    def detail(self) -> str:
        """What health says of it."""
        return str(self.statement)

    def looked(self, incarnation: str, reading: Reading) -> None:
        """The watch has looked."""
        self._incarnation = incarnation
        self._reading = reading
        if reading.timeline:
            self._written(History(reading.system, reading.timeline))
        self._found(state(reading))
        self._looked.notify()

    def connected(self, incarnation: str, reading: Reading) -> None:
        """A new connection has looked, perhaps without the right to see standbys: these are as they
        were, if the server is the one that the watch has looked at."""
        if self._reading is None:
            return
        if incarnation != self._incarnation:
            self._say(OTHER_SERVER)
            self.wanted.notify()
        elif reading.standbys is None:
            self._found(state(replace(reading, standbys=self._reading.standbys)))
        else:
            self._found(state(reading))

    async def confirm(
        self, incarnation: str, position: int, seconds: float = CONFIRM_SECONDS
    ) -> None:
        """Returns when a synchronous standby of this very server has flushed a position of its WAL;
        raises `NotConfirmedError` if none has in time."""
        self.wanted.notify()
        try:
            async with asyncio.timeout(seconds):
                while not self._has_confirmed(incarnation, position):
                    await self._looked.token().wait()
        except TimeoutError:
            raise NotConfirmedError(str(self.statement)) from None

    def _has_confirmed(self, incarnation: str, position: int) -> bool:
        reading = self._reading
        return (
            reading is not None
            and incarnation == self._incarnation
            and self.statement.is_synchronous
            and reading.standbys is not None
            and reading.standbys.flushed >= position
        )

    def _written(self, history: History) -> None:
        if history != self.history:
            if self.history is not None:
                log.warning(
                    "database_history_changed",
                    timeline_before=self.history.timeline,
                    timeline=history.timeline,
                    same_system=history.system == self.history.system,
                    durability_before=str(self._found_last),
                )
                self.before = self._found_last
            self.history = history
            if self._is_shown:
                TIMELINE.set(history.timeline)

    def _found(self, statement: Statement) -> None:
        self._found_last = statement
        self._say(statement)

    def _say(self, statement: Statement) -> None:
        if statement == self.statement:
            return
        tell = log.warning if self.required and not statement.is_synchronous else log.info
        tell(
            "database_durability_changed",
            durability=statement.durability,
            cause=statement.cause,
            required=self.required,
        )
        self.statement = statement
        self._has_begun = self._has_begun or statement.is_synchronous
        if self._is_shown:
            for durability in Durability:
                DURABILITY.labels(durability).set(durability is statement.durability)

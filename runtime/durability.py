"""What becomes of a commit when one server is lost: a rule over what a look at the primary showed.

`SYNCHRONOUS` says that a COMMIT is answered only when a standby has flushed it, so that what was
acknowledged outlives the primary. Pure functions and frozen dataclasses; `runtime.durability_watch`
looks. See docs/adr/0074-durability-stated-and-checked.md and
https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
"""

from dataclasses import dataclass
from enum import StrEnum

# With these a COMMIT waits until a synchronous standby has flushed it. `remote_write` waits until
# its operating system has it, `local` and `off` for no standby.
AWAITED = frozenset({"on", "remote_apply"})


class Durability(StrEnum):
    """Whether an acknowledged commit is on another server, too."""

    SYNCHRONOUS = "SYNCHRONOUS"
    ASYNCHRONOUS = "ASYNCHRONOUS"
    READ_ONLY = "READ_ONLY"
    UNKNOWN = "UNKNOWN"


class Cause(StrEnum):
    """Why it is not SYNCHRONOUS; the reasons of one state in the order in which they are told."""

    # UNKNOWN: nobody has looked, or not since connections lead to another server.
    NOT_LOOKED_AT = "NOT_LOOKED_AT"
    OTHER_SERVER = "OTHER_SERVER"
    # READ_ONLY: it is a standby itself, or takes no writes by a setting.
    IN_RECOVERY = "IN_RECOVERY"
    READ_ONLY_TRANSACTIONS = "READ_ONLY_TRANSACTIONS"
    # ASYNCHRONOUS: a crash of the primary's machine may lose what it had before any standby asks.
    FSYNC_OFF = "FSYNC_OFF"
    FULL_PAGE_WRITES_OFF = "FULL_PAGE_WRITES_OFF"
    # … commits of our connections wait for no standby, or not until it has flushed them.
    COMMIT_NOT_AWAITED = "COMMIT_NOT_AWAITED"
    # … no standby has to have them, because none is named.
    NO_STANDBY_NAMED = "NO_STANDBY_NAMED"
    # UNKNOWN: the login may not see how standbys stand (`pg_read_all_stats`).
    STANDBYS_HIDDEN = "STANDBYS_HIDDEN"
    # ASYNCHRONOUS: standbys are named and none of them follows.
    NO_SYNCHRONOUS_STANDBY = "NO_SYNCHRONOUS_STANDBY"
    # … one follows, and a commit that was answered is not on it: the setting is not in force yet.
    COMMIT_NOT_ON_STANDBY = "COMMIT_NOT_ON_STANDBY"


@dataclass(frozen=True, slots=True)
class Standbys:
    """Standbys that a COMMIT may wait for (`sync_state` is sync or quorum) and that follow."""

    count: int
    flushed: int
    """How far the foremost of them has flushed: a position of the WAL in bytes; 0 without any."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look showed."""

    in_recovery: bool
    read_only: bool
    """Whether transactions are read-only unless they say otherwise."""
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    """As it is in force for our own connections."""
    standby_names: str
    """`synchronous_standby_names`."""
    standbys: Standbys | None
    """None where the role may not see them."""
    timeline: int
    """Which history of the server is written; 0 in recovery."""
    system: int
    """PostgreSQL's system identifier: the same for a server and what was copied from it."""
    committed: int | None = None
    """Where in the WAL a commit of ours was that was answered just before the look."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said of the primary."""

    durability: Durability
    cause: Cause | None = None
    """None if it is SYNCHRONOUS."""

    @property
    def is_synchronous(self) -> bool:
        """Whether what is acknowledged is on a standby."""
        return self.durability is Durability.SYNCHRONOUS

    def __str__(self) -> str:
        return self.durability if self.cause is None else f"{self.durability}: {self.cause}"


NOT_LOOKED_AT = Statement(Durability.UNKNOWN, Cause.NOT_LOOKED_AT)
OTHER_SERVER = Statement(Durability.UNKNOWN, Cause.OTHER_SERVER)


def state(reading: Reading) -> Statement:
    """The statement that a look allows: SYNCHRONOUS only if nothing speaks against it."""
    read_only = _read_only(reading)
    if read_only is not None:
        return Statement(Durability.READ_ONLY, read_only)
    set_otherwise = _set_otherwise(reading)
    if set_otherwise is not None:
        return Statement(Durability.ASYNCHRONOUS, set_otherwise)
    standbys = reading.standbys
    if standbys is None:
        return Statement(Durability.UNKNOWN, Cause.STANDBYS_HIDDEN)
    if not standbys.count:
        return Statement(Durability.ASYNCHRONOUS, Cause.NO_SYNCHRONOUS_STANDBY)
    if reading.committed is not None and standbys.flushed < reading.committed:
        return Statement(Durability.ASYNCHRONOUS, Cause.COMMIT_NOT_ON_STANDBY)
    return Statement(Durability.SYNCHRONOUS)


def _read_only(reading: Reading) -> Cause | None:
    if reading.in_recovery:
        return Cause.IN_RECOVERY
    return Cause.READ_ONLY_TRANSACTIONS if reading.read_only else None


def _set_otherwise(reading: Reading) -> Cause | None:
    """What the server's settings say against it, whatever its standbys do."""
    if not reading.fsync:
        return Cause.FSYNC_OFF
    if not reading.full_page_writes:
        return Cause.FULL_PAGE_WRITES_OFF
    if reading.synchronous_commit not in AWAITED:
        return Cause.COMMIT_NOT_AWAITED
    return None if reading.standby_names.strip() else Cause.NO_STANDBY_NAMED


@dataclass(frozen=True, slots=True)
class History:
    """Which history of which server is written; another one after a promotion or a restore."""

    system: int
    timeline: int


def lost_nothing(before: Statement | None, after: Statement) -> bool:
    """Whether nothing that was acknowledged can be missing after a change of the history: the last
    look at the one before and the first at this one both found a synchronous primary. None is a
    process that did not see the one before."""
    return before is not None and before.is_synchronous and after.is_synchronous

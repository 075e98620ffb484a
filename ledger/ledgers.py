"""The ledgers of one shard: making them, finding them, and the committer of each."""

import json
from collections import OrderedDict
from collections.abc import Callable

from ledger.committer import Committer
from ledger.errors import error_of, ledger_already_exists, ledger_not_found, reused
from ledger.limits import LIMITS, Limits
from ledger.placements import DEFAULT_SHARD
from ledger.reader import Reader
from ledger.rows import LedgerRow
from ledger.statements import statement
from ledger.times import micros_of, timestamp_of
from ledger.v1.ledger_pb2 import CreateLedgerRequest, Ledger
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.idempotency import differences
from runtime.loops import Loop

MAX_IDLE_COMMITTERS = 1_000
MAX_LEDGERS_PER_SWEEP = 100


class Ledgers:
    """Finds ledgers by name and keeps one committer for each that is written to."""

    def __init__(
        self,
        reader: Reader,
        reads: Connections,
        commits: Connections,
        clock: Clock,
        on_commit: Callable[[int, int], None],
        limits: Limits = LIMITS,
        shard: str = DEFAULT_SHARD,
    ) -> None:
        self._limits = limits
        self.shard = shard
        self._reader = reader
        self._reads = reads
        self._commits = commits
        self._clock = clock
        self._on_commit = on_commit
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._committers: OrderedDict[int, Committer] = OrderedDict()

    async def id_of(self, name: str) -> int:
        """The number of a ledger; raises LEDGER_NOT_FOUND. A ledger's number never changes."""
        known = self._ids.get(name)
        if known is not None:
            return known
        row = await self.get(name)
        self._ids[name] = row.ledger_id
        if len(self._ids) > MAX_IDLE_COMMITTERS:
            self._ids.popitem(last=False)
        return row.ledger_id

    def forget(self, ledger_id: int, name: str) -> None:
        """The ledger is gone, and may be made anew with another number."""
        self._committers.pop(ledger_id, None)
        if self._ids.get(name) == ledger_id:
            del self._ids[name]

    async def get(self, name: str) -> LedgerRow:
        """A ledger with its head; raises LEDGER_NOT_FOUND."""
        rows = await self._reader.ledgers(name=name)
        if not rows:
            raise ledger_not_found(name)
        return rows[0]

    async def create(self, request: CreateLedgerRequest) -> Ledger:
        """Makes a ledger, or answers the one that this request_id made."""
        async with self._reads.borrow() as connection:
            parameters = {
                "name": request.name,
                "display_name": request.display_name,
                "metadata": json.dumps(dict(request.metadata)),
                "request_id": request.request_id,
                "now": self._clock.now(),
                "shard": self.shard,
            }
            await connection.execute(statement("create_ledger"), parameters)
        made = await self.made_by(request)
        if made is None:
            raise ledger_already_exists(request.name)
        return made

    async def made_by(self, request: CreateLedgerRequest) -> Ledger | None:
        """The ledger that this request_id has made here; raises REQUEST_ID_REUSED if it was asked
        for another one."""
        rows = await self._reads.fetch(
            statement("find_ledgers"), {"name": request.name, "request_id": request.request_id}
        )
        for row in (LedgerRow(*row) for row in rows):
            if row.request_id == request.request_id:
                _check_same_ledger(request, row)
                return ledger_message(row, self.shard)
        return None

    def committer(self, ledger_id: int, name: str) -> Committer:
        """The ledger's committer, the least used idle one making room if there are many."""
        committer = self._committers.get(ledger_id)
        if committer is None:
            committer = Committer(
                ledger_id, name, self._commits, self._clock, self._on_commit, self._limits
            )
            self._committers[ledger_id] = committer
            self._drop_idle()
        self._committers.move_to_end(ledger_id)
        return committer

    def sweep_loop(self) -> Loop:
        """Has holds expired whose time has come in ledgers where nothing else happens."""
        return Loop("hold sweep", self._sweep, poll_seconds=self._limits.sweep_interval_seconds)

    async def _sweep(self) -> bool:
        """One search for holds whose time has come. More than fit are found by the next."""
        rows = await self._reads.fetch(
            statement("ledgers_with_due_holds"),
            {"now": self._clock.now(), "limit": MAX_LEDGERS_PER_SWEEP},
        )
        for ledger_id, name in rows:
            self.committer(ledger_id, name).expire_due()
        return False

    async def finish(self) -> None:
        """Waits until every committer has answered what it was asked."""
        for committer in list(self._committers.values()):
            await committer.finished()

    def _drop_idle(self) -> None:
        if len(self._committers) <= MAX_IDLE_COMMITTERS:
            return
        for ledger_id, committer in self._committers.items():
            if committer.idle:
                del self._committers[ledger_id]
                return


def ledger_message(row: LedgerRow, shard: str) -> Ledger:
    """A ledger as clients see it."""
    message = Ledger(
        name=row.name,
        display_name=row.display_name,
        metadata=row.metadata,
        create_time=timestamp_of(micros_of(row.create_time)),
        last_sequence=row.last_sequence,
        shard=shard,
    )
    if row.last_record_time is not None:
        message.last_record_time.CopyFrom(timestamp_of(micros_of(row.last_record_time)))
    return message


def _check_same_ledger(request: CreateLedgerRequest, row: LedgerRow) -> None:
    first = CreateLedgerRequest(
        request_id=row.request_id,
        name=row.name,
        display_name=row.display_name,
        metadata=row.metadata,
        # Where it is asked for is compared before it is known where it is (ledger.placing).
        shard=request.shard,
    )
    if differing := differences(first, request):
        raise error_of(reused(request.request_id, differing))

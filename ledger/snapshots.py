"""Snapshots: behind the log, what makes reads of the past bounded is added up.

What is written and why is in docs/adr/0013-as-of-reads.md. No answer depends on how far this has
come: reads add up what is not covered yet, so falling behind costs time, never truth. Replicas
may all run it: a ledger is locked while one adds to it, and the others pass it by.
"""

from ledger.limits import LIMITS, Limits
from ledger.metrics import SNAPSHOTTED
from ledger.statements import statement
from runtime.connections import Connections
from runtime.items import Items
from runtime.loops import Loop
from runtime.notifier import Notifier

MAX_ENTRIES_PER_CHUNK = 20_000
MAX_LEDGERS_PER_PAGE = 100
# Between two rounds: what accumulates meanwhile is added up by the reads.
REST_SECONDS = 0.25
# Looked for without a notification as often: commits of other replicas, and what a start finds.
POLL_SECONDS = 5.0


class Snapshots:
    """Follows the logs of all ledgers of a database."""

    def __init__(self, connections: Connections, limits: Limits = LIMITS) -> None:
        self._connections = connections
        self._max_transactions = limits.snapshot_transactions
        self._notifier = Notifier()
        self._items = Items("ledgers to add up")

    def notify(self) -> None:
        """There is something to add up."""
        self._notifier.notify()

    def loop(self) -> Loop:
        """Adds up what there is, rests, and waits for more."""
        return Loop(
            "snapshots",
            self.extend_all,
            notifier=self._notifier,
            rest_seconds=REST_SECONDS,
            poll_seconds=POLL_SECONDS,
        )

    async def extend_all(self) -> bool:
        """Adds a chunk to every ledger that has grown; whether any has more."""
        await self._connections.fetch(statement("snapshot_begin"))
        after = 0
        more = False
        while page := await self._connections.fetch(
            statement("snapshot_pending"), {"after": after, "limit": MAX_LEDGERS_PER_PAGE}
        ):
            for ledger_id, snapshot, last_sequence in page:
                with self._items.kept_apart(str(ledger_id)):
                    reached = await self._extend(ledger_id)
                    # None: another replica is at it.
                    if reached is not None:
                        SNAPSHOTTED.inc(max(reached - snapshot, 0))
                        more = more or reached < last_sequence
            after = page[-1][0]
        return more

    async def _extend(self, ledger_id: int) -> int | None:
        """Adds a chunk to one ledger: how far its snapshots reach; None if another is at it."""
        rows = await self._connections.fetch(
            statement("snapshot_extend"),
            {
                "ledger_id": ledger_id,
                "transactions": self._max_transactions,
                "entries": MAX_ENTRIES_PER_CHUNK,
            },
        )
        ((reached,),) = rows
        return None if reached is None else int(reached)

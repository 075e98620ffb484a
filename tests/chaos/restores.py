"""Databases that are put back to older moments, and the people who do what the pages say then."""

import asyncio
import contextlib
from collections import Counter
from datetime import datetime, timedelta

import psycopg

from tests.backups import Backup
from tests.chaos.cluster import SERVICES, Cluster
from tests.chaos.healing import Time
from tests.chaos.plan import Plan, Restore
from tests.chaos.progress import Progress
from tests.chaos.running import RunningEngine

# What to run, by where its alert shows: DatabaseBehind and LedgerBehind in docs/operations.md.
ALERTS = {
    "recover": "SELECT 1 FROM database_gap WHERE recover_time IS NULL",
    "rebook": "SELECT 1 FROM ledger_standing WHERE stop_reason IS NOT NULL",
}
# What to run after the database of a service was restored, alert or not.
AFTER_A_RESTORE = {"gateway": "recover", "ledger": "rebook"}
LOOK_SECONDS = 0.5
# More than a process may be ahead.
NOTICED_AFTER = timedelta(minutes=1)


class OnCall:
    """Looks at the alerts, and runs the command that ends one; again if it ends with a failure."""

    def __init__(self, engine: RunningEngine) -> None:
        self.commands: Counter[str] = Counter()
        self._engine = engine
        self._ordered: set[str] = set()

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            for command in [*self._ordered, *await self._alerts()]:
                self.commands[command] += 1
                if await self._engine.command("gateway", command) == 0:
                    self._ordered.discard(command)
            await asyncio.sleep(LOOK_SECONDS)

    async def _alerts(self) -> list[str]:
        # Nothing is to be seen while the database is away.
        with contextlib.suppress(psycopg.OperationalError):
            url = self._engine.databases["gateway"]
            async with await psycopg.AsyncConnection.connect(url) as database:
                return [
                    command
                    for command, alert in ALERTS.items()
                    if await (await database.execute(alert)).fetchone()
                ]
        return []


class Operators(OnCall):
    """Those who put databases back, too.

    `restored` counts by service how often its database was put back; each counts from before
    anybody can see it. `lost_until` is when the gateway's last was, and those who are ahead or go
    on for a while with what they know have noticed.
    """

    def __init__(self, time: Time[Cluster]) -> None:
        super().__init__(time.cluster)
        self.restored: Counter[str] = Counter()
        self.lost_until: datetime | None = None
        self._time = time
        self._cluster = time.cluster

    async def restore_all(self, plan: Plan, progress: Progress) -> None:
        """All restores of a plan, one after the other, each at its payment."""
        for restore in plan.restores:
            await progress.reached(restore.kept_at_payment)
            names = SERVICES if restore.service == "all" else (restore.service,)
            for name in names:
                await self._cluster.copy(Backup.take, name)
            await asyncio.sleep(restore.lag_ms / 1_000)
            await progress.reached(restore.at_payment)
            await self._put_back(restore, names)

    async def _put_back(self, restore: Restore, names: tuple[str, ...]) -> None:
        stops = restore.how == "restore"
        for name in names:
            if stops:
                await self._cluster.replicas_down(name)
            self.restored[name] += 1
            await self._cluster.copy(Backup.restore, name)
            if name == "gateway":
                self.lost_until = self._time.now() + NOTICED_AFTER
        for name in names:
            if stops:
                await self._cluster.replicas_up(name)
                # Whoever restores knows what to do; who fails over waits for an alert.
                if name in AFTER_A_RESTORE:
                    self._ordered.add(AFTER_A_RESTORE[name])

"""One breaker for the replicas of a machine group: what one finds, all act on.

When one opens, the others open at once. One replica at a time leases the right to probe, so that
many replicas do not send many times the probes; all follow the result. Replicas of another group
see Stripe over another network, and judge by themselves. While the database is down, so does each
replica.
"""

from collections.abc import Mapping
from datetime import timedelta

from gateway.stripe_client.breaker import EndpointBreaker
from gateway.stripe_client.corridor_client import CorridorClient
from gateway.stripe_client.store import BreakerChange, BreakerStore
from runtime.backoff import Backoff
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.notifications import Notifier

# The lease to probe lasts so long, and longer while a probe is under way: a replica that dies or
# has nothing to send delays the others for no longer. Several times what passes between refreshes.
PROBE_LEASE = timedelta(seconds=5)
# So long another replica's change may go unnoticed where its notification was lost.
REFRESH_SECONDS = 1.0
RECONNECT = Backoff(timedelta(milliseconds=100), timedelta(seconds=1))
# Transitions that wait for the database; of one breaker the last one counts.
MAX_PENDING = 1_000

log = get_logger(__name__)
_Key = tuple[str, str]


class BreakerGroup:
    """Keeps the breakers of this process and those of the others together."""

    def __init__(self, store: BreakerStore, replica: str) -> None:
        self._store = store
        self._replica = replica
        self._clients: Mapping[str, CorridorClient] = {}
        self._pending: list[BreakerChange] = []
        self._known: dict[_Key, int] = {}
        self._following = False
        self.notifier = Notifier()

    def watch(self, clients: Mapping[str, CorridorClient]) -> None:
        """The clients whose breakers belong to the group."""
        self._clients = clients

    def changed(self, corridor: str, breaker: EndpointBreaker, old: str, new: str) -> None:
        """A breaker of this process changed its state: reported, unless it followed another's."""
        if self._following or len(self._pending) >= MAX_PENDING:
            return
        reading = breaker.last_reading
        self._pending.append(
            BreakerChange(
                corridor=corridor,
                endpoint_group=breaker.name,
                old_state=old,
                new_state=new,
                replica=self._replica,
                calls=reading.calls,
                failure_rate=reading.failure_rate,
                slow_call_rate=reading.slow_rate,
            )
        )
        self.notifier.notify()

    async def refresh(self) -> None:
        """Reports changes made here, follows those of others, asks for leases to probe. Raises
        `SQLAlchemyError` if the database does not answer."""
        while self._pending:
            change = self._pending[0]
            number = await self._store.report(change)
            self._known[change.corridor, change.endpoint_group] = number
            self._pending.pop(0)
        for change in await self._store.read():
            self._follow(change)
        for corridor, corridor_client in self._clients.items():
            for breaker in corridor_client.breakers:
                if not (breaker.waits_for_probe_lease or breaker.is_probing):
                    continue
                if await self._store.claim_probes(
                    corridor, breaker.name, self._replica, PROBE_LEASE
                ):
                    breaker.lease_probes(PROBE_LEASE.total_seconds())

    def loop(self) -> Loop:
        """Refreshes whenever something has changed; the first time was at the start."""
        return Loop(
            "breaker group",
            self._round,
            poll_seconds=REFRESH_SECONDS,
            notifier=self.notifier,
            rests_first=True,
            on_expected=lambda _: self.act_alone(),
            backoff=RECONNECT,
        )

    async def _round(self) -> bool:
        await self.refresh()
        return False

    def _follow(self, change: BreakerChange) -> None:
        key = change.corridor, change.endpoint_group
        if change.corridor not in self._clients or change.change_number <= self._known.get(key, 0):
            return
        self._known[key] = change.change_number
        if change.replica == self._replica:
            return
        self._following = True
        try:
            breaker = self._clients[change.corridor].breaker(change.endpoint_group)
            breaker.follow(change.new_state, change.replica)
        finally:
            self._following = False
        log.warning(
            "stripe_breaker_followed",
            corridor=change.corridor,
            endpoint_group=change.endpoint_group,
            state=change.new_state,
            replica=change.replica,
        )

    def act_alone(self) -> None:
        """Without the database there are no leases: better many probes than none."""
        for corridor_client in self._clients.values():
            for breaker in corridor_client.breakers:
                if breaker.waits_for_probe_lease:
                    breaker.lease_probes(PROBE_LEASE.total_seconds())
        # What was not reported meanwhile is reported by its state then.
        last = {(change.corridor, change.endpoint_group): change for change in self._pending}
        self._pending = list(last.values())

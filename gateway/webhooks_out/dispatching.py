"""Dispatching: turns events of the stream into deliveries, endpoint by endpoint."""

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.webhooks_out import deliveries
from gateway.webhooks_out.store import call_senders
from runtime.clock import Clock
from runtime.notifications import Notifier

MAX_STEPS_PER_ROUND = 20


class Dispatcher:
    """Two at once do no harm: an endpoint's row is locked while its cursor moves."""

    def __init__(self, engine: AsyncEngine, clock: Clock, delivery_notifier: Notifier) -> None:
        self._engine = engine
        self._clock = clock
        self._delivery_notifier = delivery_notifier

    async def round(self) -> bool:
        """Brings each endpoint's deliveries up to the stream; True if there may be more."""
        async with self._engine.connect() as connection:
            behind = await deliveries.behind(connection)
        more = False
        for endpoint_id in behind:
            for _ in range(MAX_STEPS_PER_ROUND):
                async with self._engine.begin() as connection:
                    more_of_it = await deliveries.dispatch(
                        connection, endpoint_id, self._clock.now()
                    )
                    await call_senders(connection)
                self._delivery_notifier.notify()
                if not more_of_it:
                    break
            else:
                more = True
        return more

    async def purge_round(self) -> bool:
        """Deletes what was delivered long ago; True if there may be more at once."""
        async with self._engine.begin() as connection:
            purged = await deliveries.purge(connection, self._clock.now())
        return purged == deliveries.PURGE_BATCH

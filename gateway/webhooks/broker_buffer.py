"""A broker as the buffer: intake needs nothing else to answer Stripe."""

from gateway.webhooks.brokers.broker import Broker, Letter
from gateway.webhooks.envelope import pack
from gateway.webhooks.event import StripeEvent
from runtime.clock import Clock


class BrokerBuffer:
    """`Buffer` on a broker, from which a `Carrier` moves events into the inbox."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock

    async def store(self, event: StripeEvent) -> bool:
        return await self._broker.publish(
            Letter(
                content=pack(event, self._clock.now()),
                subject=event.subject,
                unique_id=f"{event.corridor}/{event.event_id}",
            )
        )

    async def check(self) -> None:
        await self._broker.check()

    async def close(self) -> None:
        await self._broker.close()

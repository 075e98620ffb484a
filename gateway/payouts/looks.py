"""Looking at payouts for what no event tells, and for events that were lost.

A bank's reference comes up to ten days after the money, and nothing says when
(https://docs.stripe.com/api/payouts/object#payout_object-trace_id). When the next look is due is in
the payout's row, put off before Stripe is asked, so that any process goes on where another died.
"""

from datetime import datetime, timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.operations.gate import Gate
from gateway.payouts import store
from gateway.payouts.domain import next_look_time
from gateway.payouts.stripe_events import Payouts
from gateway.stripe_client.call import background
from gateway.stripe_client.client import StripeClient
from runtime.clock import Clock
from runtime.items import Items
from runtime.loops import Loop

POLL_SECONDS = 1.0
# Two looks are no closer than this, however many payouts are due.
SHORTEST_PAUSE = timedelta(seconds=1)
LOOKS = Counter(
    "gateway_payout_looks_total",
    "Looks at payouts that there may be news of, by whether Stripe answered.",
    ["result"],
)


class PayoutLooks:
    """Looks at one payout after the other."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        payouts: Payouts,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stripe = stripe_client
        self._payouts = payouts
        self._gate = gate
        self._clock = clock
        self._items = Items("payouts to look at")
        self._not_before: datetime | None = None

    def loop(self) -> Loop:
        """Looks at whatever is due."""
        return Loop("payout looks", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Looks at the payout that has been due for longest; never more at once."""
        now = self._clock.now()
        early = self._not_before is not None and now < self._not_before
        if self._gate.closed or early:
            return False
        async with self._engine.begin() as connection:
            payout = await store.lock_to_look_at(connection, now)
            if payout is None:
                return False
            await store.set_next_look(connection, payout.id, next_look_time(payout, now))
        self._not_before = now + SHORTEST_PAUSE
        with self._items.kept_apart(payout.id), background():
            account = payout.account_id or None
            seen = await self._stripe.records.retrieve_payout(
                payout.corridor, payout.stripe_payout_id, connected_account=account
            )
            LOOKS.labels("answered" if seen.object is not None else "failed").inc()
            if seen.object is not None:
                await self._payouts.take_payout(payout.corridor, seen.object, account)
        return False

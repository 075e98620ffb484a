"""Reads Stripe's balances from the gateway, keeps them, and tells where they have drifted."""

from datetime import UTC
from typing import Any

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_pb2 import Balance as Message
from gateway.v1.balance_transaction_service_pb2 import ListBalancesRequest
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from reconciliation.balances import store
from reconciliation.balances.balance import Balance, drifts
from reconciliation.conditions.telling import Conditions
from reconciliation.matching.policy import BreakKind
from reconciliation.sources.staleness import SWEEPS, stale_sweeps
from runtime.clock import Clock
from runtime.loops import Loop

# The gateway sweeps once a minute.
POLL_SECONDS = 30.0
PAGE_SIZE = 1_000
# Of all corridors together; a gateway that tells of more is not believed.
MAX_BALANCES = 10_000


class BalanceReading:
    """A look at all balances, again and again; several processes may."""

    def __init__(
        self,
        engine: AsyncEngine,
        stub: BalanceTransactionServiceStub,
        conditions: Conditions,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._stub: Any = stub
        self._conditions = conditions
        self._clock = clock

    def loop(self) -> Loop:
        """Goes on when the gateway was away."""
        return Loop(
            "balance reading",
            self.round,
            poll_seconds=POLL_SECONDS,
            expected=(grpc.aio.AioRpcError,),
        )

    async def round(self) -> bool:
        """One look: what was found, which of it has drifted, and where nobody has swept for long,
        are one transaction."""
        balances = await self._read()
        now = self._clock.now()
        silent = stale_sweeps(balances, now, self._conditions.policy.patience.sweep)
        async with self._engine.begin() as connection:
            await store.keep(connection, balances, now)
            await self._conditions.tell_all(
                connection, {BreakKind.BALANCE_DRIFT}, "", drifts(balances)
            )
            await self._conditions.tell_all(connection, {BreakKind.FEED_STALE}, "", silent, SWEEPS)
        return False

    async def _read(self) -> list[Balance]:
        request = ListBalancesRequest(page_size=PAGE_SIZE)
        found: list[Balance] = []
        while True:
            answer = await self._stub.ListBalances(request)
            found += [balance_of(message) for message in answer.balances]
            if not answer.next_page_token:
                return found
            assert len(found) < MAX_BALANCES, "the gateway has more balances than there can be"
            request.page_token = answer.next_page_token


def balance_of(message: Message) -> Balance:
    """A balance as the gateway tells it. Pure."""
    has_since = message.HasField("differs_since")
    return Balance(
        corridor=message.corridor,
        currency=message.at_stripe.currency_code,
        part=message.part,
        stripe_minor=message.at_stripe.minor_units,
        sum_minor=message.balance_transactions.minor_units,
        differing_sweeps=message.differing_sweeps,
        differs_since=message.differs_since.ToDatetime(tzinfo=UTC) if has_since else None,
        sweep_time=message.sweep_time.ToDatetime(tzinfo=UTC),
    )

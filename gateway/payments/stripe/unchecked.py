"""Lets small payments of known customers pass while compliance is down, if operators want that."""

from collections.abc import Mapping
from dataclasses import replace

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.unchecked import LastVerdicts, is_known, is_small_enough, unchecked
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.sql_files import sql_statement

PASSED = Counter(
    "gateway_payments_unchecked_total",
    "Payments that were let through while compliance could not be reached.",
    ["currency"],
)

_LAST_VERDICTS = sql_statement(__file__, "last_verdicts")

log = get_logger(__name__)


class UncheckedPayments:
    """Answers in place of compliance, where the setting and what is known of the customer allow."""

    def __init__(self, engine: AsyncEngine, up_to: Mapping[str, int], clock: Clock) -> None:
        """`up_to` are the largest amounts in minor units, by currency; empty lets nothing pass."""
        self._engine = engine
        self._up_to = up_to
        self._clock = clock
        for currency in up_to:
            PASSED.labels(currency)

    async def instead(self, payment: Payment, reply: CheckReply) -> CheckReply:
        """The reply, or where compliance is down the one that lets the payment pass."""
        if not reply.is_down or not is_small_enough(payment, self._up_to):
            return reply
        now = self._clock.now()
        if not is_known(await self._last_verdicts(payment), now):
            return reply
        PASSED.labels(payment.currency).inc()
        log.warning("payment_let_through_unchecked", payment_id=payment.id)
        return replace(reply, record=unchecked(now))

    async def _last_verdicts(self, payment: Payment) -> LastVerdicts:
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                _LAST_VERDICTS,
                {
                    "payment_id": payment.id,
                    "merchant_id": payment.merchant_id,
                    "customer_id": payment.customer_id,
                },
            )
            row = rows.one()
        return LastVerdicts(row.of_merchant or "", row.of_customer or "", row.customer_time)

"""What came before a payment, of its customer and of its card, in one read of a bounded length."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.payments.domain.card import Card
from gateway.payments.domain.history import (
    MAX_COUNTED,
    Past,
    PaymentHistory,
    Velocity,
    Window,
    bucket_of,
)
from gateway.payments.domain.payment import Payment
from runtime.sql_files import sql_statement

# How many payments' pasts are kept, and for how long one that was read is as good as a new read.
MAX_KEPT = 1_000
KEPT_FOR = timedelta(seconds=10)

_HISTORY = sql_statement(__file__, "payment_history")


async def history_of(
    connection: AsyncConnection, payment: Payment, now: datetime
) -> PaymentHistory:
    """What was paid before the payment, counted back from `now`."""
    rows = await connection.execute(
        _HISTORY,
        {
            "payment_id": payment.id,
            "create_time": payment.create_time,
            "customer_id": payment.customer_id,
            "payment_method": payment.payment_method,
            "most": MAX_COUNTED,
            "hour": now - Window.HOUR.length,
            "day": now - Window.DAY.length,
            "week": now - Window.WEEK.length,
        },
    )
    found = {row.payer: row for row in rows}
    customer, card = found.get("customer"), found.get("card")
    return PaymentHistory(
        Past() if customer is None else _past(customer),
        Past() if card is None else _past(card),
        Card(**card.card) if card is not None and card.card else None,
    )


def _past(row: Any) -> Past:
    return Past(
        Velocity(bucket_of(row.within_hour), bucket_of(row.within_day), bucket_of(row.within_week)),
        has_paid=row.has_paid,
        declined=row.declined,
        rated=row.rated,
        elevated_time=row.elevated_time,
        highest_time=row.highest_time,
    )


class PastPayments:
    """Reads what came before payments, once for all who need it while a payment is being made."""

    def __init__(self, engine: AsyncEngine) -> None:
        # One read needs no transaction around it.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._kept: OrderedDict[tuple[str, str], tuple[datetime, PaymentHistory]] = OrderedDict()

    async def of(self, payment: Payment, now: datetime) -> PaymentHistory:
        """What was paid before a payment, as of `now` or of a moment ago.

        Raises `SQLAlchemyError` if the database does not answer.
        """
        # Another token is another card.
        key = (payment.id, payment.payment_method)
        read = self._kept.get(key)
        if read is not None and now - read[0] <= KEPT_FOR:
            return read[1]
        async with self._engine.connect() as connection:
            history = await history_of(connection, payment, now)
        self._kept[key] = now, history
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return history

    def kept(self, payment: Payment) -> PaymentHistory | None:
        """What was read last of a payment as its client asked for it, if it is still here."""
        read = self._kept.get((payment.id, payment.home.payment_method))
        return read[1] if read is not None else None

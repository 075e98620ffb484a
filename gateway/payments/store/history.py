"""What came before a payment, of its customer and of its card, in one read of a bounded length."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

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
    found = {row.payer: _past(row) for row in rows}
    return PaymentHistory(found.get("customer", Past()), found.get("card", Past()))


def _past(row: Any) -> Past:
    return Past(
        Velocity(bucket_of(row.within_hour), bucket_of(row.within_day), bucket_of(row.within_week)),
        has_paid=row.has_paid,
        elevated_time=row.elevated_time,
        highest_time=row.highest_time,
    )

"""The decisions that policies are judged by, as lines for evaluator.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Text, and_, cast, extract, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.store.schema import PAYMENT
from gateway.routing_service.evaluator import COLUMNS
from gateway.routing_service.schema import DECISION, OUTCOME
from gateway.routing_service.store import JUDGED


@dataclass(frozen=True, slots=True)
class Place:
    """In the log of decisions, by time."""

    decide_time: datetime
    payment_id: str


async def judged_decisions(
    connection: AsyncConnection, since: datetime, before: Place, limit: int
) -> Sequence[Row[Any]]:
    """Decisions with an outcome that says something of the corridor, the newest first, before a
    place: `line` has each as the array that evaluator.py reads, which nobody reads here."""
    customer = func.coalesce(
        func.nullif(PAYMENT.c.customer_id, ""),
        func.nullif(PAYMENT.c.card_fingerprint, ""),
        PAYMENT.c.id,
    )
    values = {
        "customer": customer,
        "amount_minor": PAYMENT.c.amount_minor,
        "cause": OUTCOME.c.cause,
        "time_s": extract("epoch", DECISION.c.decide_time),
    }
    line = func.json_build_array(
        *[values[name] if name in values else DECISION.c[name] for name in COLUMNS]
    )
    # One line: JSON has no line break but in its strings, where it is escaped.
    text = cast(line, Text).label("line")
    columns: list[Any] = [DECISION.c.decide_time, DECISION.c.payment_id, text]
    place = tuple_(DECISION.c.decide_time, DECISION.c.payment_id)
    statement = (
        select(*columns)
        .join(OUTCOME, OUTCOME.c.payment_id == DECISION.c.payment_id)
        .join(PAYMENT, PAYMENT.c.id == DECISION.c.payment_id)
        .where(
            DECISION.c.decide_time >= since,
            place < tuple_(literal(before.decide_time), literal(before.payment_id)),
            OUTCOME.c.cause.in_([cause.value for cause in JUDGED]),
        )
        .order_by(DECISION.c.decide_time.desc(), DECISION.c.payment_id.desc())
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def count_unjudged(connection: AsyncConnection, since: datetime, until: datetime) -> int:
    """How many decisions of a window have no outcome that says something of the corridor."""
    judged = OUTCOME.c.cause.in_([cause.value for cause in JUDGED])
    statement = (
        select(func.count())
        .select_from(DECISION)
        .outerjoin(OUTCOME, and_(OUTCOME.c.payment_id == DECISION.c.payment_id, judged))
        .where(
            DECISION.c.decide_time >= since,
            DECISION.c.decide_time < until,
            OUTCOME.c.payment_id.is_(None),
        )
    )
    return int((await connection.execute(statement)).scalar_one())

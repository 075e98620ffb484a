"""The decisions that policies are judged by, as lines for evaluator.py."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    Text,
    and_,
    cast,
    extract,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.store.schema import PAYMENT
from gateway.routing.attribution import Cause
from gateway.routing_service.evaluator import COLUMNS
from gateway.routing_service.retries import RETRY_JUDGED
from gateway.routing_service.schema import DECISION, OUTCOME, RETRY, RETRY_OUTCOME
from gateway.routing_service.steps import Subject
from gateway.routing_service.store import JUDGED


@dataclass(frozen=True, slots=True)
class Place:
    """In the log of decisions, by time."""

    decide_time: datetime
    payment_id: str


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the decisions of a subject are, and what became of them."""

    decision: Table
    outcome: Table
    judged: Sequence[Cause]
    named: Mapping[str, str]
    """Columns of a line that have another name in the table."""
    absent: Collection[str] = ()
    """Columns of a line that the table does not have: they are 0."""

    @property
    def ended(self) -> ColumnElement[bool]:
        """That an outcome is the decision's, and says something of what was chosen."""
        same = [self.decision.c[key.name] == key for key in self.outcome.primary_key]
        return and_(*same, self.outcome.c.cause.in_([cause.value for cause in self.judged]))


_SOURCES = {
    Subject.CORRIDOR: _Source(DECISION, OUTCOME, JUDGED, {}),
    Subject.RETRY_TIME: _Source(
        RETRY,
        RETRY_OUTCOME,
        RETRY_JUDGED,
        {"corridor": "option", "network": "kind"},
        ("method", "action_method"),
    ),
}


async def judged_decisions(
    connection: AsyncConnection,
    since: datetime,
    before: Place,
    limit: int,
    subject: Subject = Subject.CORRIDOR,
) -> Sequence[Row[Any]]:
    """Decisions with an outcome that says something of what was chosen, the newest first, before a
    place: `line` has each as the array that evaluator.py reads, which nobody reads here."""
    source = _SOURCES[subject]
    decision = source.decision.c
    customer = func.coalesce(
        func.nullif(PAYMENT.c.customer_id, ""),
        func.nullif(PAYMENT.c.card_fingerprint, ""),
        PAYMENT.c.id,
    )
    values = {
        "customer": customer,
        "amount_minor": PAYMENT.c.amount_minor,
        "cause": source.outcome.c.cause,
        "time_s": extract("epoch", decision.decide_time),
        **dict.fromkeys(source.absent, literal(0)),
    }
    line = func.json_build_array(
        *[
            values[name] if name in values else decision[source.named.get(name, name)]
            for name in COLUMNS
        ]
    )
    # One line: JSON has no line break but in its strings, where it is escaped.
    text = cast(line, Text).label("line")
    columns: list[Any] = [decision.decide_time, decision.payment_id, text]
    place = tuple_(decision.decide_time, decision.payment_id)
    statement = (
        select(*columns)
        .join(source.outcome, source.ended)
        .join(PAYMENT, PAYMENT.c.id == decision.payment_id)
        .where(
            decision.decide_time >= since,
            place < tuple_(literal(before.decide_time), literal(before.payment_id)),
        )
        .order_by(decision.decide_time.desc(), decision.payment_id.desc())
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def count_unjudged(
    connection: AsyncConnection,
    since: datetime,
    until: datetime,
    subject: Subject = Subject.CORRIDOR,
) -> int:
    """How many decisions of a window have no outcome that says something of what was chosen."""
    source = _SOURCES[subject]
    decision, outcome = source.decision, source.outcome
    statement = (
        select(func.count())
        .select_from(decision)
        .outerjoin(outcome, source.ended)
        .where(
            decision.c.decide_time >= since,
            decision.c.decide_time < until,
            outcome.c.payment_id.is_(None),
        )
    )
    return int((await connection.execute(statement)).scalar_one())

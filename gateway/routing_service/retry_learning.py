"""What events of payments teach of the times at which declines are tried again."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.payments.store.events import StoredEvent
from gateway.routing.retry_beliefs import SPACE_HASH
from gateway.routing.state import RoutingState, advance
from gateway.routing_service.record import features_hash
from gateway.routing_service.retries import RetryLesson, retry_lesson
from gateway.routing_service.retry_log import add_retry_outcomes, declines, undecided_retries
from gateway.routing_service.terms import SPACE
from gateway.v1 import payment_pb2
from runtime.items import Items


async def learn_times(
    connection: AsyncConnection,
    state: RoutingState,
    events: Sequence[StoredEvent],
    now: datetime,
    items: Items,
) -> tuple[list[RetryLesson], RoutingState]:
    """The state after these events, with what was learnt, which is written down. A payment that
    cannot be learnt from is one of `items` that is kept apart."""
    ids = {event.payment_id for event in events}
    rows = await undecided_retries(connection, ids) if ids else []
    if not rows:
        return [], state
    declined = await declines(connection, {row.payment_id for row in rows})
    waiting: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        waiting[row.payment_id].append(row)
    learnt: list[RetryLesson] = []
    outcomes = []
    for event in events:
        for row in tuple(waiting[event.payment_id]):
            with items.kept_apart(event.payment_id):
                lesson = retry_lesson(
                    event.transition,
                    payment_pb2.Payment.FromString(event.snapshot),
                    row,
                    event.record_time,
                    declined_again=(row.payment_id, row.attempt + 1) in declined,
                )
                if lesson is None:
                    continue
                state = _taught(state, row, lesson, now)
                waiting[event.payment_id].remove(row)
                learnt.append(lesson)
                outcomes.append(
                    {
                        "payment_id": row.payment_id,
                        "attempt": row.attempt,
                        "arm": row.arm,
                        "cause": lesson.cause.value,
                        "learn_time": now,
                    }
                )
            await asyncio.sleep(0)
    await add_retry_outcomes(connection, outcomes)
    return learnt, state


def _taught(state: RoutingState, row: Any, lesson: RetryLesson, now: datetime) -> RoutingState:
    """The state after a lesson. What a release with other features has decided teaches nothing."""
    if lesson.approved is None or features_hash(SPACE_HASH, row.slots) != row.features_hash:
        return state
    state = advance(state, SPACE, now.timestamp())
    retries = state.retries.after(lesson.slots, lesson.rank, approved=lesson.approved)
    return replace(state, retries=retries)

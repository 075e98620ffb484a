"""The gauges say what the database has, also after a restart, and all labels are always there."""

from datetime import datetime, timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.gauges.counting import VERIFICATION_STAGES, StateGauges
from gateway.operations.operation import OPEN, OperationKind
from gateway.v1.payment_pb2 import PaymentState, UnavailablePolicy
from gateway.verifications.domain import (
    FIRST_LOOK,
    LAST_LOOK,
    REDACTION_LOOK,
    State,
    Verification,
    as_stripe_says,
)
from runtime.clock import ManualClock, SystemClock
from tests.gateway.running import OpenShop

CORRIDORS = ("default", "idle")
QUEUE = UnavailablePolicy.UNAVAILABLE_POLICY_QUEUE
LATER = timedelta(hours=1)
ENDPOINTS = """
INSERT INTO webhook_endpoint VALUES
    ('enabled', 'u', '', '', '{}', 1, 'ENABLED', '', 0, NULL, now(), now()),
    ('failing', 'u', '', '', '{}', 1, 'DISABLED', 'failing', 0, NULL, now(), now()),
    ('switched off', 'u', '', '', '{}', 1, 'DISABLED', 'client', 0, NULL, now(), now()),
    ('deleted', 'u', '', '', '{}', 1, 'DELETED', '', 0, NULL, now(), now());
INSERT INTO webhook_delivery (
    endpoint_id, sequence, payment_id, state, attempts, next_attempt_time, fencing_token,
    last_http_status, last_failure, create_time, end_time
)
SELECT endpoint, 1, 'pay', state, 9, now(), 1, 500, 'x', now(),
    CASE WHEN state = 'PENDING' THEN NULL ELSE now() END
FROM (VALUES
    ('enabled', 'DEAD'), ('failing', 'DEAD'), ('switched off', 'PENDING'), ('deleted', 'DEAD')
) AS delivery (endpoint, state);
"""


def value(name: str, **labels: str) -> float:
    """What a scrape would read."""
    found = REGISTRY.get_sample_value(f"gateway_{name}", labels)
    assert found is not None, name
    return found


async def test_what_waits_is_counted_and_how_long_the_oldest_has(
    open_shop: OpenShop, engine: AsyncEngine, database_url: str
) -> None:
    clock = ManualClock(SystemClock().now() + LATER)
    gauges = StateGauges(engine, CORRIDORS, clock)
    await gauges.round()
    for kind in OperationKind:
        for state in OPEN:
            assert value("operations_open", kind=kind, state=state) == 0
            assert value("operations_oldest_seconds", kind=kind, state=state) == 0
    async with open_shop(webhooks=False, roles="api") as shop:
        await shop.close_corridor()
        waiting = [await shop.create(unavailable_policy=QUEUE) for _ in range(3)]
    assert {one.state for one in waiting} == {PaymentState.PAYMENT_STATE_QUEUED}

    await gauges.round()
    assert value("operations_open", kind="CHECK", state="PENDING") == 3
    assert value("payments_queued", corridor="default") == 3
    assert value("payments_queued", corridor="idle") == 0
    hour = LATER.total_seconds()
    assert hour - 60 < value("payments_queued_oldest_seconds", corridor="default") < hour + 60
    assert value("payments_queued_oldest_seconds", corridor="idle") == 0

    with psycopg.connect(database_url, autocommit=True) as connection:
        unknown, dead, in_review = (one.id for one in waiting)
        change = """UPDATE operation SET queued = false, state = %s, first_send_time = %s
            WHERE subject_id = %s AND end_time IS NULL"""
        sent = clock.now() - timedelta(minutes=20)
        for made, payment_id in (("UNKNOWN", unknown), ("DEAD_LETTER", dead)):
            connection.execute(change, [made, sent, payment_id])
        connection.execute("UPDATE payment SET state = 'IN_REVIEW' WHERE id = %s", [in_review])
        connection.execute(ENDPOINTS)
    await gauges.round()
    assert value("operations_open", kind="CHECK", state="UNKNOWN") == 1
    assert value("operations_oldest_seconds", kind="CHECK", state="UNKNOWN") == 20 * 60
    assert value("operations_open", kind="CHECK", state="DEAD_LETTER") == 1
    assert value("payments_queued", corridor="default") == 1
    assert value("payments_in_review") == 1
    assert value("payments_in_review_oldest_seconds") > hour - 60
    assert value("outgoing_deliveries_dead") == 2
    assert value("outgoing_endpoints_given_up") == 1


async def test_a_clock_that_is_behind_makes_no_negative_age(
    open_shop: OpenShop, engine: AsyncEngine
) -> None:
    async with open_shop(webhooks=False, roles="api") as shop:
        await shop.close_corridor()
        await shop.create(unavailable_policy=QUEUE)
    await StateGauges(engine, CORRIDORS, ManualClock(SystemClock().now() - LATER)).round()
    assert value("payments_queued_oldest_seconds", corridor="default") == 0


STAGES = {
    # What each is a row of: state, error code, redaction, hours since its last change, whether it
    # is still looked at.
    "CREATING": ("CREATING", "", "", 3, False),
    "REQUIRES_INPUT": ("REQUIRES_INPUT", "", "", 4, True),
    "FAILED_TRY": ("REQUIRES_INPUT", "document_expired", "", 5, True),
    "PROCESSING": ("PROCESSING", "", "", 6, True),
    "REDACTING": ("VERIFIED", "", "PROCESSING", 7, True),
}
ENDED = (
    ("VERIFIED", "", "", 90, False),
    ("VERIFIED", "", "REDACTED", 91, False),
    ("CANCELED", "abandoned", "", 92, False),
    ("FAILED", "", "", 93, False),
    # For 90 days nobody has come.
    ("REQUIRES_INPUT", "abandoned", "", 94, False),
)
ADD_VERIFICATION = """
INSERT INTO verification (
    verification_id, subject_id, corridor, type, options, state, error_code, failure_code,
    redaction, stripe_session_id, create_request_id, verify_time, look_time, next_look_time,
    create_time, update_time
)
VALUES (%s, 'ada', 'default', 'DOCUMENT', '{}', %s, %s, '', %s, %s, %s, %s, %s, %s, %s, %s)
"""


def add_verification(
    connection: psycopg.Connection,
    name: str,
    row: tuple[str, str, str, int, bool],
    now: datetime,
    looked: timedelta = timedelta(),
    age: timedelta = timedelta(),
) -> None:
    """A verification that was last looked at so long ago, when it was so old."""
    state, error_code, redaction, hours, is_looked_at = row
    look_time = now - looked
    since = now - timedelta(hours=hours)
    connection.execute(
        ADD_VERIFICATION,
        [
            name,
            state,
            error_code,
            redaction,
            "" if state in ("CREATING", "FAILED") else f"vs_{name}",
            name,
            since if state == "VERIFIED" else None,
            None if state == "CREATING" else look_time,
            now + LATER if is_looked_at else None,
            look_time - age,
            since,
        ],
    )


async def test_identity_checks_are_counted_by_what_they_wait_for(
    engine: AsyncEngine, database_url: str
) -> None:
    clock = ManualClock(SystemClock().now())
    gauges = StateGauges(engine, CORRIDORS, clock)
    await gauges.round()
    assert set(STAGES) == set(VERIFICATION_STAGES)
    for stage in STAGES:
        assert value("verifications_open", stage=stage) == 0
        assert value("verifications_oldest_seconds", stage=stage) == 0
    now = clock.now()
    with psycopg.connect(database_url, autocommit=True) as connection:
        for stage, row in STAGES.items():
            add_verification(connection, f"{stage}-old", row, now)
            add_verification(connection, f"{stage}-new", (*row[:3], 1, row[4]), now)
        for number, row in enumerate(ENDED):
            add_verification(connection, f"ended-{number}", row, now)
    await gauges.round()
    for stage, row in STAGES.items():
        assert value("verifications_open", stage=stage) == 2
        assert value("verifications_oldest_seconds", stage=stage) == row[3] * 3_600
    assert value("verification_looks_late_seconds") == 0


@pytest.mark.parametrize(
    ("stage", "age", "due_after"),
    [
        # A minute, an eighth of the age, a day; six hours of a redaction.
        ("PROCESSING", timedelta(), FIRST_LOOK),
        ("PROCESSING", timedelta(hours=8), timedelta(hours=1)),
        ("REQUIRES_INPUT", timedelta(days=80), LAST_LOOK),
        ("REDACTING", timedelta(days=80), REDACTION_LOOK),
    ],
)
async def test_a_look_is_late_by_when_it_was_due_whatever_it_was_put_off_to(
    engine: AsyncEngine, database_url: str, stage: str, age: timedelta, due_after: timedelta
) -> None:
    now = SystemClock().now()
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_verification(connection, "fine", STAGES["PROCESSING"], now)
        add_verification(connection, "late", STAGES[stage], now, due_after + LATER, age)
        add_verification(connection, "ended", ENDED[0], now, timedelta(days=50))
    clock = ManualClock(now)
    await StateGauges(engine, CORRIDORS, clock).round()
    assert value("verification_looks_late_seconds") == LATER.total_seconds()
    # Looked at by its own time, the gauge agrees with the domain.
    before = Verification(
        verification_id="late",
        subject_id="ada",
        corridor="default",
        type="DOCUMENT",
        state=State.PROCESSING,
        create_request_id="late",
        create_time=now - age,
        update_time=now,
    )
    session = {
        "id": "vs_late",
        "status": "processing",
        "redaction": {"status": "processing"} if stage == "REDACTING" else None,
    }
    assert as_stripe_says(before, session, now, now).next_look_time == now + due_after

"""The gauges say what the database has, also after a restart, and all labels are always there."""

from datetime import timedelta

import psycopg
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.gauges.counting import StateGauges
from gateway.operations.operation import OPEN, OperationKind
from gateway.v1.payment_pb2 import PaymentState, UnavailablePolicy
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

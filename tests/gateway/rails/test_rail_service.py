"""Operators' view, end to end: gRPC, PostgreSQL, the Stripe twin."""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import psycopg
import pytest

from gateway.rails.gradient import ConcurrencyPolicy
from gateway.v1 import rail_pb2
from gateway.v1 import rail_service_pb2 as pb
from sandbox.stripe_twin.twin import Twin, running_twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with running_twin(seed=4) as running:
        yield running


@pytest.fixture
def database_url(new_database: Callable[[str], str]) -> str:
    return new_database("gateway")


@pytest.fixture
async def gateway(database_url: str, twin: Twin) -> AsyncIterator[RunningGateway]:
    async with running_gateway(database_url, twin) as running:
        yield running


def mode(
    request_id: str, wanted: rail_pb2.RailMode.ValueType, reason: str = "a test"
) -> pb.SetRailModeRequest:
    return pb.SetRailModeRequest(
        request_id=request_id, corridor="default", mode=wanted, reason=reason
    )


async def health(gateway: RunningGateway) -> rail_pb2.RailHealth:
    answer = await gateway.rails.GetRailHealth(pb.GetRailHealthRequest())
    (rail,) = answer.rails
    found: rail_pb2.RailHealth = rail
    return found


async def until_mode(gateway: RunningGateway, wanted: rail_pb2.RailMode.ValueType) -> None:
    """Asks, one call after the other, until the replica has followed."""
    async with asyncio.timeout(10):
        found = await health(gateway)
        while found.mode != wanted:
            found = await health(gateway)


async def test_health_shows_what_was_used(gateway: RunningGateway) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    rail = await health(gateway)
    assert rail.corridor == "default"
    assert rail.mode == rail_pb2.RAIL_MODE_OPEN
    assert rail.available
    assert not rail.HasField("mode_change_time")
    (breaker,) = [item for item in rail.breakers if item.endpoint_group == "accounts"]
    assert breaker.state == rail_pb2.RAIL_BREAKER_STATE_CLOSED
    assert breaker.calls >= 3
    assert breaker.failure_rate == 0
    assert {"account", "accounts"} <= {item.name for item in rail.limiters}
    assert rail.concurrency.limit == ConcurrencyPolicy().initial
    assert rail.concurrency.waiting == 0
    assert not rail.slow
    unknown = await refusal_of(
        gateway.rails.GetRailHealth(pb.GetRailHealthRequest(corridor="nowhere"))
    )
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "CORRIDOR_NOT_FOUND")


async def test_a_mode_holds_for_good_and_everywhere(
    gateway: RunningGateway, twin: Twin, database_url: str
) -> None:
    answer = await gateway.rails.SetRailMode(
        mode("close-1", rail_pb2.RAIL_MODE_CLOSED, "Stripe burns")
    )
    assert answer.rail.mode == rail_pb2.RAIL_MODE_CLOSED
    assert answer.rail.mode_reason == "Stripe burns"
    assert answer.rail.mode_change_time.seconds > 0
    assert not answer.rail.available
    async with running_gateway(database_url, twin) as other:
        assert (await health(other)).mode == rail_pb2.RAIL_MODE_CLOSED
        await other.rails.SetRailMode(mode("open-1", rail_pb2.RAIL_MODE_OPEN))
        await until_mode(gateway, rail_pb2.RAIL_MODE_OPEN)


async def test_a_request_sets_a_mode_once(gateway: RunningGateway) -> None:
    await gateway.rails.SetRailMode(mode("close-1", rail_pb2.RAIL_MODE_CLOSED))
    await gateway.rails.SetRailMode(mode("open-1", rail_pb2.RAIL_MODE_OPEN))
    repeated = await gateway.rails.SetRailMode(mode("close-1", rail_pb2.RAIL_MODE_CLOSED))
    assert repeated.rail.mode == rail_pb2.RAIL_MODE_OPEN, "what was set since stands"
    reused = await refusal_of(
        gateway.rails.SetRailMode(mode("close-1", rail_pb2.RAIL_MODE_DRAIN, "another reason"))
    )
    assert (reused.code, reused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert reused.metadata["fields"] == "mode,reason"


async def test_modes_are_only_ever_added(gateway: RunningGateway, database_url: str) -> None:
    await gateway.rails.SetRailMode(mode("close-1", rail_pb2.RAIL_MODE_CLOSED))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET ROLE gateway_service")
        for statement in (
            "UPDATE rail_mode_change SET mode = 'OPEN'",
            "DELETE FROM rail_mode_change",
            "DELETE FROM merchant",
            "UPDATE merchant_snapshot SET content = '{}'",
            "DELETE FROM merchant_request",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (
            pb.SetRailModeRequest(corridor="default", mode=rail_pb2.RAIL_MODE_OPEN, reason="x"),
            "request_id",
        ),
        (
            pb.SetRailModeRequest(request_id="a", mode=rail_pb2.RAIL_MODE_OPEN, reason="x"),
            "corridor",
        ),
        (pb.SetRailModeRequest(request_id="a", corridor="default", reason="x"), "mode"),
        (
            pb.SetRailModeRequest(request_id="a", corridor="default", mode=rail_pb2.RAIL_MODE_OPEN),
            "reason",
        ),
        (mode("a", rail_pb2.RAIL_MODE_OPEN, "x" * 513), "reason"),
    ],
)
async def test_bad_requests_name_the_field(
    gateway: RunningGateway, request_: pb.SetRailModeRequest, field: str
) -> None:
    refused = await refusal_of(gateway.rails.SetRailMode(request_))
    assert refused.reason == "INVALID_REQUEST"
    assert [violation.field for violation in refused.violations] == [field]


async def test_dead_letters_are_listed_and_replayed(
    gateway: RunningGateway, database_url: str
) -> None:
    bury = """
        WITH event AS (
            INSERT INTO webhook_event (
                event_id, corridor, event_type, object_id, subject, created_time, body, state,
                next_attempt_time, receive_time, finish_time
            )
            SELECT
                'evt_' || n, 'default', 'customer.created', 'cus_1', 's', now(),
                '{"id": "evt_' || n || '", "object": "event", "type": "customer.created",'
                || ' "created": 1, "data": {"object": {"id": "cus_1"}}}',
                'DEAD', now(), now(), now()
            FROM generate_series(1, 3) AS n
            RETURNING *
        )
        INSERT INTO webhook_dead_letter (
            corridor, event_id, event_type, object_id, reason, attempts, receive_time, create_time
        )
        SELECT corridor, event_id, event_type, object_id, 'NO', 12, now(), now() FROM event
        """
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(bury)
    assert (await health(gateway)).inbox.dead_letters == 3
    first = await gateway.rails.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    rest = await gateway.rails.ListDeadLetters(
        pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    )
    letters = [*first.dead_letters, *rest.dead_letters]
    assert [letter.event_id for letter in letters] == ["evt_1", "evt_2", "evt_3"]
    assert rest.next_page_token == ""
    assert (letters[0].reason, letters[0].attempts) == ("NO", 12)

    replay = pb.ReplayDeadLetterRequest(request_id="replay-1", event_id="evt_2")
    await gateway.rails.ReplayDeadLetter(replay)
    await gateway.rails.ReplayDeadLetter(replay)
    left = await gateway.rails.ListDeadLetters(pb.ListDeadLettersRequest(corridor="default"))
    assert [letter.event_id for letter in left.dead_letters] == ["evt_1", "evt_3"]
    replay.event_id = "evt_3"
    reused = await refusal_of(gateway.rails.ReplayDeadLetter(replay))
    assert (reused.reason, reused.metadata["fields"]) == ("REQUEST_ID_REUSED", "event_id")
    missing = pb.ReplayDeadLetterRequest(request_id="replay-2", event_id="evt_2")
    assert (await refusal_of(gateway.rails.ReplayDeadLetter(missing))).reason == (
        "WEBHOOK_EVENT_NOT_FOUND"
    )

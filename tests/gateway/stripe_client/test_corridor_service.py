"""Operators' view, end to end: gRPC, PostgreSQL, the Stripe twin."""

import asyncio

import grpc
import psycopg
import pytest

from gateway.stripe_client.concurrency import ConcurrencyPolicy
from gateway.v1 import corridor_pb2
from gateway.v1 import corridor_service_pb2 as pb
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway


def mode(
    request_id: str, wanted: corridor_pb2.CorridorMode.ValueType, reason: str = "a test"
) -> pb.SetCorridorModeRequest:
    return pb.SetCorridorModeRequest(
        request_id=request_id, corridor="default", mode=wanted, reason=reason
    )


async def health(gateway: RunningGateway) -> corridor_pb2.CorridorHealth:
    answer = await gateway.corridors.GetCorridorHealth(pb.GetCorridorHealthRequest())
    (corridor,) = answer.corridors
    found: corridor_pb2.CorridorHealth = corridor
    return found


async def until_mode(gateway: RunningGateway, wanted: corridor_pb2.CorridorMode.ValueType) -> None:
    """Asks, one call after the other, until the replica has followed."""
    async with asyncio.timeout(10):
        found = await health(gateway)
        while found.mode != wanted:
            found = await health(gateway)


async def test_health_shows_what_was_used(gateway: RunningGateway) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    corridor = await health(gateway)
    assert corridor.corridor == "default"
    assert corridor.mode == corridor_pb2.CORRIDOR_MODE_OPEN
    assert corridor.available
    assert not corridor.HasField("mode_change_time")
    (breaker,) = [item for item in corridor.breakers if item.endpoint_group == "accounts"]
    assert breaker.state == corridor_pb2.CORRIDOR_BREAKER_STATE_CLOSED
    assert breaker.call_count >= 3
    assert breaker.failure_rate == 0
    assert {"account", "accounts"} <= {item.name for item in corridor.limiters}
    assert corridor.concurrency.limit == ConcurrencyPolicy().initial
    assert corridor.concurrency.waiting_count == 0
    assert not corridor.slow
    unknown = await refusal_of(
        gateway.corridors.GetCorridorHealth(pb.GetCorridorHealthRequest(corridor="nowhere"))
    )
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "CORRIDOR_NOT_FOUND")


async def test_a_mode_holds_for_good_and_everywhere(
    gateway: RunningGateway, twin: Twin, database_url: str
) -> None:
    answer = await gateway.corridors.SetCorridorMode(
        mode("close-1", corridor_pb2.CORRIDOR_MODE_CLOSED, "Stripe burns")
    )
    assert answer.corridor.mode == corridor_pb2.CORRIDOR_MODE_CLOSED
    assert answer.corridor.mode_reason == "Stripe burns"
    assert answer.corridor.mode_change_time.seconds > 0
    assert not answer.corridor.available
    async with running_gateway(database_url, twin) as other:
        assert (await health(other)).mode == corridor_pb2.CORRIDOR_MODE_CLOSED
        await other.corridors.SetCorridorMode(mode("open-1", corridor_pb2.CORRIDOR_MODE_OPEN))
        await until_mode(gateway, corridor_pb2.CORRIDOR_MODE_OPEN)


async def test_a_request_sets_a_mode_once(gateway: RunningGateway) -> None:
    await gateway.corridors.SetCorridorMode(mode("close-1", corridor_pb2.CORRIDOR_MODE_CLOSED))
    await gateway.corridors.SetCorridorMode(mode("open-1", corridor_pb2.CORRIDOR_MODE_OPEN))
    repeated = await gateway.corridors.SetCorridorMode(
        mode("close-1", corridor_pb2.CORRIDOR_MODE_CLOSED)
    )
    assert repeated.corridor.mode == corridor_pb2.CORRIDOR_MODE_OPEN, "what was set since stands"
    reused = await refusal_of(
        gateway.corridors.SetCorridorMode(
            mode("close-1", corridor_pb2.CORRIDOR_MODE_DRAIN, "another reason")
        )
    )
    assert (reused.code, reused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert reused.metadata["differing_fields"] == "mode,reason"


async def test_modes_are_only_ever_added(gateway: RunningGateway, database_url: str) -> None:
    await gateway.corridors.SetCorridorMode(mode("close-1", corridor_pb2.CORRIDOR_MODE_CLOSED))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET ROLE gateway_service")
        for statement in (
            "UPDATE corridor_mode_change SET mode = 'OPEN'",
            "DELETE FROM corridor_mode_change",
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
            pb.SetCorridorModeRequest(
                corridor="default", mode=corridor_pb2.CORRIDOR_MODE_OPEN, reason="x"
            ),
            "request_id",
        ),
        (
            pb.SetCorridorModeRequest(
                request_id="a", mode=corridor_pb2.CORRIDOR_MODE_OPEN, reason="x"
            ),
            "corridor",
        ),
        (pb.SetCorridorModeRequest(request_id="a", corridor="default", reason="x"), "mode"),
        (
            pb.SetCorridorModeRequest(
                request_id="a", corridor="default", mode=corridor_pb2.CORRIDOR_MODE_OPEN
            ),
            "reason",
        ),
        (mode("a", corridor_pb2.CORRIDOR_MODE_OPEN, "x" * 513), "reason"),
    ],
)
async def test_bad_requests_name_the_field(
    gateway: RunningGateway, request_: pb.SetCorridorModeRequest, field: str
) -> None:
    refused = await refusal_of(gateway.corridors.SetCorridorMode(request_))
    assert refused.reason == "INVALID_REQUEST"
    assert [violation.field for violation in refused.violations] == [field]


async def test_dead_letters_are_listed_and_replayed(
    gateway: RunningGateway, database_url: str
) -> None:
    insert = """
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
        connection.execute(insert)
    assert (await health(gateway)).inbox.dead_letter_count == 3
    first = await gateway.corridors.ListDeadLetters(pb.ListDeadLettersRequest(page_size=2))
    rest = await gateway.corridors.ListDeadLetters(
        pb.ListDeadLettersRequest(page_size=2, page_token=first.next_page_token)
    )
    letters = [*first.dead_letters, *rest.dead_letters]
    assert [letter.event_id for letter in letters] == ["evt_1", "evt_2", "evt_3"]
    assert rest.next_page_token == ""
    assert (letters[0].reason, letters[0].attempt_count) == ("NO", 12)

    replay = pb.ReplayDeadLetterRequest(request_id="replay-1", event_id="evt_2")
    await gateway.corridors.ReplayDeadLetter(replay)
    await gateway.corridors.ReplayDeadLetter(replay)
    left = await gateway.corridors.ListDeadLetters(pb.ListDeadLettersRequest(corridor="default"))
    assert [letter.event_id for letter in left.dead_letters] == ["evt_1", "evt_3"]
    replay.event_id = "evt_3"
    reused = await refusal_of(gateway.corridors.ReplayDeadLetter(replay))
    assert (reused.reason, reused.metadata["differing_fields"]) == ("REQUEST_ID_REUSED", "event_id")
    other_method = await refusal_of(
        gateway.corridors.SetCorridorMode(mode("replay-1", corridor_pb2.CORRIDOR_MODE_DRAIN))
    )
    assert (other_method.reason, other_method.metadata["differing_fields"]) == (
        "REQUEST_ID_REUSED",
        "method",
    )
    missing = pb.ReplayDeadLetterRequest(request_id="replay-2", event_id="evt_2")
    assert (await refusal_of(gateway.corridors.ReplayDeadLetter(missing))).reason == (
        "WEBHOOK_EVENT_NOT_FOUND"
    )

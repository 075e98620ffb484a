"""Foresight in the gateway as it runs: minutes of requests to the Stripe twin, and its service."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import FIRST as FIRST_EPOCH
from gateway.foresight.incident import Incident, IncidentState
from gateway.foresight.sighting import GROWTH
from gateway.foresight_service import store
from gateway.foresight_service.foreseeing import GRACE, HOLD, end_of
from gateway.foresight_service.validation import MAX_DAYS
from gateway.numbering import number_changes
from gateway.rights import RIGHTS
from gateway.v1 import foresight_pb2 as messages
from gateway.v1 import foresight_service_pb2 as pb
from gateway.v1.foresight_service_pb2_grpc import ForesightServiceStub
from runtime.clock import ManualClock
from runtime.rights import Role
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer
from tests.gateway.running import refusal_of, running_gateway
from tests.waiting import WAIT_SECONDS

START = datetime(2026, 11, 30, 12, 0, 5, tzinfo=UTC)
MINUTE = int(START.timestamp()) // 60
SLOW_SECONDS = 0.3
FORESEEN = {
    "probabilities": [0.2, 0.4, 0.6],
    "broken": [],
    "stepped": ["latency"],
    "signals": [{"signal": "latency_p95_ms", "deviations": 6.5, "trend": 2.0}],
    "minutes_to_breach": 18.5,
    "part": "latency",
}


async def kept(engine: AsyncEngine) -> list[Row[Any]]:
    async with engine.connect() as connection:
        return list(await connection.execute(select(store.MINUTE).order_by(store.MINUTE.c.minute)))


async def test_minutes_are_made_of_what_the_gateway_sees(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    clock = ManualClock(START)
    async with running_gateway(
        database_url, twin, clock, webhooks=False, foresight=True
    ) as gateway:
        twin.add_fault(kind="latency", method="POST", path="/v1/customers", seconds=SLOW_SECONDS)
        for number in range(3):
            await gateway.customers.CreateCustomer(
                new_customer(f"slow-{number}", customer_id=f"slow-{number}")
            )
        clock.advance(timedelta(minutes=1))
        # Processes have their time to say what they saw.
        sighted = select(store.SIGHTING.c.minute)

        async def is_sighted() -> list[int]:
            async with engine.connect() as connection:
                return list((await connection.execute(sighted)).scalars())

        await poll(is_sighted, lambda found: MINUTE in found, WAIT_SECONDS)
        clock.advance(GRACE)
        (row,) = await poll(lambda: kept(engine), lambda rows: bool(rows), WAIT_SECONDS)
        assert row.minute == MINUTE
        assert row.content["calls"] >= 3
        assert row.content["errors"] == row.content["timeouts"] == 0
        assert row.content["latency_p95_ms"] >= 1_000 * SLOW_SECONDS / GROWTH
        assert row.content["database_latency_ms"] > 0
        assert row.content["event_loop_lag_ms"] >= 0
        assert row.content["queue_age_s"] == 0
        # Nobody sees it: no webhook comes here.
        assert row.content["webhook_lag_s"] is None
        stub: Any = ForesightServiceStub(gateway.channel)
        answer = await stub.GetForecast(pb.GetForecastRequest(corridor="default"))
        assert answer.forecast.as_of_time.ToDatetime(UTC) == end_of(MINUTE)
        assert [each.minutes for each in answer.forecast.probabilities] == [10, 20, 40]
        assert not answer.has_learnt
        assert not answer.HasField("treatment")
        assert not answer.HasField("alarm_time")
        record = await stub.GetForesightRecord(pb.GetForesightRecordRequest(corridor="default"))
        assert (record.record.minutes_watched, record.record.alarms) == (1, 0)
        assert not record.record.HasField("warned_share")


async def write(engine: AsyncEngine, incident: Incident, *, is_incident: bool = True) -> None:
    async with engine.begin() as connection:
        await store.write_incident(connection, "default", incident, START, is_incident=is_incident)
        await number_changes(connection, store.FEED, START)


async def test_without_the_setting_nothing_is_kept_and_what_was_is_shown(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    clock = ManualClock(START)
    opened = Incident(MINUTE - 30, FORESEEN, acted=True)
    broken = Incident(MINUTE - 30, FORESEEN, True, IncidentState.BROKEN, MINUTE - 10)
    ended = Incident(MINUTE - 30, FORESEEN, True, IncidentState.ENDED, MINUTE - 10, MINUTE - 2)
    passed = Incident(MINUTE - 50, FORESEEN, True, IncidentState.PASSED, None, MINUTE - 40)
    hidden = Incident(MINUTE - 90, FORESEEN, True, IncidentState.PASSED, None, MINUTE - 80)
    for each in (opened, broken, ended, passed):
        await write(engine, each)
    await write(engine, hidden, is_incident=False)
    async with running_gateway(database_url, twin, clock, webhooks=False) as gateway:
        stub: Any = ForesightServiceStub(gateway.channel)
        none = await stub.GetForecast(pb.GetForecastRequest(corridor="default"))
        assert none == pb.GetForecastResponse()

        listed = await stub.ListIncidents(pb.ListIncidentsRequest(page_size=1))
        (first,) = listed.incidents
        assert first.id == f"default-{MINUTE - 30}"
        assert first.state == messages.INCIDENT_STATE_ENDED
        assert (first.lead_minutes, first.acted) == (20, True)
        assert first.breach_time.ToDatetime(UTC) == end_of(MINUTE - 10)
        assert first.end_time.ToDatetime(UTC) == end_of(MINUTE - 2)
        assert first.foreseen.part == messages.OBJECTIVE_PART_LATENCY
        assert list(first.foreseen.stepped) == [messages.OBJECTIVE_PART_LATENCY]
        expected = end_of(MINUTE - 30) + timedelta(minutes=18.5)
        assert first.foreseen.expected_breach_time.ToDatetime(UTC) == expected
        assert first.foreseen.signals[0].deviations == 6.5
        rest = pb.ListIncidentsRequest(page_size=1, page_token=listed.next_page_token)
        (second,) = (await stub.ListIncidents(rest)).incidents
        assert second.state == messages.INCIDENT_STATE_PASSED
        assert not second.HasField("breach_time")
        only = pb.ListIncidentsRequest(corridor="default", state=second.state)
        assert (await stub.ListIncidents(only)).incidents == [second]
        assert not (await stub.ListIncidents(pb.ListIncidentsRequest(corridor="eu"))).incidents

        seen = []
        async with asyncio.timeout(WAIT_SECONDS):
            async for change in stub.WatchIncidents(pb.WatchIncidentsRequest()):
                seen.append(change)
                if len(seen) == 4:
                    break
        assert [change.incident.state for change in seen] == [
            messages.INCIDENT_STATE_FORESEEN,
            messages.INCIDENT_STATE_BROKEN,
            messages.INCIDENT_STATE_ENDED,
            messages.INCIDENT_STATE_PASSED,
        ]
        assert [change.sequence for change in seen] == [1, 2, 3, 4]
        assert {change.epoch for change in seen} == {FIRST_EPOCH}

        # The record is of all alarms, also of those that no incident was opened for.
        request = pb.GetForesightRecordRequest(corridor="default", days=1)
        record = (await stub.GetForesightRecord(request)).record
        assert (record.alarms, record.warned, record.false_alarms) == (3, 1, 2)
        assert record.right_share == pytest.approx(1 / 3)
        assert not record.HasField("random_warned_share")
    assert await kept(engine) == []
    async with engine.connect() as connection:
        assert (
            await connection.execute(text("SELECT count(*) FROM foresight_sighting"))
        ).scalar_one() == 0


async def test_how_a_corridor_is_treated_is_shown_while_it_holds(
    database_url: str, twin: Twin, engine: AsyncEngine
) -> None:
    clock = ManualClock(START)
    await write(engine, Incident(MINUTE - 1, FORESEEN, acted=True))
    async with engine.begin() as connection:
        await store.claim(connection, "default", START)
        await connection.execute(
            text(
                "UPDATE foresight_corridor SET minute = :m, alarm_minute = :m, has_learnt = TRUE,"
                " discount = 0.3, concurrency_share = 0.7, has_incident = TRUE, hold_time = :h,"
                ' forecast = \'{"probabilities": [0.2, 0.4, 0.6], "broken": [], "stepped": [],'
                ' "signals": []}\''
            ),
            {"m": MINUTE - 1, "h": end_of(MINUTE - 1) + HOLD},
        )
    async with running_gateway(database_url, twin, clock, webhooks=False) as gateway:
        stub: Any = ForesightServiceStub(gateway.channel)
        request = pb.GetForecastRequest(corridor="default")
        answer = await stub.GetForecast(request)
        assert answer.alarm_time.ToDatetime(UTC) == end_of(MINUTE - 1)
        assert (answer.treatment.discount, answer.treatment.concurrency_share) == (0.3, 0.7)
        assert answer.treatment.probe_every_minutes == 2
        clock.advance(HOLD)
        later = await stub.GetForecast(request)
        assert later.HasField("forecast")
        assert not later.HasField("treatment")

        # Without the setting nobody watches what becomes of it.
        async def last_told() -> Any:
            return list((await stub.ListIncidents(pb.ListIncidentsRequest())).incidents)

        abandoned = messages.INCIDENT_STATE_ABANDONED
        await poll(last_told, lambda found: found[-1].state == abandoned, WAIT_SECONDS)


async def test_bad_input_is_refused(database_url: str, twin: Twin) -> None:
    async with running_gateway(database_url, twin, webhooks=False) as gateway:
        stub: Any = ForesightServiceStub(gateway.channel)
        unknown: list[tuple[Any, Any]] = [
            (stub.GetForecast, pb.GetForecastRequest(corridor="nowhere")),
            (stub.GetForesightRecord, pb.GetForesightRecordRequest(corridor="nowhere")),
        ]
        for call, request in unknown:
            refused = await refusal_of(call(request))
            assert refused.code is grpc.StatusCode.NOT_FOUND
            assert refused.reason.endswith("CORRIDOR_NOT_FOUND")
        too_long = pb.GetForesightRecordRequest(corridor="default", days=MAX_DAYS + 1)
        no_state: Any = 99
        wrong: list[tuple[Any, Any, str]] = [
            (stub.GetForecast, pb.GetForecastRequest(), "corridor"),
            (stub.ListIncidents, pb.ListIncidentsRequest(page_size=-1), "page_size"),
            (stub.ListIncidents, pb.ListIncidentsRequest(state=no_state), "state"),
            (stub.GetForesightRecord, too_long, "days"),
        ]
        for call, request, field in wrong:
            refused = await refusal_of(call(request))
            assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
            assert [each.field for each in refused.violations] == [field]


def test_only_operators_see_it() -> None:
    rights = RIGHTS["gateway.v1.ForesightService"]
    assert len(rights) == 4
    assert all(set(rule.roles) == {Role.OPERATOR} for rule in rights.values())

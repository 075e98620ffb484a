"""Forecasts in a real service: kept, told and counted, with a database and a clock that stands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.requirements import CURRENTLY_DUE, PENDING_VERIFICATION, Requirement
from compliance.accounts.snapshot import AccountContent, AccountSnapshot, Capability
from compliance.accounts.store import store_snapshot
from compliance.forecast.forecasting import LOOK_AGAIN, Forecasting, learn
from compliance.forecast.volumes import CheckedVolumes, count_decisions
from compliance.v1 import freeze_forecast_pb2, requirement_service_pb2, subject_pb2
from compliance.v1 import freeze_forecast_service_pb2 as pb
from compliance.wire_time import to_datetime, to_timestamp
from gateway.v1 import merchant_pb2, merchant_requirements_pb2
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from runtime.startup import StartupError
from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import Guard, failure, unique

DAY = timedelta(days=1)
GOOD = AccountContent(
    charges_enabled=True,
    payouts_enabled=True,
    details_submitted=True,
    disabled_reason="",
    country_code="US",
    external_account_errored=False,
    capabilities=(Capability("card_payments", "ACTIVE", requested=True, disabled_reason=""),),
    requirements=(),
    tax_settings_state="ACTIVE",
    tax_missing_fields=(),
    tax_ids=(),
)
FROZEN = replace(
    GOOD, charges_enabled=False, payouts_enabled=False, disabled_reason="requirements.past_due"
)


def wanted(
    deadline: datetime | None, severity: int = CURRENTLY_DUE, field: str = "company.tax_id"
) -> Requirement:
    return Requirement(field, severity, deadline, (), (), False, (), hosted_only=False)


@dataclass
class Desk:
    """A service, and forecasts that are made when a test says so."""

    guard: Guard
    engine: AsyncEngine
    forecasting: Forecasting
    sequence: int = 0

    async def shows(
        self, account_id: str, content: AccountContent, *requirements: Requirement
    ) -> None:
        """Stripe shows the account so from now on."""
        now = self.guard.clock.now()
        shown = replace(content, requirements=requirements)
        async with self.engine.begin() as connection:
            snapshot = AccountSnapshot(account_id, "main", f"mrc_{account_id}", shown, now)
            await store_snapshot(connection, snapshot, now)

    async def look(self) -> None:
        # The service looks once when it starts; nobody waits for the row but a test.
        with psycopg.connect(self.guard.database_url) as connection:
            connection.execute("SELECT FROM freeze_progress FOR UPDATE")
        while await self.forecasting.round():
            pass

    async def told(self) -> list[tuple[str, str]]:
        """What is new in the feed, as (change, kind), by the RPC that clients follow."""
        with psycopg.connect(self.guard.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM freeze_forecast_change").fetchone()
        assert row is not None
        stream = self.guard.freezes.WatchFreezeForecasts(
            pb.WatchFreezeForecastsRequest(after_sequence=self.sequence), timeout=20
        )
        news = []
        for _ in range(row[0] - self.sequence):
            response: Any = await stream.read()
            assert response.sequence == self.sequence + 1
            self.sequence = response.sequence
            change = freeze_forecast_pb2.FreezeForecastChangeKind.Name(response.change)
            kind = freeze_forecast_pb2.FreezeKind.Name(response.forecast.kind)
            news.append((change.rsplit("_", 1)[1], kind.removeprefix("FREEZE_KIND_")))
        stream.cancel()
        return news

    async def forecasts(self, merchant: str) -> list[freeze_forecast_pb2.FreezeForecast]:
        answer = await self.guard.freezes.GetFreezeForecast(
            pb.GetFreezeForecastRequest(merchant_id=merchant)
        )
        return list(answer.forecasts)

    async def figures(self, **when: Any) -> freeze_forecast_pb2.FreezeForecastFigures:
        answer = await self.guard.freezes.GetFreezeForecastFigures(
            pb.GetFreezeForecastFiguresRequest(**when)
        )
        figures: freeze_forecast_pb2.FreezeForecastFigures = answer.figures
        return figures


@asynccontextmanager
async def at_a_desk(guard: Guard) -> AsyncIterator[Desk]:
    engine = create_engine(
        guard.database_url, role="compliance_service", pool_size=2, application_name="test"
    )
    forecasting = Forecasting(engine, CheckedVolumes(), (), guard.clock, Notifier())
    try:
        yield Desk(guard, engine, forecasting)
    finally:
        await engine.dispose()


def gauge(name: str, kind: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"kind": kind})


def both(change: str) -> list[tuple[str, str]]:
    return [(change, "CHARGES"), (change, "PAYOUTS")]


async def test_a_forecast_from_its_first_cause_to_the_freeze(guard: Guard) -> None:
    async with at_a_desk(guard) as desk:
        clock = guard.clock
        merchant = await guard.merchant(account="acct_one", country="US")
        missing = await failure(
            guard.freezes.GetFreezeForecast(pb.GetFreezeForecastRequest(merchant_id=merchant))
        )
        assert missing.reason == "SNAPSHOT_NOT_FOUND"

        # Two payments yesterday: a day brings 30.00 on the mean.
        await desk.shows("acct_one", GOOD)
        for amount in (1_000, 2_000):
            await guard.check(merchant, amount=amount)
        clock.advance(DAY)
        await desk.shows("acct_one", GOOD)
        await desk.look()
        assert await desk.forecasts(merchant) == []
        assert await desk.told() == []

        deadline = clock.now() + 40 * DAY
        await desk.shows("acct_one", GOOD, wanted(deadline))
        await desk.look()
        assert await desk.told() == both("APPEARED")
        charges, payouts = await desk.forecasts(merchant)
        for item in (charges, payouts):
            assert to_datetime(item.expected_time) == deadline
            assert (item.days_left, item.alarm, item.false_alarm) == (40, False, False)
            (cause,) = item.causes
            assert cause.field == "company.tax_id"
            assert cause.explanation.startswith("company.tax_id is due by 2027-01-02 12:00 UTC")
            (money,) = item.money_at_risk_per_day
            assert (money.currency_code, money.minor_units) == ("EUR", 3_000)
        assert gauge("compliance_freeze_alarms", "PAYOUTS") == 0

        # Time alone makes it an alarm: the account is looked at again after an hour.
        clock.advance(24 * DAY)
        await desk.look()
        assert await desk.told() == both("WORSENED")
        assert gauge("compliance_freeze_alarms", "PAYOUTS") == 1
        first = gauge("compliance_freeze_next_timestamp_seconds", "PAYOUTS")
        assert first == deadline.timestamp()

        # Stopped and on again between two looks: both are seen, and the alarm was in time.
        clock.advance(17 * DAY)
        stop_time = clock.now()
        await desk.shows("acct_one", FROZEN, wanted(deadline, 4))
        clock.advance(timedelta(minutes=1))
        await desk.shows("acct_one", GOOD)
        await desk.look()
        assert await desk.told() == both("FROZE")
        assert await desk.forecasts(merchant) == []
        assert gauge("compliance_freeze_alarms", "PAYOUTS") == 0
        assert gauge("compliance_freeze_next_timestamp_seconds", "PAYOUTS") == 0
        figures = await desk.figures()
        assert (figures.freeze_count, figures.foreseen_count, figures.alarm_count) == (2, 2, 2)
        assert (figures.recall, figures.precision) == (1.0, 1.0)
        assert figures.median_lead.ToTimedelta() == 17 * DAY
        # What stopped is counted by when, and what was told by when it appeared.
        after = await desk.figures(start_time=to_timestamp(stop_time + timedelta(microseconds=1)))
        assert (after.freeze_count, after.HasField("recall")) == (0, False)
        before = await desk.figures(end_time=to_timestamp(stop_time))
        assert (before.freeze_count, before.alarm_count) == (0, 2)

        record = await guard.freezes.ListFreezeForecastRecord(
            pb.ListFreezeForecastRecordRequest(merchant_id=merchant)
        )
        assert [to_datetime(item.end_time) for item in record.forecasts] == [stop_time] * 2
        assert {item.outcome for item in record.forecasts} == {
            freeze_forecast_pb2.FREEZE_OUTCOME_FROZE
        }

        # Stopped without a word before.
        await desk.shows("acct_one", replace(FROZEN, disabled_reason="rejected.fraud"))
        await desk.look()
        figures = await desk.figures()
        assert (figures.freeze_count, figures.foreseen_count) == (4, 2)
        assert (figures.unforeseeable_count, figures.recall) == (2, 0.5)


async def test_averted_false_and_closed(guard: Guard) -> None:
    async with at_a_desk(guard) as desk:
        clock = guard.clock
        merchants = {}
        for name in ("acct_a", "acct_b", "acct_c", "acct_d"):
            merchants[name] = await guard.merchant(account=name)
            for_ever = wanted(clock.now() + DAY)
            await desk.shows(name, GOOD, for_ever)
        await desk.look()
        await desk.told()
        assert (await desk.figures()).open_count == 8
        # One answers in time, one closes its shop, one is put off, one goes on although it is late.
        await desk.shows("acct_a", GOOD)
        await guard.set_state(merchants["acct_b"], subject_pb2.SUBJECT_STATE_CLOSED)
        await desk.shows("acct_c", GOOD, wanted(clock.now() + 90 * DAY))
        clock.advance(LOOK_AGAIN + timedelta(microseconds=1))
        await desk.look()
        assert sorted(await desk.told()) == sorted(
            both("CLEARED") + both("CLEARED") + both("EASED")
        )
        clock.advance(16 * DAY)
        await desk.look()
        figures = await desk.figures()
        # Payouts stop within 14 days of the deadline, charges within 28.
        assert (figures.averted_count, figures.false_alarm_count) == (4, 1)
        assert (figures.freeze_count, figures.HasField("recall")) == (0, False)
        assert figures.precision == 0.0
        _, late = await desk.forecasts(merchants["acct_d"])
        assert (late.days_left, late.alarm, late.false_alarm) == (0, True, True)

        # The most urgent first, a page at a time.
        listed: list[tuple[datetime, str]] = []
        token = ""
        while True:
            page = await guard.freezes.ListFreezeForecasts(
                pb.ListFreezeForecastsRequest(page_size=1, page_token=token)
            )
            listed += [(to_datetime(f.expected_time), f.merchant_id) for f in page.forecasts]
            token = page.next_page_token
            if not token:
                break
        assert [merchant for _, merchant in listed] == [merchants["acct_d"]] * 2 + [
            merchants["acct_c"]
        ] * 2
        assert listed == sorted(listed, key=lambda item: item[0])
        for filters, count in (
            ({"alarms_only": True}, 2),
            ({"kind": freeze_forecast_pb2.FREEZE_KIND_CHARGES}, 2),
            ({"expected_before_time": to_timestamp(listed[2][0])}, 2),
        ):
            found = await guard.freezes.ListFreezeForecasts(
                pb.ListFreezeForecastsRequest(**filters)
            )
            assert len(found.forecasts) == count, filters
        pages = await guard.freezes.ListFreezeForecastRecord(
            pb.ListFreezeForecastRecordRequest(page_size=5)
        )
        rest = await guard.freezes.ListFreezeForecastRecord(
            pb.ListFreezeForecastRecordRequest(page_size=5, page_token=pages.next_page_token)
        )
        ids = {item.forecast_id for item in (*pages.forecasts, *rest.forecasts)}
        assert (len(pages.forecasts), len(rest.forecasts), len(ids)) == (5, 3, 8)


async def test_lengths_volumes_and_what_cannot_be_read(guard: Guard) -> None:
    async with at_a_desk(guard) as desk:
        clock = guard.clock
        begin = clock.now()
        for number in range(20):
            await desk.shows(f"acct_{number}", GOOD, wanted(None, PENDING_VERIFICATION))
        merchant = await guard.merchant(account="acct_whole")
        await desk.shows("acct_whole", GOOD, wanted(begin + 2 * DAY))
        await desk.look()
        async with desk.engine.connect() as connection:
            assert not (await learn(connection, clock.now(), (), {})).reviews.is_known
        clock.advance(timedelta(hours=5))
        for number in range(20):
            await desk.shows(f"acct_{number}", GOOD)
        with psycopg.connect(guard.database_url, autocommit=True) as owner:
            # One account's content cannot be read: it holds up no other, and is tried again.
            owner.execute("ALTER TABLE account_snapshot DISABLE TRIGGER USER")
            broken = owner.execute(
                "UPDATE account_snapshot AS s SET content = '{}' FROM account_latest AS l "
                "WHERE l.connected_account_id = 'acct_0' AND l.content_hash = s.content_hash "
                "AND s.connected_account_id = 'acct_0'"
            )
            assert broken.rowcount == 1
            await desk.look()
            left = owner.execute("SELECT connected_account_id FROM account_change").fetchall()
            assert left == [("acct_0",)]
        async with desk.engine.connect() as connection:
            assert not (await learn(connection, clock.now(), (), {})).reviews.is_known
        await desk.shows("acct_whole", GOOD, wanted(begin + DAY))
        await desk.shows("acct_20", GOOD, wanted(None, PENDING_VERIFICATION))
        await desk.look()
        clock.advance(timedelta(hours=5))
        await desk.shows("acct_20", GOOD)
        await desk.look()
        async with desk.engine.connect() as connection:
            learnt = await learn(connection, clock.now(), (), {})
        assert learnt.review_time == timedelta(hours=5)
        assert len(await desk.forecasts(merchant)) == 2

        # Decisions are counted once, and what was not allowed is not.
        await desk.shows("acct_whole", GOOD)
        await guard.check(merchant, amount=700)
        await guard.check(merchant, amount=300)
        await guard.check(merchant, amount=99_000_000)
        for _ in range(2):
            async with desk.engine.begin() as connection:
                assert not await count_decisions(connection)
        async with desk.engine.connect() as connection:
            (volume,) = await CheckedVolumes().of(connection, merchant, clock.now())
            assert (volume.currency_code, volume.total_minor, volume.per_day_minor) == (
                "EUR",
                1_000,
                0,
            )
            for days, per_day in ((1, 1_000), (28, 1_000 // 28), (29, 0)):
                later = clock.now() + days * DAY
                (volume,) = await CheckedVolumes().of(connection, merchant, later)
                assert (volume.total_minor, volume.per_day_minor) == (1_000, per_day)


async def test_the_service_looks_at_once_and_one_process_at_a_time(guard: Guard) -> None:
    async with at_a_desk(guard) as desk:
        merchant = await guard.merchant(account="acct_live")
        with psycopg.connect(guard.database_url) as other:
            other.execute("SELECT FROM freeze_progress FOR UPDATE")
            await desk.shows("acct_live", GOOD)
            assert not await desk.forecasting.round()
            held = other.execute("SELECT count(*) FROM account_change").fetchone()
            assert held == (1,)
        await desk.look()
        deadline = to_timestamp(guard.clock.now() + DAY)
        due = merchant_requirements_pb2.Requirements(
            currently_due=["company.tax_id"], current_deadline_time=deadline
        )
        guard.clock.advance(timedelta(seconds=1))
        guard.merchants.add("acct_live", requirements=due)
        await guard.requirements.RefreshAccountSnapshot(
            requirement_service_pb2.RefreshAccountSnapshotRequest(merchant_id=merchant)
        )
        stream = guard.freezes.WatchFreezeForecasts(pb.WatchFreezeForecastsRequest(), timeout=30)
        response: Any = await stream.read()
        stream.cancel()
        assert response.forecast.merchant_id == merchant
        assert response.forecast.expected_time == deadline
        assert response.change == freeze_forecast_pb2.FREEZE_FORECAST_CHANGE_KIND_APPEARED


async def test_a_broken_file_of_the_operators_stops_the_start(
    open_guard: OpenGuard, tmp_path: Path
) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("DE\n", encoding="utf-8")
    for file, said in ((path, r"mine\.tsv line 1: has 1 columns"), (tmp_path, "Is a directory")):
        with pytest.raises(StartupError, match=f"COMPLIANCE_VOLUME_THRESHOLDS_FILE: .*{said}"):
            async with open_guard(volume_thresholds_file=file):
                raise AssertionError("it has started")


async def test_an_account_that_is_not_seen_as_a_whole_is_said_to_be_uncertain(
    guard: Guard,
) -> None:
    async with at_a_desk(guard) as desk:
        deadline = guard.clock.now() + 10 * DAY
        due = wanted(deadline)
        cut = replace(GOOD, truncated=True)
        dated = await guard.merchant(account="acct_dated")
        undated = await guard.merchant(account="acct_undated")
        await desk.shows("acct_dated", GOOD, due)
        await desk.shows("acct_undated", cut)
        await desk.look()
        assert sorted(await desk.told()) == sorted(both("APPEARED") * 2)
        for item in await desk.forecasts(undated):
            assert item.uncertainty == freeze_forecast_pb2.FREEZE_UNCERTAINTY_TRUNCATED
            assert item.uncertainty_explanation
            assert (item.alarm, item.days_left, list(item.causes)) == (False, 0, [])
            for name in ("expected_time", "latest_time", "act_by_time"):
                assert not item.HasField(name)

        # What was told stands while it cannot be seen, and goes when all is seen again.
        await desk.shows("acct_dated", cut)
        await desk.look()
        assert await desk.told() == both("WORSENED")
        for item in await desk.forecasts(dated):
            assert item.uncertainty == freeze_forecast_pb2.FREEZE_UNCERTAINTY_TRUNCATED
            assert to_datetime(item.expected_time) == deadline
        assert (await desk.figures()).averted_count == 0

        # Those without a moment are last, and before every time that is asked for.
        listed: list[str] = []
        token = ""
        while True:
            page = await guard.freezes.ListFreezeForecasts(
                pb.ListFreezeForecastsRequest(page_size=1, page_token=token)
            )
            listed += [item.merchant_id for item in page.forecasts]
            token = page.next_page_token
            if not token:
                break
        assert listed == [dated, dated, undated, undated]
        soon = await guard.freezes.ListFreezeForecasts(
            pb.ListFreezeForecastsRequest(expected_before_time=to_timestamp(deadline))
        )
        assert [item.merchant_id for item in soon.forecasts] == [undated, undated]

        await desk.shows("acct_dated", GOOD)
        await desk.shows("acct_undated", GOOD)
        await desk.look()
        assert sorted(await desk.told()) == sorted(both("CLEARED") * 2)
        assert await desk.forecasts(undated) == []


CUT = merchant_requirements_pb2.Requirements(truncated=True)


@pytest.mark.parametrize(
    ("shown", "uncertain"),
    [
        ({"truncated": True}, True),
        ({"requirements": CUT}, True),
        ({"future_requirements": CUT}, True),
        ({"persons": [merchant_pb2.AccountPerson(id="person_1", requirements=CUT)]}, True),
        ({"external_accounts": [merchant_pb2.ExternalAccount(id="ba_1", requirements=CUT)]}, True),
        (
            {
                "capabilities": [
                    merchant_pb2.Capability(
                        name="card_payments", requested=True, future_requirements=CUT
                    )
                ]
            },
            True,
        ),
        # What nobody asked for stops nothing.
        ({"capabilities": [merchant_pb2.Capability(name="oxxo", requirements=CUT)]}, False),
    ],
    ids=["account", "now", "in-future", "person", "bank-account", "capability", "unrequested"],
)
async def test_whatever_of_the_gateways_snapshot_is_cut_makes_it_uncertain(
    guard: Guard, shown: dict[str, Any], uncertain: bool
) -> None:
    account = unique("acct").replace("-", "_")
    guard.merchants.add(account, **shown)
    merchant = await guard.merchant(account=account)
    refreshed = await guard.requirements.RefreshAccountSnapshot(
        requirement_service_pb2.RefreshAccountSnapshotRequest(merchant_id=merchant)
    )
    assert refreshed.snapshot.truncated == uncertain
    async with at_a_desk(guard) as desk:
        await desk.look()
        said = [item.uncertainty for item in await desk.forecasts(merchant)]
        expected = [freeze_forecast_pb2.FREEZE_UNCERTAINTY_TRUNCATED] * 2
        assert said == (expected if uncertain else [])

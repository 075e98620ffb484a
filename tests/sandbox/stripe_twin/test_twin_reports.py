"""Stripe's financial reports: what rows say, when data is there, what goes wrong."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import stripe

from runtime.clock import Clock
from sandbox.stripe_twin import DEFAULT_ACCOUNT, JAPAN_ACCOUNT, Twin, running_twin
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.report_rows import (
    ACTIVITY,
    ENDING_BALANCE,
    LAYOUTS,
    PAYOUT_RECONCILIATION,
    PAYOUTS,
    SUMMARY,
    decimal,
)
from sandbox.twin_admin import TwinAdmin, TwinAdminError
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.receiver import open_receiver
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 3_600
START = datetime(2026, 11, 30, 20, tzinfo=UTC)
MIDNIGHT = int(datetime(2026, 11, 30, tzinfo=UTC).timestamp())


class FixedClock(Clock):
    def now(self) -> datetime:
        return START


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with running_twin(seed=1, clock=FixedClock()) as started:
        yield started
        started.books()


async def run_of(shop: Shop, report_type: str, **parameters: Any) -> stripe.reporting.ReportRun:
    """A finished run; of all that is available unless it is told."""
    if report_type in LAYOUTS:
        known = await shop.api.reporting.report_types.retrieve_async(report_type)
        parameters.setdefault("interval_end", known.data_available_end)
        if report_type != ENDING_BALANCE:
            parameters.setdefault("interval_start", known.data_available_start)
    given: Any = {"report_type": report_type, "parameters": parameters}
    run = await shop.api.reporting.report_runs.create_async(given, fresh_key())
    assert run.status == "pending"
    shop.twin.clock.run_due()
    return await shop.api.reporting.report_runs.retrieve_async(run.id)


async def content_of(shop: Shop, run: stripe.reporting.ReportRun, key: str = "") -> str:
    assert run.result is not None
    headers = {"Authorization": f"Bearer {key or DEFAULT_ACCOUNT.secret_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(str(run.result.url), headers=headers) as response,
    ):
        response.raise_for_status()
        return await response.text()


async def rows_of(shop: Shop, report_type: str, **parameters: Any) -> list[dict[str, str]]:
    run = await run_of(shop, report_type, **parameters)
    return list(csv.DictReader(io.StringIO(await content_of(shop, run))))


async def walk(shop: Shop) -> dict[str, stripe.BalanceTransaction]:
    listed = await shop.api.balance_transactions.list_async({"limit": 100})
    return {item.id: item for item in listed.data}


async def test_reports_say_what_the_api_says(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(10_000, card="pm_card_bypassPending")
    await shop.refund(paid.id, 1_250)
    payout = twin.pay_out()
    await shop.pay(777)
    twin.advance(seconds=2 * DAY)
    twin.fail_payout(payout["id"])
    twin.record_transaction("default", BalanceEntry(type="charge", amount=5, currency="jpy"))
    twin.advance(seconds=2 * DAY)
    transactions = await walk(shop)
    rows = [*await rows_of(shop, ACTIVITY), *await rows_of(shop, PAYOUTS)]
    assert {row["balance_transaction_id"] for row in rows} == transactions.keys()
    assert len(rows) == len(transactions)
    for row in rows:
        found = transactions[row["balance_transaction_id"]]
        scale = 1 if row["currency"] == "jpy" else 100
        assert [Decimal(row[name]) * scale for name in ("gross", "fee", "net")] == [
            found.amount,
            found.fee,
            found.net,
        ]
        assert row["reporting_category"] == found.reporting_category
    charge = next(row for row in rows if row["reporting_category"] == "charge")
    assert (charge["gross"], charge["fee"], charge["net"]) == ("100.00", "3.20", "96.80")
    assert charge["created"] == "2026-11-30 20:00:00"
    content = await rows_of(shop, PAYOUT_RECONCILIATION)
    assert {row["automatic_payout_id"] for row in content} == {payout["id"]}
    assert sum(Decimal(row["net"]) for row in content) == Decimal("84.30")
    assert decimal(payout["amount"], "usd") == "84.30"
    left = await rows_of(shop, ENDING_BALANCE)
    assert {row["gross"] for row in left} == {"7.77", "5"}
    summary = {
        (row["currency"], row["category"]): row["net_amount"]
        for row in await rows_of(shop, SUMMARY)
    }
    assert summary == {
        ("jpy", "activity"): "5",
        ("jpy", "ending_balance"): "5",
        ("jpy", "payouts"): "0",
        ("jpy", "starting_balance"): "0",
        ("usd", "activity"): "91.54",
        ("usd", "ending_balance"): "91.54",
        ("usd", "payouts"): "0.00",
        ("usd", "starting_balance"): "0.00",
    }


async def test_the_end_is_exclusive_and_the_zone_changes_only_what_is_written(
    shop: Shop, twin: Twin
) -> None:
    await shop.pay(1_000)
    second = MIDNIGHT + 20 * 3_600
    twin.advance(seconds=2 * DAY)
    assert await rows_of(shop, ACTIVITY, interval_start=MIDNIGHT, interval_end=second) == []
    for zone, created in (("Asia/Tokyo", "2026-12-01 05:00:00"), (None, "2026-11-30 20:00:00")):
        more = {} if zone is None else {"timezone": zone}
        (row,) = await rows_of(
            shop, ACTIVITY, interval_start=second, interval_end=second + 1, **more
        )
        assert (row["created"], row["created_utc"]) == (created, "2026-11-30 20:00:00")
    columns = ["net", "charge_id", "created"]
    run = await run_of(shop, ACTIVITY, columns=columns)
    assert (await content_of(shop, run)).splitlines()[0] == '"net","charge_id","created"'
    assert await rows_of(shop, ACTIVITY, currency="eur") == []
    assert await rows_of(shop, ACTIVITY, reporting_category="refund") == []
    assert len(await rows_of(shop, ACTIVITY, reporting_category="charge", currency="usd")) == 1


async def test_yen_have_no_decimals(twin: Twin) -> None:
    twin.account("japan").latency.seconds = 0.0
    async with open_shop(twin, JAPAN_ACCOUNT.secret_key) as shop:
        await shop.pay(1_234, currency="jpy", payment_method="pm_card_jp")
        twin.advance(seconds=2 * DAY)
        run = await run_of(shop, ACTIVITY)
        (row,) = csv.DictReader(io.StringIO(await content_of(shop, run, JAPAN_ACCOUNT.secret_key)))
    assert (row["gross"], row["fee"]) == ("1234", "44")


async def test_data_of_a_day_comes_after_it(shop: Shop, twin: Twin) -> None:
    async def end() -> int:
        found = await shop.api.reporting.report_types.retrieve_async(ACTIVITY)
        assert (found.version, found.data_available_start) == (3, MIDNIGHT)
        return found.data_available_end - MIDNIGHT

    assert await end() == 0
    twin.advance(seconds=16 * 3_600 - 1)
    assert await end() == 0
    twin.advance(seconds=1)
    assert await end() == DAY


@pytest.mark.parametrize(
    ("report_type", "parameters", "param"),
    [
        ("balance.summary.9", {}, "report_type"),
        (ACTIVITY, {"interval_end": MIDNIGHT + DAY + 1}, "parameters[interval_end]"),
        (ACTIVITY, {"interval_start": MIDNIGHT - 1}, "parameters[interval_start]"),
        (ACTIVITY, {"interval_start": MIDNIGHT + DAY}, "parameters[interval_start]"),
        (ACTIVITY, {"columns": ["net", "colour"]}, "parameters[columns]"),
        (ACTIVITY, {"columns": ["net", "net"]}, "parameters[columns]"),
        (ACTIVITY, {"timezone": "Mars/Olympus"}, "parameters[timezone]"),
        (ACTIVITY, {"payout": "po_1"}, "parameters[payout]"),
    ],
)
async def test_what_a_run_refuses(
    shop: Shop, twin: Twin, report_type: str, parameters: dict[str, Any], param: str
) -> None:
    twin.advance(seconds=DAY)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await run_of(shop, report_type, **parameters)
    assert (caught.value.http_status, caught.value.param) == (400, param)
    assert (await shop.api.reporting.report_runs.list_async()).data == []


async def test_an_interval_that_is_needed(shop: Shop) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.api.reporting.report_runs.create_async({"report_type": SUMMARY}, fresh_key())
    assert caught.value.param == "parameters[interval_start]"


async def test_only_who_names_it_hears_of_new_data() -> None:
    secret = DEFAULT_ACCOUNT.webhook_secret
    # Signatures have the time of the base clock, which has to be everybody's.
    async with (
        running_twin(seed=1) as twin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
        open_receiver(secret) as receiver,
    ):
        twin.register_webhook(receiver.url, enabled_events=["*"])
        twin.advance(seconds=2 * DAY)
        await twin.webhooks.drained()
        assert receiver.events == []
        twin.register_webhook(receiver.url, enabled_events=["reporting.report_type.updated"])
        twin.advance(seconds=DAY)
        await run_of(shop, SUMMARY)
        assert sorted(await receiver.until(1 + len(LAYOUTS))) == [
            "reporting.report_run.succeeded",
            *["reporting.report_type.updated"] * len(LAYOUTS),
        ]
        known = await shop.api.reporting.report_types.retrieve_async(ACTIVITY)
        told = {
            event.data.object["data_available_end"]
            for event in receiver.events
            if event.type.endswith("updated")
        }
        assert told == {known.data_available_end}


async def test_a_file_needs_its_key_and_expires(shop: Shop, twin: Twin) -> None:
    twin.advance(seconds=2 * DAY)
    run = await run_of(shop, SUMMARY)
    content = await content_of(shop, run)
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        await content_of(shop, run, "sk_test_twin_backup")
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await content_of(shop, run, "sk_test_nobody")
    assert run.result is not None
    link = await shop.api.file_links.create_async(
        {"file": run.result.id, "expires_at": int(twin.clock.time()) + 60}, fresh_key()
    )
    async with aiohttp.ClientSession() as session:
        async with session.get(str(link.url)) as response:
            assert (response.status, await response.text()) == (200, content)
        twin.advance(seconds=60)
        async with session.get(str(link.url)) as response:
            assert response.status == 404
    assert (await shop.api.file_links.retrieve_async(link.id)).expired
    twin.advance(seconds=366 * DAY)
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        await content_of(shop, run)


async def test_rows_go_wrong_and_it_is_known(shop: Shop, twin: Twin) -> None:
    for amount in (1_000, 2_000, 3_000, 4_000, 5_000):
        await shop.pay(amount)
    twin.advance(seconds=2 * DAY)
    async with TwinAdmin.open(twin.url) as admin:
        for more in (
            {"kind": "row_missing"},
            {"kind": "row_doubled"},
            {"kind": "row_late", "report_type": "balance_change*"},
            {"kind": "row_other_amount", "by": -1},
        ):
            await admin.add_report_fault(**more)
        first = [row["gross"] for row in await rows_of(shop, ACTIVITY)]
        assert first == ["20.00", "20.00", "39.99", "50.00"]
        done = await admin.injected_report_faults()
        nets = [item.net for item in (await walk(shop)).values()][::-1]
        assert [(item["kind"], item["amount"]) for item in done] == [
            ("row_missing", -nets[0]),
            ("row_doubled", nets[1]),
            ("row_late", -nets[2]),
            ("row_other_amount", -1),
        ]
        await admin.clear_report_faults()
        assert [row["gross"] for row in await rows_of(shop, ACTIVITY)] == first
        twin.advance(seconds=DAY)
        again = [row["gross"] for row in await rows_of(shop, ACTIVITY)]
        assert again == ["20.00", "20.00", "30.00", "39.99", "50.00"]
        await admin.add_report_fault(kind="run_failed", report_type=SUMMARY)
        failed = await run_of(shop, SUMMARY)
        assert (failed.status, failed.result) == ("failed", None)
        assert failed.error
        assert (await run_of(shop, SUMMARY)).status == "succeeded"
        for more in ({"kind": "row_other_amount"}, {"kind": "row_missing", "by": 2}):
            with pytest.raises(TwinAdminError, match="by: "):
                await admin.add_report_fault(**more)
    assert (await shop.event_types())[-2:] == [
        "reporting.report_run.failed",
        "reporting.report_run.succeeded",
    ]

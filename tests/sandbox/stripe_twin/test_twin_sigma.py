"""Scheduled queries of Sigma: they read what was loaded, and do nothing else."""

import csv
import io

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin, sigma
from sandbox.twin_admin import TwinAdmin, TwinAdminError
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop

HOUR = 3_600.0
NETS = "SELECT currency, sum(net) AS net FROM balance_transactions GROUP BY currency ORDER BY 1"


async def content_of(run: stripe.sigma.ScheduledQueryRun) -> list[list[str]]:
    assert run.file is not None
    headers = {"Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(str(run.file.url), headers=headers) as response,
    ):
        response.raise_for_status()
        return list(csv.reader(io.StringIO(await response.text())))


async def test_a_query_reads_what_was_loaded(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(10_000, card="pm_card_bypassPending")
    await shop.refund(paid.id, 2_500)
    payout = twin.pay_out()
    twin.advance(seconds=4 * HOUR)
    await shop.pay(777)
    async with TwinAdmin.open(twin.url) as admin:
        made = await admin.run_sigma_query("nets", NETS)
        run = await shop.api.sigma.scheduled_query_runs.retrieve_async(made["id"])
        assert problems(stripe.sigma.ScheduledQueryRun, run.to_dict()) == []
        assert (run.status, run.title, run.error) == ("completed", "nets", None)
        assert run.data_load_time == run.created - 3 * HOUR
        # What was paid just now is not there yet.
        assert await content_of(run) == [["currency", "net"], ["usd", "0"]]
        joined = await admin.run_sigma_query(
            "refunds of a payout",
            "SELECT r.id, b.net, b.automatic_transfer_id, r.created LIKE '20__-%.000'"
            " FROM refunds r JOIN balance_transactions b ON b.id = r.balance_transaction_id",
        )
    run = await shop.api.sigma.scheduled_query_runs.retrieve_async(joined["id"])
    _, (_, net, payout_id, is_time) = await content_of(run)
    assert (net, payout_id, is_time) == ("-2500", payout["id"], "1")
    runs = await shop.api.sigma.scheduled_query_runs.list_async({"limit": 1})
    assert ([item.id for item in runs.data], runs.has_more) == ([run.id], True)
    assert (await shop.event_types())[-2:] == ["sigma.scheduled_query_run.created"] * 2
    twin.advance(seconds=sigma.RESULT_SECONDS)
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        await content_of(run)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT colour FROM charges",
        "DELETE FROM charges",
        "ATTACH ':memory:' AS other",
        "PRAGMA table_info(charges)",
        "SELECT 1; SELECT 2",
        "not SQL",
    ],
)
async def test_a_query_that_fails_says_why(shop: Shop, twin: Twin, sql: str) -> None:
    async with TwinAdmin.open(twin.url) as admin:
        run = await admin.run_sigma_query("broken", sql)
    assert (run["status"], run["file"]) == ("failed", None)
    assert run["error"]["message"]
    found = await shop.api.sigma.scheduled_query_runs.retrieve_async(run["id"])
    assert problems(stripe.sigma.ScheduledQueryRun, found.to_dict()) == []


async def test_other_ends(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    async with TwinAdmin.open(twin.url) as admin:
        for outcome in ("canceled", "failed", "timed_out"):
            run = await admin.run_sigma_query("a", NETS, outcome=outcome)
            assert (run["status"], run["file"]) == (outcome, None)
        monkeypatch.setattr(sigma, "MAX_STEPS", 0)
        endless = (
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT count(*) FROM n"
        )
        assert (await admin.run_sigma_query("a", endless))["status"] == "timed_out"
        with pytest.raises(TwinAdminError, match="title"):
            await admin.run_sigma_query("", NETS)

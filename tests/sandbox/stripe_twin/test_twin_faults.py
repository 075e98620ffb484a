"""Faults: what happens, when, to whom, how often; and the admin API that switches them on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
import stripe
from pydantic import ValidationError

from sandbox.polling import poll
from sandbox.stripe_twin import BACKUP_ACCOUNT, DEFAULT_ACCOUNT, Twin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

PATIENCE_SECONDS = 30


def charges(twin: Twin) -> list[Any]:
    found: list[Any] = twin.books()["default"]["charges"]
    return found


async def give_up(paying: Coroutine[Any, Any, Any], when: Callable[[], bool]) -> None:
    """Leaves a request whose answer is not there yet, once so much has happened."""

    async def has_happened() -> bool:
        return when()

    task = asyncio.create_task(paying)
    await poll(has_happened, bool)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_reset_before_acting_leaves_nothing(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="before", count=1)
    key = fresh_key()
    with pytest.raises(stripe.APIConnectionError):
        await shop.pay(options=key)
    assert charges(twin) == []
    assert not twin.requests.seen[-1].acted
    assert (await shop.pay(options=key)).status == "succeeded"


async def test_a_reset_after_acting_loses_the_answer_only(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="after", count=1)
    key = fresh_key()
    with pytest.raises(stripe.APIConnectionError):
        await shop.pay(options=key)
    assert len(charges(twin)) == 1
    assert twin.requests.seen[-1].acted
    assert twin.requests.seen[-1].status is None
    again = await shop.pay(options=key)
    assert again.latest_charge == charges(twin)[0]["id"]
    assert len(charges(twin)) == 1


async def test_an_error_after_acting_in_front_of_the_endpoint(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="error", when="after", status=502, count=1)
    key = fresh_key()
    with pytest.raises(stripe.APIError) as caught:
        await shop.pay(options=key)
    assert caught.value.http_status == 502
    assert (await shop.pay(options=key)).status == "succeeded"
    assert len(charges(twin)) == 1


async def test_a_proxy_answers_instead_of_stripe(shop: Shop, twin: Twin) -> None:
    for when, charged in (("before", 0), ("after", 1)):
        twin.add_fault(kind="proxy", when=when, status=403, body={"message": "no"}, count=1)
        key = fresh_key()
        with pytest.raises(stripe.APIError) as caught:
            await shop.pay(options=key)
        assert caught.value.http_body is not None
        assert '"error"' not in str(caught.value.http_body)
        assert len(charges(twin)) == charged
    with pytest.raises(ValidationError):
        twin.add_fault(kind="error", status=403)


async def test_an_error_of_the_endpoint_before_acting_sticks(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="error", when="before", stored=True, count=1)
    key = fresh_key()
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await shop.pay(options=key)
    assert charges(twin) == []


async def test_a_client_that_gives_up_does_not_stop_stripe(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="latency", seconds=0.05, count=1)
    key = fresh_key()
    await give_up(shop.pay(options=key), lambda: bool(twin.requests.seen))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await twin.requests.wait_for(lambda seen: bool(seen) and seen[-1].status == 200)
    assert len(charges(twin)) == 1
    assert (await shop.pay(options=key)).latest_charge == charges(twin)[0]["id"]


async def test_latency_is_drawn_from_its_distribution(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="latency", when="after", seconds=0.001, jitter_seconds=0.001)
    (active,) = twin.faults.listed()
    draws = [active.delay_seconds() for _ in range(500)]
    assert min(draws) >= 0.001
    assert 0.0015 < sum(draws) / len(draws) < 0.0025
    assert (await shop.pay()).status == "succeeded"


async def test_a_hang_after_acting(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="hang", when="after", count=1)
    key = fresh_key()
    await give_up(shop.pay(options=key), lambda: bool(charges(twin)))
    assert len(charges(twin)) == 1
    assert (await shop.pay(options=key)).status == "succeeded"
    assert len(charges(twin)) == 1


async def test_rules_are_scoped(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="error", method="POST", path="/v1/refunds")
    twin.add_fault(kind="error", path="/v1/payment_intents/[^/]+/capture")
    twin.add_fault(kind="reset", account=BACKUP_ACCOUNT.account_id)
    paid = await shop.pay()
    with pytest.raises(stripe.APIError):
        await shop.refund(paid.id)
    held = await shop.authorize()
    with pytest.raises(stripe.APIError):
        await shop.capture(held.id)
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        with pytest.raises(stripe.APIConnectionError):
            await backup.pay()


async def test_rules_skip_and_count(shop: Shop, twin: Twin) -> None:
    rule = twin.add_fault(kind="error", skip=1, count=2)
    outcomes = []
    for _ in range(5):
        try:
            outcomes.append((await shop.pay()).status)
        except stripe.APIError:
            outcomes.append("error")
    assert outcomes == ["succeeded", "error", "error", "succeeded", "succeeded"]
    assert [active.hits for active in twin.faults.listed()] == [2]
    twin.faults.clear(rule)
    assert twin.faults.listed() == []


async def test_rules_hit_a_share_of_requests(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="rate_limit", probability=0.5)
    refused = 0
    for _ in range(40):
        try:
            await shop.pay()
        except stripe.RateLimitError:
            refused += 1
    assert 8 <= refused <= 32


@pytest.mark.parametrize(
    ("mode", "error"), [("reset", stripe.APIConnectionError), ("error", stripe.APIError)]
)
async def test_an_outage(shop: Shop, twin: Twin, mode: Any, error: type[Exception]) -> None:
    twin.outage(mode)
    key = fresh_key()
    for _ in range(2):
        with pytest.raises(error):
            await shop.pay(options=key)
    twin.outage("off")
    assert (await shop.pay(options=key)).status == "succeeded"


async def test_requests_hang_until_the_outage_is_over(shop: Shop, twin: Twin) -> None:
    twin.outage("hang")
    waiting = asyncio.create_task(shop.pay())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await twin.requests.wait_for(bool)
    twin.outage("off")
    with pytest.raises(stripe.APIConnectionError):
        await waiting


async def test_nobody_listens(shop: Shop, twin: Twin) -> None:
    await twin.stop_listening()
    async with open_shop(twin, DEFAULT_ACCOUNT.secret_key) as newcomer:
        with pytest.raises(stripe.APIConnectionError):
            await newcomer.pay()
        await twin.start_listening()
        assert (await newcomer.pay()).status == "succeeded"


async def test_the_admin_api(shop: Shop, twin: Twin) -> None:
    async with aiohttp.ClientSession(f"{twin.url}/_twin/") as session:

        async def call(method: str, path: str, body: Any = None, status: int = 200) -> Any:
            async with session.request(method, path, json=body) as response:
                assert response.status == status, await response.text()
                return await response.json()

        rule = await call("POST", "faults", {"kind": "error", "count": 1})
        with pytest.raises(stripe.APIError):
            await shop.pay()
        assert (await call("GET", "faults"))[rule["id"]]["hits"] == 1
        await call("DELETE", f"faults/{rule['id']}")
        await call("DELETE", f"faults/{rule['id']}", status=404)
        await call("POST", "faults", {"kind": "colour"}, 400)
        await call("POST", "outage", {"mode": "error"})
        with pytest.raises(stripe.APIError):
            await shop.pay()
        await call("POST", "outage", {"mode": "off"})
        before = (await call("GET", "clock"))["time"]
        after = (await call("POST", "clock", {"seconds": 3_600}))["time"]
        assert after - before >= 3_600
        assert (await call("POST", "settings", {"settlement_seconds": 5}))[
            "settlement_seconds"
        ] == 5
        await call("POST", "settings", {"settlement_seconds": -5}, 400)
        lost = await call("POST", "webhook_faults", {"kind": "drop"})
        assert lost["id"] in await call("GET", "webhook_faults")
        await call("DELETE", "webhook_faults")
        endpoint = await call("POST", "webhooks", {"url": "http://127.0.0.1:9/"})
        assert endpoint["object"] == "webhook_endpoint"
        await call("POST", "webhooks/pause")
        waiting = await shop.pay(card="pm_card_authenticationRequired", use_stripe_sdk=True)
        paid = await call("POST", f"authenticate/{waiting.id}/succeed")
        assert paid["status"] == "succeeded"
        await call("POST", f"authenticate/{waiting.id}/succeed", status=409)
        await call("POST", "authenticate/pi_unknown/succeed", status=404)
        books = await call("GET", "books")
        assert len(books["default"]["charges"]) == 1
        seen = await call("GET", "requests?method=POST&path=/v1/payment_intents")
        assert seen["posts_without_key"] == 0
        assert [item["status"] for item in seen["requests"]] == [500, 503, 200]
        await call("GET", "nothing", status=404)


async def test_the_customer_uses_the_page_of_the_admin_api(shop: Shop) -> None:
    waiting = await shop.pay(
        card="pm_card_authenticationRequired", return_url="https://shop.test/back?order=1"
    )
    assert waiting.next_action is not None
    assert waiting.next_action.redirect_to_url is not None
    page = str(waiting.next_action.redirect_to_url.url)
    async with aiohttp.ClientSession() as session:
        async with session.get(page) as shown:
            assert "Complete" in await shown.text()
        async with session.post(
            f"{page}/succeed", headers={"Accept": "text/html"}, allow_redirects=False
        ) as back:
            assert back.status == 303
            location = back.headers["Location"]
    assert location.startswith(f"https://shop.test/back?order=1&payment_intent={waiting.id}&")

"""Idempotency keys as Stripe documents them."""

import asyncio
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import BACKUP_ACCOUNT, Twin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


def headers_of(item: Any) -> Any:
    response = item.last_response
    assert response is not None
    return response.headers


async def test_the_same_key_gives_the_first_answer_again(shop: Shop) -> None:
    key = fresh_key()
    first = await shop.pay(options=key)
    again = await shop.pay(options=key)

    assert again.id == first.id
    assert "Idempotent-Replayed" not in headers_of(first)
    assert headers_of(again)["Idempotent-Replayed"] == "true"
    assert headers_of(again)["Original-Request"] == headers_of(first)["Request-Id"]
    assert len(shop.twin.books()["default"]["charges"]) == 1


async def test_a_decline_is_replayed(shop: Shop) -> None:
    key = fresh_key()
    errors = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            await shop.pay(card="pm_card_visa_chargeDeclined", options=key)
        errors.append(caught.value)

    assert errors[1].headers is not None
    assert errors[1].headers["Idempotent-Replayed"] == "true"
    assert errors[0].json_body == errors[1].json_body
    assert len(shop.twin.books()["default"]["charges"]) == 1


async def test_a_server_error_of_the_endpoint_is_replayed(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="error", when="after", stored=True, count=1)
    key = fresh_key()
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            await shop.pay(options=key)
        assert caught.value.http_status == 500
    assert caught.value.headers is not None
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    # Stripe acted all the same; only a search finds the payment now.
    assert len(twin.books()["default"]["charges"]) == 1


async def test_a_server_error_before_the_endpoint_is_not_replayed(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="error", when="before", status=503, count=1)
    key = fresh_key()
    with pytest.raises(stripe.APIError):
        await shop.pay(options=key)
    assert twin.books()["default"]["charges"] == []

    assert (await shop.pay(options=key)).status == "succeeded"


async def test_other_parameters_under_the_same_key_are_refused(shop: Shop) -> None:
    key = fresh_key()
    await shop.pay(1_000, options=key)
    with pytest.raises(stripe.IdempotencyError) as caught:
        await shop.pay(1_001, options=key)
    assert caught.value.http_status == 400
    assert caught.value.error is not None
    assert caught.value.error.type == "idempotency_error"


async def test_another_endpoint_under_the_same_key_is_refused(shop: Shop) -> None:
    key = fresh_key()
    paid = await shop.pay(options=key)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await shop.api.refunds.create_async({"payment_intent": paid.id}, key)


async def test_a_key_in_flight_is_refused(shop: Shop, twin: Twin) -> None:
    twin.add_fault(kind="hang", count=1)
    key = fresh_key()
    hanging = asyncio.create_task(shop.pay(options=key))
    async with asyncio.timeout(30):
        await twin.requests.wait_for(bool)

    with pytest.raises(stripe.APIError) as caught:
        await shop.pay(options=key)

    assert caught.value.http_status == 409
    assert caught.value.error is not None
    assert caught.value.error.code == "idempotency_key_in_use"
    twin.faults.clear()
    with pytest.raises(stripe.APIConnectionError):
        await hanging
    assert (await shop.pay(options=key)).status == "succeeded"


@pytest.mark.parametrize("kind", ["rate_limit", "lock_timeout"])
async def test_a_rate_limit_is_not_stored(shop: Shop, twin: Twin, kind: str) -> None:
    twin.add_fault(kind=kind, count=1)
    key = fresh_key()
    with pytest.raises(stripe.RateLimitError) as caught:
        await shop.pay(options=key)
    assert caught.value.http_status == 429
    assert caught.value.error is not None
    assert caught.value.error.code == kind

    assert (await shop.pay(options=key)).status == "succeeded"


async def test_a_wrong_key_of_the_account_is_not_stored(shop: Shop, twin: Twin) -> None:
    key = fresh_key()
    async with open_shop(twin, "sk_test_unknown") as stranger:
        with pytest.raises(stripe.AuthenticationError, match=r"\*nown"):
            await stranger.pay(options=key)
    assert (await shop.pay(options=key)).status == "succeeded"


async def test_a_refused_parameter_is_not_stored(shop: Shop) -> None:
    key = fresh_key()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.pay(options=key, colour="red")
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "colour")
    assert (await shop.pay(options=key)).status == "succeeded"


async def test_keys_belong_to_their_account(shop: Shop, twin: Twin) -> None:
    key = fresh_key()
    first = await shop.pay(options=key)
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        second = await backup.pay(options=key)
        with pytest.raises(stripe.InvalidRequestError) as caught:
            await backup.api.payment_intents.retrieve_async(first.id)
    assert second.id != first.id
    assert caught.value.code == "resource_missing"


async def test_a_key_is_forgotten_after_a_day(shop: Shop, twin: Twin) -> None:
    key = fresh_key()
    first = await shop.pay(options=key)
    twin.advance(seconds=24 * 3_600 - 1)
    assert (await shop.pay(options=key)).id == first.id

    twin.advance(seconds=2)

    # This is the double charge that a resend after the horizon makes.
    assert (await shop.pay(options=key)).id != first.id


async def test_a_post_without_a_key_is_refused_and_counted(shop: Shop, twin: Twin) -> None:
    # The SDK makes up a key by itself, so this goes around it.
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": "Bearer sk_test_twin_default"}
        url = f"{twin.url}/v1/payment_intents"
        body = {"amount": "500", "currency": "usd"}
        async with session.post(url, data=body, headers=headers) as refused:
            assert refused.status == 400
        assert twin.requests.posts_without_key == 1
        twin.settings.strict_idempotency = False
        async with session.post(url, data=body, headers=headers) as accepted:
            assert accepted.status == 200

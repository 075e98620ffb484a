"""Signed webhooks: who gets them, retries, and what tests can break on the way."""

from collections.abc import AsyncIterator

import pytest

from sandbox.stripe_twin import (
    BACKUP_ACCOUNT,
    DEFAULT_ACCOUNT,
    Twin,
    WebhookFault,
    running_twin,
)
from sandbox.stripe_twin.faults import Forgery
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.receiver import Receiver, open_receiver
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

PAYMENT = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "charge.updated",
]


@pytest.fixture
async def receiver(twin: Twin) -> AsyncIterator[Receiver]:
    async with open_receiver(DEFAULT_ACCOUNT.webhook_secret) as opened:
        # One at a time, so that the order of arrival says what was sent when.
        twin.settings.webhook_concurrency = 1
        twin.register_webhook(opened.url)
        yield opened


def break_webhooks(twin: Twin, **rule: object) -> str:
    return twin.webhooks.faults.add(WebhookFault.model_validate(rule))


async def test_a_payment_is_told_in_order(shop: Shop, receiver: Receiver) -> None:
    paid = await shop.pay(metadata={"order": "7"})

    assert await receiver.until(4) == PAYMENT
    succeeded = receiver.events[2]
    assert succeeded.data.object["id"] == paid.id
    assert succeeded.data.object["metadata"]["order"] == "7"
    assert succeeded.request is not None
    assert succeeded.request.idempotency_key is not None
    assert succeeded.request.idempotency_key.startswith("key-")
    snapshot = receiver.events[1].data.object
    assert snapshot["balance_transaction"] is None


async def test_the_endpoint_of_an_api_call_has_its_own_secret(shop: Shop) -> None:
    async with open_receiver("") as receiver:
        created = await shop.api.webhook_endpoints.create_async(
            {"url": receiver.url, "enabled_events": ["payment_intent.succeeded"]}, fresh_key()
        )
        assert created.secret is not None
        receiver.secret = created.secret
        await shop.pay()
        assert await receiver.until(1) == ["payment_intent.succeeded"]
        again = await shop.api.webhook_endpoints.retrieve_async(created.id)
        assert "secret" not in again.to_dict()
        await shop.api.webhook_endpoints.delete_async(created.id)
        await shop.pay()
        await shop.twin.webhooks.drained()
        assert len(receiver.events) == 1


async def test_another_secret_does_not_verify(shop: Shop, twin: Twin) -> None:
    async with open_receiver("whsec_other") as receiver:
        twin.settings.webhook_retry_seconds = ()
        twin.register_webhook(receiver.url)
        await shop.api.customers.create_async({}, fresh_key())
        await twin.webhooks.drained()
    assert (receiver.forged, receiver.events) == (1, [])
    assert [item.status for item in twin.webhooks.attempts] == [400]


async def test_accounts_do_not_hear_of_each_other(twin: Twin, receiver: Receiver) -> None:
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        await backup.pay()
        await twin.webhooks.drained()
    assert receiver.events == []


async def test_a_refused_webhook_is_retried_and_shows_as_undelivered(
    shop: Shop, receiver: Receiver
) -> None:
    shop.twin.settings.webhook_retry_seconds = (600.0, 3_600.0)
    receiver.answers.extend([500, 503, 200])
    await shop.api.customers.create_async({}, fresh_key())
    await shop.twin.webhooks.drained()
    undelivered = await shop.api.events.list_async({"delivery_success": False})
    assert [event.id for event in undelivered.data] == receiver.refused
    assert undelivered.data[0].pending_webhooks == 1

    shop.twin.advance(seconds=600)
    await shop.twin.webhooks.drained()
    assert len(receiver.refused) == 2
    assert receiver.events == []
    shop.twin.advance(seconds=3_600)

    assert await receiver.until(1) == ["customer.created"]
    await shop.twin.webhooks.drained()
    assert (await shop.api.events.list_async({"delivery_success": False})).data == []
    delivered = await shop.api.events.list_async({"delivery_success": True})
    assert [event.id for event in delivered.data] == [receiver.events[0].id]
    attempts = [(item.attempt, item.status) for item in shop.twin.webhooks.attempts]
    assert attempts == [(1, 500), (2, 503), (3, 200)]


async def test_an_endpoint_that_is_down_is_retried(shop: Shop, twin: Twin) -> None:
    async with open_receiver(DEFAULT_ACCOUNT.webhook_secret) as gone:
        url = gone.url
    twin.settings.webhook_retry_seconds = ()
    twin.register_webhook(url)
    await shop.api.customers.create_async({}, fresh_key())
    await twin.webhooks.drained()
    assert [item.status for item in twin.webhooks.attempts] == [None]


async def test_a_lost_webhook_is_found_by_listing(shop: Shop, receiver: Receiver) -> None:
    break_webhooks(shop.twin, kind="drop", event_type="payment_intent.succeeded")
    await shop.pay()
    await shop.twin.webhooks.drained()

    assert [event.type for event in receiver.events] == [
        name for name in PAYMENT if name != "payment_intent.succeeded"
    ]
    lost = await shop.api.events.list_async({"delivery_success": False})
    assert [event.type for event in lost.data] == ["payment_intent.succeeded"]


async def test_a_webhook_comes_twice(shop: Shop, receiver: Receiver) -> None:
    break_webhooks(shop.twin, kind="duplicate", event_type="charge.*", copies=3, count=1)
    await shop.pay()
    types = await receiver.until(6)
    assert types.count("charge.succeeded") == 3
    assert len({event.id for event in receiver.events}) == 4


async def test_a_webhook_comes_late(shop: Shop, receiver: Receiver) -> None:
    break_webhooks(shop.twin, kind="delay", event_type="charge.succeeded", seconds=60)
    await shop.pay()
    await shop.twin.webhooks.drained()
    assert len(receiver.events) == 3
    shop.twin.advance(seconds=60)
    assert (await receiver.until(4))[-1] == "charge.succeeded"


async def test_webhooks_come_in_the_wrong_order(shop: Shop, receiver: Receiver) -> None:
    rule = break_webhooks(shop.twin, kind="reorder", window=4)
    await shop.pay()
    assert await receiver.until(4) == PAYMENT[::-1]

    await shop.api.customers.create_async({}, fresh_key())
    shop.twin.webhooks.faults.clear(rule)
    shop.twin.webhooks.release_held()
    assert (await receiver.until(5))[-1] == "customer.created"


async def test_webhooks_wait_while_they_are_paused(shop: Shop, receiver: Receiver) -> None:
    shop.twin.webhooks.pause()
    await shop.pay()
    assert receiver.events == []
    shop.twin.webhooks.resume()
    assert await receiver.until(4) == PAYMENT


async def test_signatures_carry_the_time_of_the_receiver(shop: Shop, receiver: Receiver) -> None:
    shop.twin.advance(seconds=48 * 3_600)
    await shop.api.customers.create_async({}, fresh_key())
    assert await receiver.until(1) == ["customer.created"]

    shop.twin.settings.webhook_retry_seconds = ()
    shop.twin.settings.signature_skew_seconds = -3_600
    await shop.api.customers.create_async({}, fresh_key())
    await shop.twin.webhooks.drained()
    assert (receiver.forged, len(receiver.events)) == (1, 1)


FORGERIES = [forgery for forgery in Forgery if forgery is not Forgery.FUTURE]


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_webhook_comes_beside_the_true_one(
    shop: Shop, receiver: Receiver, twin: Twin, forgery: Forgery
) -> None:
    break_webhooks(twin, kind="forge", forgery=forgery, event_type="payment_intent.succeeded")
    await shop.pay()
    assert await receiver.until(4) == PAYMENT
    assert receiver.forged == 1
    forged = [attempt for attempt in twin.webhooks.attempts if attempt.forgery is not None]
    assert [(attempt.event_type, attempt.status) for attempt in forged] == [
        ("payment_intent.succeeded", 400)
    ]
    assert twin.account().events.find(forged[0].event_id) is None
    undelivered = await shop.api.events.list_async({"delivery_success": False})
    assert undelivered.data == []


async def test_the_sdk_takes_a_webhook_from_the_future(
    shop: Shop, receiver: Receiver, twin: Twin
) -> None:
    break_webhooks(twin, kind="forge", forgery="future", event_type="charge.succeeded", count=1)
    await shop.pay()
    assert await receiver.until(5) == [PAYMENT[0], PAYMENT[1], *PAYMENT[1:]]
    assert receiver.events[1].id != receiver.events[2].id


async def test_webhooks_are_lost_by_chance_and_a_seed_loses_the_same() -> None:
    lost = [await _lost(seed) for seed in (3, 3, 4)]
    assert lost[0] == lost[1]
    assert lost[0] != lost[2]
    assert 0 < len(lost[0]) < 24


async def _lost(seed: int) -> list[str]:
    """The positions, in the order of the events, of what was not delivered."""
    async with (
        running_twin(seed=seed) as twin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
        open_receiver(DEFAULT_ACCOUNT.webhook_secret) as receiver,
    ):
        twin.register_webhook(receiver.url)
        break_webhooks(twin, kind="drop", probability=0.4, account="default")
        for _ in range(6):
            await shop.pay()
        await twin.webhooks.drained()
        events = twin.account().events.all()
        return [
            f"{position} {event.kind}" for position, event in enumerate(events) if event.undelivered
        ]

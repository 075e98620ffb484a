"""What a judge asks after many payments, and what the twin forgets by then."""

import pytest
import stripe

from sandbox.stripe_twin import BACKUP_ACCOUNT, Twin
from sandbox.stripe_twin.events import COMPACTION_EVENTS, Event, EventLog
from sandbox.twin_admin import TwinAdmin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop


async def test_the_figures_come_without_the_objects(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(10_000)
    await shop.refund(paid.id, 2_500)
    await shop.authorize(700, currency="eur")
    async with TwinAdmin.open(twin.url) as admin:
        summary = (await admin.summary())["default"]
        assert summary["counts"] == {
            "payment_intent": 2,
            "charge": 2,
            "refund": 1,
            "dispute": 0,
            "payout": 0,
        }
        assert summary["statuses"] == {"succeeded": 1, "requires_capture": 1}
        assert summary["fees"] == {"usd": 320}
        assert summary["balances"] == {"usd": {"available": -2_500, "pending": 9_680}}
        assert summary["journal"] == twin.books()["default"]["journal"]
        assert await admin.balance("usd") == 7_180
        assert await admin.balance("eur") == 0


async def test_payments_are_found_by_their_metadata_in_all_accounts(shop: Shop, twin: Twin) -> None:
    first = await shop.pay(metadata={"payment": "a"})
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        second = await backup.pay(metadata={"payment": "a"})
    with pytest.raises(stripe.CardError):
        await shop.pay(metadata={"payment": "b"}, card="pm_card_chargeDeclined")
    await shop.pay(metadata={"order": "a"})
    async with TwinAdmin.open(twin.url) as admin:
        found = await admin.payments_by_metadata("payment")
    assert [(item["account"], item["id"]) for item in found["a"]] == [
        ("default", first.id),
        ("backup", second.id),
    ]
    assert [charge["paid"] for item in found["a"] for charge in item["charges"]] == [True, True]
    (declined,) = found["b"]
    assert [charge["paid"] for charge in declined["charges"]] == [False]
    assert sorted(found) == ["a", "b"]


def event(number: int) -> Event:
    return Event(f"evt_{number}", "charge.updated", 1_000, "{}", None, None, None, None)


def test_only_the_newest_events_are_kept() -> None:
    log = EventLog()
    most = 10
    count = 3 * COMPACTION_EVENTS
    for number in range(count):
        log.add(event(number), most)
    assert [item.event_id for item in log.all()] == [
        f"evt_{number}" for number in range(count - most, count)
    ]
    assert log.find(f"evt_{count - most - 1}") is None
    page = log.page({"limit": 4, "starting_after": f"evt_{count - 5}"})
    assert [item["id"] for item in page["data"]] == [
        f"evt_{number}" for number in range(count - 6, count - 10, -1)
    ]
    assert page["has_more"]
    oldest = log.page({"ending_before": f"evt_{count - most}", "limit": 100})
    assert len(oldest["data"]) == most - 1


async def test_a_twin_forgets_its_oldest_events(shop: Shop, twin: Twin) -> None:
    twin.settings.max_events = 3
    await shop.pay()
    assert await shop.event_types() == [
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]

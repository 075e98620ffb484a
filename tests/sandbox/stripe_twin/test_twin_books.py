"""The judge's books stay sound whatever a merchant, its customers and the banks do."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
import stripe

from runtime.clock import ManualClock
from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin, running_twin
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop

STEPS = 60
DAY = 24 * 3_600
CARDS = [
    "pm_card_visa",
    "pm_card_visa_chargeDeclined",
    "pm_card_bypassPending",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_card_createDispute",
]


class Merchant:
    """Does one thing after another at random, and notes what must have come of it."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self.shop = shop
        self.random = random.Random(seed)
        self.paid: list[str] = []
        self.held: list[str] = []
        self.captured = 0
        self.refused = 0

    async def step(self) -> None:
        """One random action; what Stripe refuses is part of the life of a merchant."""
        actions: list[Callable[[], Awaitable[None]]] = [
            self.pay,
            self.pay,
            self.hold,
            self.capture,
            self.refund,
            self.wait,
            self.pay_out,
        ]
        try:
            await self.random.choice(actions)()
        except (stripe.CardError, stripe.InvalidRequestError):
            self.refused += 1

    async def pay(self) -> None:
        amount = self.random.randint(50, 20_000)
        currency = self.random.choice(["usd", "eur", "jpy"])
        paid = await self.shop.pay(
            amount, card=self.random.choice(CARDS), currency=currency, capture_method="automatic"
        )
        self.paid.append(paid.id)
        self.captured += amount

    async def hold(self) -> None:
        self.held.append((await self.shop.authorize(self.random.randint(100, 9_000))).id)

    async def capture(self) -> None:
        if self.held:
            intent = self.held.pop()
            amount = self.random.randint(1, 9_000)
            await self.shop.capture(intent, amount)
            self.captured += amount
            self.paid.append(intent)

    async def refund(self) -> None:
        if self.paid:
            intent = self.random.choice(self.paid)
            await self.shop.refund(intent, self.random.randint(1, 5_000))

    async def wait(self) -> None:
        self.shop.twin.advance(seconds=self.random.randint(1, 3 * DAY))

    async def pay_out(self) -> None:
        balances = self.shop.twin.books()["default"]["balances"]
        if balances.get("usd", {}).get("available", 0) > 0:
            self.shop.twin.pay_out()


@pytest.mark.parametrize("seed", range(5))
async def test_the_books_stay_sound(shop: Shop, seed: int) -> None:
    merchant = Merchant(shop, seed)
    for _ in range(STEPS):
        await merchant.step()
        shop.twin.books()
    shop.twin.advance(seconds=30 * DAY)

    books = shop.twin.books()["default"]

    assert merchant.captured > 0
    assert merchant.refused < STEPS / 2
    assert sum(charge["amount_captured"] for charge in books["charges"]) == merchant.captured
    assert all(balance["pending"] == 0 for balance in books["balances"].values())
    balance = await shop.api.balance.retrieve_async()
    available = {item.currency: item.amount for item in balance.available}
    listed = shop.api.balance_transactions.list_async
    for currency, amount in available.items():
        page = await listed({"currency": currency, "limit": 100})
        assert sum([item.net async for item in page.auto_paging_iter()]) == amount


async def test_the_twin_lives_in_the_time_of_its_base_clock() -> None:
    clock = ManualClock(datetime(2026, 11, 1, tzinfo=UTC))
    async with (
        running_twin(clock=clock) as twin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
    ):
        twin.settings.settlement_seconds = 3_600
        paid = await shop.pay()
        assert paid.created == int(clock.now().timestamp())
        clock.advance(timedelta(hours=1))
        assert (await shop.charge_of(paid.id)).balance_transaction is not None


async def test_the_clock_does_not_go_back(twin: Twin) -> None:
    with pytest.raises(ValueError, match="only goes forward"):
        twin.advance(seconds=-1)


async def test_what_falls_due_on_the_way_happens_at_its_time(twin: Twin) -> None:
    start = twin.clock.time()
    seen: list[int] = []

    def again() -> None:
        seen.append(round(twin.clock.time() - start))
        if len(seen) < 3:
            twin.clock.after(100, again)

    twin.clock.after(100, again)
    twin.advance(seconds=1_000)
    assert seen == [100, 200, 300]

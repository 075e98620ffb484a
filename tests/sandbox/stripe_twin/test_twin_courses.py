"""An account follows its course in the twin's time, alone, and the same again for a seed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe
from pydantic import ValidationError

from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin import BACKUP_ACCOUNT, DEFAULT_ACCOUNT, Twin, running_twin
from sandbox.stripe_twin.courses import MAX_POINTS, ActiveCourse, Course, Ending, Point
from sandbox.twin_admin import TwinAdmin, TwinAdminError
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.merchants import onboarded_account
from tests.sandbox.stripe_twin.receiver import open_receiver
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DRAWS = 20_000
START = datetime(2026, 11, 1, tzinfo=UTC)
GRIM = Point(
    at_seconds=0,
    rate_limited=0.1,
    errors=0.2,
    timeouts=0.05,
    declines={"generic_decline": 0.25, "insufficient_funds": 0.15},
)


def course(*points: Point, seed: int = 1, hang_seconds: float = 0.01) -> Course:
    return Course(seed=seed, points=list(points), hang_seconds=hang_seconds)


async def ending(call: Any) -> str:
    """What a payment came to, by the SDK."""
    try:
        return str((await call).status)
    except stripe.CardError as error:
        return str(error.error and error.error.decline_code)
    except stripe.StripeError as error:
        return f"{type(error).__name__} {error.http_status}"


async def test_an_account_follows_its_course_in_the_twins_time() -> None:
    clock = ManualClock(START)
    points = (
        Point(at_seconds=60, declines={"do_not_honor": 1}),
        Point(at_seconds=120, errors=1),
        Point(at_seconds=180, rate_limited=1),
        Point(at_seconds=240),
    )
    async with (
        running_twin(clock=clock, seed=1) as twin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
        open_shop(twin, BACKUP_ACCOUNT.secret_key) as other,
    ):
        below = await onboarded_account(shop)
        twin.set_course("default", course(*points))
        seen = []
        for _ in range(5):
            seen.append(await ending(shop.pay()))
            assert await ending(shop.pay(options=fresh_key(below))) == seen[-1]
            assert await ending(other.pay()) == "succeeded"
            clock.advance(timedelta(seconds=60))
        assert seen == [
            "succeeded",
            "do_not_honor",
            "APIError 503",
            "RateLimitError 429",
            "succeeded",
        ]
        # What never reached the endpoint was not charged.
        assert len(twin.books()["default"]["payment_intents"]) == 3
        twin.set_course("default", course(Point(at_seconds=0, errors=1)))
        assert await ending(shop.pay()) == "APIError 503"
        twin.set_course("default", None)
        assert await ending(shop.pay()) == "succeeded"


async def test_the_customers_card_has_its_say_first(twin: Twin, shop: Shop) -> None:
    twin.set_course("default", course(Point(at_seconds=0, declines={"do_not_honor": 1})))
    refused = shop.pay(card="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert await ending(refused) == "insufficient_funds"
    twin.set_course("default", course(Point(at_seconds=0)))
    refused = shop.pay(card="pm_card_visa_chargeDeclinedInsufficientFunds")
    assert await ending(refused) == "insufficient_funds"


async def test_what_times_out_was_done_and_its_key_says_so(twin: Twin, shop: Shop) -> None:
    key = fresh_key()
    twin.set_course("default", course(Point(at_seconds=0, timeouts=1)))
    assert await ending(shop.pay(options=key)) == "APIConnectionError None"
    twin.set_course("default", None)
    assert await ending(shop.pay(options=key)) == "succeeded"
    assert len(twin.books()["default"]["payment_intents"]) == 1


async def test_what_hangs_on_a_course_ends_with_it(twin: Twin, shop: Shop) -> None:
    twin.set_course("default", course(Point(at_seconds=0, timeouts=1), hang_seconds=600))
    waiting = asyncio.ensure_future(ending(shop.pay()))

    async def charged() -> int:
        return len(twin.books()["default"]["payment_intents"])

    await poll(charged, lambda count: count == 1)
    twin.set_course("default", None)
    assert await waiting == "APIConnectionError None"


async def test_events_come_as_late_as_the_course_says() -> None:
    # The SDK compares the time of signatures with the machine's.
    clock = ManualClock(datetime.now(UTC))
    async with (
        running_twin(clock=clock, seed=1) as twin,
        open_receiver(DEFAULT_ACCOUNT.webhook_secret) as receiver,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
    ):
        twin.register_webhook(receiver.url)
        twin.set_course("default", course(Point(at_seconds=0, webhook_lag_seconds=90)))
        await shop.pay()
        clock.advance(timedelta(seconds=89))
        twin.clock.run_due()
        await twin.webhooks.drained()
        assert receiver.events == []
        clock.advance(timedelta(seconds=1))
        twin.clock.run_due()
        await twin.webhooks.drained()
        assert "payment_intent.succeeded" in [event.type for event in receiver.events]


def fates(seed: int, account: str = "default", point: Point = GRIM) -> list[Any]:
    active = ActiveCourse(course(point, seed=seed), account, lambda: 5.0)
    return [(active.draw(), active.decline()) for _ in range(DRAWS)]


def test_shares_are_what_the_course_says_and_a_seed_draws_the_same_again() -> None:
    drawn = fates(1)
    endings = [request for (request, _), _ in drawn]
    for wanted, share in (
        (Ending.RATE_LIMITED, 0.1),
        (Ending.ERROR, 0.2),
        (Ending.TIMED_OUT, 0.05),
        (Ending.ANSWERED, 0.65),
    ):
        assert endings.count(wanted) / DRAWS == pytest.approx(share, abs=0.015)
    codes = [None if decline is None else decline.decline_code for _, decline in drawn]
    for code, share in (("generic_decline", 0.25), ("insufficient_funds", 0.15), (None, 0.6)):
        assert codes.count(code) / DRAWS == pytest.approx(share, abs=0.015)
    assert fates(1) == drawn
    assert fates(2) != drawn
    assert fates(1, "backup") != drawn


def test_latencies_have_their_median_and_95th_percentile() -> None:
    point = Point(at_seconds=0, latency_p50_ms=200, latency_p95_ms=700)
    seconds = sorted(latency for (_, latency), _ in fates(1, point=point))
    assert seconds[DRAWS // 2] == pytest.approx(0.2, rel=0.05)
    assert seconds[DRAWS * 95 // 100] == pytest.approx(0.7, rel=0.05)


@pytest.mark.parametrize(
    ("point", "wrong"),
    [
        ({"errors": 0.6, "timeouts": 0.5}, "more than all"),
        ({"declines": {"do_not_honor": 0.6, "generic_decline": 0.5}}, "more than all"),
        ({"declines": {"no_such_code": 0.1}}, "no decline no_such_code"),
        ({"latency_p50_ms": 5, "latency_p95_ms": 4}, "below"),
        ({"latency_p95_ms": 4}, "latency_p50_ms is 0"),
        ({"errors": 1.01}, "less than or equal to 1"),
        ({"at_seconds": -1}, "greater than or equal to 0"),
    ],
)
def test_a_point_that_cannot_be_is_refused(point: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        Point(**{"at_seconds": 0, **point})


def test_points_are_in_order_and_not_too_many() -> None:
    course(Point(at_seconds=0), Point(at_seconds=1))
    with pytest.raises(ValidationError, match="not after the one before"):
        course(Point(at_seconds=1), Point(at_seconds=1))
    most = [Point(at_seconds=at) for at in range(MAX_POINTS + 1)]
    assert course(*most[:-1]).points == most[:-1]
    with pytest.raises(ValidationError, match=f"at most {MAX_POINTS} items"):
        course(*most)


async def test_the_admin_api_sets_and_ends_courses(twin: Twin, shop: Shop) -> None:
    async with TwinAdmin.open(twin.url) as admin:
        await admin.set_course("default", course(Point(at_seconds=0, errors=1)))
        assert await ending(shop.pay()) == "APIError 503"
        assert (await admin.courses())["default"]["errors"] == 1
        await admin.clear_course("default")
        assert await ending(shop.pay()) == "succeeded"
        assert await admin.courses() == {}
        with pytest.raises(TwinAdminError, match="not found"):
            await admin.set_course("nobody", course(Point(at_seconds=0)))

"""The outcome of charges as Radar and the networks give it.

https://docs.stripe.com/api/charges/object#charge_object-outcome, https://docs.stripe.com/radar/testing
"""

from contextlib import suppress
from typing import Any

import pytest
import stripe

from sandbox.stripe_twin.overrides import CardOverride, override_card
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DEFAULT: dict[str, Any] = {}
REVIEWS = {"radar_reviews_elevated": True}
BLOCKS_NOTHING = {"radar_blocks_highest": False}
NO_SCORES = {"radar_scores": False}
# The card, the settings, and: type, risk_level, risk_score, network_status, reason.
CASES = [
    ("visa", DEFAULT, ("authorized", "normal", 12, "approved_by_network", None)),
    ("visa", NO_SCORES, ("authorized", "normal", None, "approved_by_network", None)),
    ("riskLevelElevated", DEFAULT, ("authorized", "elevated", 66, "approved_by_network", None)),
    (
        "riskLevelElevated",
        REVIEWS,
        ("manual_review", "elevated", 66, "approved_by_network", "elevated_risk_level"),
    ),
    ("visa", REVIEWS, ("authorized", "normal", 12, "approved_by_network", None)),
    (
        "riskLevelHighest",
        DEFAULT,
        ("blocked", "highest", 92, "not_sent_to_network", "highest_risk_level"),
    ),
    (
        "riskLevelHighest",
        BLOCKS_NOTHING,
        ("authorized", "highest", 92, "approved_by_network", None),
    ),
    (
        "radarBlock",
        BLOCKS_NOTHING,
        ("blocked", "highest", 92, "not_sent_to_network", "highest_risk_level"),
    ),
    (
        "visa_chargeDeclinedInsufficientFunds",
        DEFAULT,
        ("issuer_declined", "normal", 12, "declined_by_network", "insufficient_funds"),
    ),
]


def told(outcome: Any) -> tuple[Any, ...]:
    """What an outcome says, as the SDK reads it; a score that is not there is None."""
    score = outcome.to_dict().get("risk_score")
    return (outcome.type, outcome.risk_level, score, outcome.network_status, outcome.reason)


async def outcome_of(shop: Shop, card: str) -> Any:
    with suppress(stripe.CardError):
        await shop.pay(card=card)
    [intent] = shop.twin.books()["default"]["payment_intents"]
    return (await shop.charge_of(intent["id"])).outcome


@pytest.mark.parametrize(("card", "settings", "expected"), CASES)
async def test_a_charge_says_what_radar_and_the_network_made_of_it(
    shop: Shop, card: str, settings: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    for name, value in settings.items():
        setattr(shop.twin.settings, name, value)
    assert told(await outcome_of(shop, f"pm_card_{card}")) == expected


@pytest.mark.parametrize(
    ("decline", "expected"),
    [
        ("blocked_after_approval", ("blocked", "normal", 12, "reversed_after_approval", "rule")),
        ("testmode_decline", ("invalid", "normal", 12, "not_sent_to_network", "testmode_decline")),
    ],
)
async def test_a_test_has_a_card_reversed_or_a_request_not_valid(
    shop: Shop, decline: str, expected: tuple[Any, ...]
) -> None:
    method = await shop.api.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}, fresh_key()
    )
    account = shop.twin.account()
    held = account.objects("payment_method").get(method.id)
    override_card(account, held, CardOverride(decline=decline))
    assert told(await outcome_of(shop, method.id)) == expected

"""What Radar and the network made of a charge: read as Stripe gives it, kept and shown."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.payments.domain.card import Card, card_fingerprint_of, card_of
from gateway.payments.domain.intents import read_intent
from gateway.payments.domain.radar import RadarOutcome, radar_outcome_of
from gateway.payments.domain.reconcile import Timing, radar_step, reconcile
from gateway.payments.domain.states import HOLDING, PaymentState, Transition
from gateway.payments.rendering import radar_message
from gateway.v1.payment_pb2 import (
    CaptureMethod,
    PaymentMethod,
    RadarNetworkStatus,
    RadarOutcomeType,
    RadarRiskLevel,
)
from gateway.v1.payment_pb2 import PaymentState as State
from gateway.v1.payment_pb2 import RadarOutcome as Shown
from sandbox.stripe_twin.overrides import CardOverride, override_card
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import saved_card
from tests.gateway.payments.outcomes import NOW, payment_in
from tests.gateway.payments.shop import Shop
from tests.gateway.payments.test_states import new_payment

BLOCKED = {
    "type": "blocked",
    "risk_level": "highest",
    "risk_score": 92,
    "network_status": "not_sent_to_network",
    "reason": "highest_risk_level",
    "advice_code": "do_not_try_again",
    "network_advice_code": None,
    "network_decline_code": None,
    "seller_message": "Stripe blocked this payment as too risky.",
}
READ = RadarOutcome(
    "blocked", "highest", 92, "not_sent_to_network", "highest_risk_level", "do_not_try_again"
)
# Every word that Stripe documents, https://docs.stripe.com/api/charges/object#charge_object-outcome
TYPES = {
    "authorized": RadarOutcomeType.RADAR_OUTCOME_TYPE_AUTHORIZED,
    "manual_review": RadarOutcomeType.RADAR_OUTCOME_TYPE_MANUAL_REVIEW,
    "issuer_declined": RadarOutcomeType.RADAR_OUTCOME_TYPE_ISSUER_DECLINED,
    "blocked": RadarOutcomeType.RADAR_OUTCOME_TYPE_BLOCKED,
    "invalid": RadarOutcomeType.RADAR_OUTCOME_TYPE_INVALID,
}
LEVELS = {
    "normal": RadarRiskLevel.RADAR_RISK_LEVEL_NORMAL,
    "elevated": RadarRiskLevel.RADAR_RISK_LEVEL_ELEVATED,
    "highest": RadarRiskLevel.RADAR_RISK_LEVEL_HIGHEST,
    "not_assessed": RadarRiskLevel.RADAR_RISK_LEVEL_NOT_ASSESSED,
    "unknown": RadarRiskLevel.RADAR_RISK_LEVEL_UNKNOWN,
}
STATUSES = {
    "approved_by_network": RadarNetworkStatus.RADAR_NETWORK_STATUS_APPROVED_BY_NETWORK,
    "declined_by_network": RadarNetworkStatus.RADAR_NETWORK_STATUS_DECLINED_BY_NETWORK,
    "not_sent_to_network": RadarNetworkStatus.RADAR_NETWORK_STATUS_NOT_SENT_TO_NETWORK,
    "reversed_after_approval": RadarNetworkStatus.RADAR_NETWORK_STATUS_REVERSED_AFTER_APPROVAL,
}


def shown(**values: Any) -> Shown:
    return radar_message(replace(READ, **values))


def test_an_outcome_is_read_but_for_its_text() -> None:
    assert radar_outcome_of({"id": "ch_1", "outcome": BLOCKED}) == READ
    message = radar_message(READ)
    assert (message.risk_score, message.reason) == (92, "highest_risk_level")
    assert message.advice_code == "do_not_try_again"


@pytest.mark.parametrize(
    "charge", [None, "ch_1", {}, {"outcome": None}, {"outcome": {}}, {"outcome": {"type": None}}]
)
def test_what_has_no_outcome_has_none(charge: Any) -> None:
    assert radar_outcome_of(charge) is None


@pytest.mark.parametrize("score", [None, "92", True, 9.5])
def test_a_score_that_is_no_whole_number_is_none(score: Any) -> None:
    outcome = radar_outcome_of({"outcome": {**BLOCKED, "risk_score": score}})
    assert outcome == replace(READ, risk_score=None)
    assert not radar_message(outcome).HasField("risk_score")


def test_no_risk_at_all_is_not_no_score() -> None:
    outcome = radar_outcome_of({"outcome": {"type": "authorized", "risk_score": 0}})
    assert outcome == RadarOutcome("authorized", risk_score=0)
    assert radar_message(outcome).HasField("risk_score")


def test_every_word_has_its_value_and_every_value_its_word() -> None:
    for words, of, name in (
        (TYPES, RadarOutcomeType, "type"),
        (LEVELS, RadarRiskLevel, "risk_level"),
        (STATUSES, RadarNetworkStatus, "network_status"),
    ):
        assert {0, *words.values()} == set(of.values())
        for word, number in words.items():
            assert getattr(shown(**{name: word}), name) == number


@given(word=st.text(max_size=20).filter(lambda word: word not in {**TYPES, **LEVELS, **STATUSES}))
def test_a_word_that_is_not_known_is_kept_and_not_specified(word: str) -> None:
    kept = radar_outcome_of(
        {"outcome": {**BLOCKED, "risk_level": word, "network_status": word, "reason": word}}
    )
    assert kept == replace(READ, risk_level=word, network_status=word, reason=word)
    message = radar_message(replace(kept, type=word))
    assert (message.type, message.risk_level, message.network_status) == (0, 0, 0)
    assert message.reason == word


@pytest.mark.parametrize(
    ("details", "fingerprint"),
    [
        ({"type": "card", "card": {"fingerprint": "fp_1"}}, "fp_1"),
        ({"type": "card", "card": {"fingerprint": None}}, ""),
        ({"type": "sepa_debit", "sepa_debit": {"fingerprint": "fp_1"}}, ""),
        (None, ""),
    ],
)
def test_cards_alone_have_a_fingerprint(details: Any, fingerprint: str) -> None:
    assert card_fingerprint_of({"payment_method_details": details}) == fingerprint


CARD = {"brand": "mastercard", "network": "visa", "funding": "debit", "country": "DE"}
KIND = Card("visa", "debit", "DE")


@pytest.mark.parametrize(
    ("charge", "kind"),
    [
        ({"payment_method_details": {"card": CARD}}, KIND),
        # Of a charge that no network was asked for, the brand says it.
        (
            {"payment_method_details": {"card": {**CARD, "network": None}}},
            Card("mastercard", "debit", "DE"),
        ),
        ({"payment_method_details": {"card": {"country": "DE"}}}, Card(country="DE")),
        ({"payment_method_details": {"card": {"brand": None}}}, None),
        ({"payment_method_details": {"sepa_debit": {"country": "DE"}}}, None),
        ({"payment_method_details": None}, None),
        ("ch_1", None),
        (None, None),
    ],
)
def test_what_kind_of_card_a_charge_is_of(charge: Any, kind: Card | None) -> None:
    assert card_of(charge) == kind


def test_an_intent_brings_what_was_made_of_its_charge() -> None:
    details = {"type": "card", "card": {"fingerprint": "fp_1", **CARD}}
    charge = {"id": "ch_1", "outcome": BLOCKED, "payment_method_details": details}
    intent = {
        "id": "pi_1",
        "status": "succeeded",
        "currency": "eur",
        "amount_received": 1000,
        "latest_charge": charge,
    }
    seen = read_intent(intent)
    assert (seen.radar_outcome, seen.card_fingerprint) == (READ, "fp_1")
    payment = new_payment(state=PaymentState.AUTHORIZING, hold_id="op_1")
    step = reconcile(payment, seen, NOW, Timing(), decided=True)
    assert step is not None
    assert (step.after.radar_outcome, step.after.card_fingerprint) == (READ, "fp_1")
    assert seen.card == step.after.card == KIND


KNOWS = {
    PaymentState.RETRY_SCHEDULED,
    PaymentState.AUTHORIZED,
    PaymentState.SUCCEEDED,
    PaymentState.DECLINED,
}


@pytest.mark.parametrize("state", PaymentState)
def test_what_comes_after_the_charge_is_a_step_that_changes_nothing_else(
    state: PaymentState,
) -> None:
    hold_id = "op_1" if state in HOLDING else ""
    payment = payment_in(state, charge_id="ch_1", hold_id=hold_id)
    step = radar_step(payment, "ch_1", READ, NOW)
    if state not in KNOWS:
        assert step is None
        return
    assert step is not None
    assert step.transition is Transition.RADAR_OUTCOME_KNOWN
    revision = payment.revision + 1
    assert step.after == replace(payment, radar_outcome=READ, revision=revision, update_time=NOW)
    with_card = radar_step(payment, "ch_1", READ, NOW, KIND)
    assert with_card is not None
    assert with_card.after == replace(step.after, card=KIND)
    later = radar_step(with_card.after, "ch_1", replace(READ, reason="rule"), NOW)
    assert later is not None
    assert later.after.card == KIND
    # Seen again, nothing is new; of another charge, nothing is its own.
    assert radar_step(step.after, "ch_1", READ, NOW) is None
    assert radar_step(payment, "ch_2", READ, NOW) is None
    assert radar_step(payment, "ch_1", None, NOW) is None


@pytest.mark.parametrize(
    ("card", "kind", "level"),
    [
        ("visa", "authorized", "normal"),
        ("riskLevelElevated", "authorized", "elevated"),
    ],
)
async def test_the_answer_to_a_charge_has_its_outcome(
    shop: Shop, card: str, kind: str, level: str
) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token=f"pm_card_{card}"))
    assert payment.state == State.PAYMENT_STATE_SUCCEEDED
    outcome = payment.radar_outcome
    assert (outcome.type, outcome.risk_level) == (TYPES[kind], LEVELS[level])
    assert outcome.network_status == STATUSES["approved_by_network"]


@pytest.mark.parametrize(
    ("card", "kind", "status", "reason"),
    [
        ("radarBlock", "blocked", "not_sent_to_network", "highest_risk_level"),
        ("riskLevelHighest", "blocked", "not_sent_to_network", "highest_risk_level"),
        (
            "visa_chargeDeclinedInsufficientFunds",
            "issuer_declined",
            "declined_by_network",
            "insufficient_funds",
        ),
    ],
)
async def test_the_outcome_of_a_decline_comes_with_its_event_and_in_the_stream(
    shop: Shop, twin: Twin, card: str, kind: str, status: str, reason: str
) -> None:
    payment = await shop.create(payment_method=PaymentMethod(token=f"pm_card_{card}"))
    assert payment.state == State.PAYMENT_STATE_DECLINED
    told = (await shop.watch_for(payment.id, "radar_outcome_known")).payment
    outcome = told.radar_outcome
    assert (outcome.type, outcome.network_status) == (TYPES[kind], STATUSES[status])
    assert outcome.reason == reason
    assert told.state == State.PAYMENT_STATE_DECLINED
    [charge] = twin.books()["default"]["charges"]
    assert told.charge_id == charge["id"]
    assert (await shop.get(payment.id)).radar_outcome == outcome


async def test_what_is_reversed_after_its_approval_is_told_so(shop: Shop, twin: Twin) -> None:
    card = await saved_card(twin, "visa")
    account = twin.account()
    method = account.objects("payment_method").get(card.token)
    override_card(account, method, CardOverride(decline="blocked_after_approval"))
    payment = await shop.create(payment_method=card)
    told = (await shop.watch_for(payment.id, "radar_outcome_known")).payment
    assert told.radar_outcome.type == TYPES["blocked"]
    assert told.radar_outcome.network_status == STATUSES["reversed_after_approval"]


async def test_what_is_captured_later_keeps_its_outcome(shop: Shop, twin: Twin) -> None:
    twin.settings.radar_reviews_elevated = True
    payment = await shop.create(
        payment_method=PaymentMethod(token="pm_card_riskLevelElevated"),
        capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL,
    )
    assert payment.radar_outcome.type == TYPES["manual_review"]
    captured = await shop.capture(payment)
    assert captured.radar_outcome == payment.radar_outcome

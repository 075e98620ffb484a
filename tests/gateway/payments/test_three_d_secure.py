"""When 3-D Secure is asked for: the operators' rules, beside a model that reads the file itself."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.operations.operation import OperationKind
from gateway.payments.domain.check_outcome import apply_check
from gateway.payments.domain.commands import check_operation
from gateway.payments.domain.decision import CheckReply
from gateway.payments.domain.history import Bucket, Past, PaymentHistory, Velocity
from gateway.payments.domain.payment import ComplianceRecord, Payment, ThreeDSecure
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.states import PaymentState
from gateway.payments.domain.stripe_params import authorize_params
from gateway.payments.domain.three_d_secure import decide, may_ask, needs_history
from gateway.payments.three_d_secure_file import rules_of
from gateway.v1.payment_pb2 import PaymentMethod, ThreeDSecureRequest
from gateway.v1.payment_pb2 import PaymentState as State
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.payments.outcomes import context
from tests.gateway.payments.shop import euros, fresh, refused
from tests.gateway.payments.test_states import new_payment
from tests.gateway.payments.test_unknown_outcomes import LOST_ANSWERS, settled
from tests.gateway.running import OpenShop

NOW = datetime(2026, 11, 29, tzinfo=UTC)
DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
# The least numbers that the words of the file stand for.
LEAST = {"one": 1, "few": 2, "several": 4, "many": 11}
BUCKETS = {0: Bucket.NONE, 1: Bucket.ONE, 2: Bucket.FEW, 4: Bucket.SEVERAL, 11: Bucket.MANY}

amounts = st.dictionaries(st.sampled_from(["EUR", "USD", "JPY"]), st.integers(999, 1001))
velocities = st.fixed_dictionaries(
    {
        "window": st.sampled_from(["1h", "24h", "7d"]),
        "at_least": st.sampled_from(sorted(LEAST)),
    }
)
rules = st.fixed_dictionaries(
    {"request": st.sampled_from(["any", "challenge", "automatic"])},
    optional={
        "currencies": st.lists(st.sampled_from(["EUR", "USD", "JPY"]), unique=True),
        "amount_from": amounts,
        "first_payment": st.booleans(),
        "risk": st.fixed_dictionaries(
            {
                "level": st.sampled_from(["elevated", "highest"]),
                "within_days": st.sampled_from([1, 30]),
            }
        ),
        "customer_velocity": velocities,
        "card_velocity": velocities,
    },
)
ages = st.sampled_from([None, 0 * DAY, DAY, DAY + MICROSECOND, 30 * DAY, 30 * DAY + MICROSECOND])
numbers = st.lists(st.sampled_from(sorted(BUCKETS)), min_size=3, max_size=3).map(sorted)
pasts = st.fixed_dictionaries(
    {"numbers": numbers, "paid": st.booleans(), "elevated": ages, "highest": ages}
)
payments = st.fixed_dictionaries(
    {
        "currency": st.sampled_from(["EUR", "USD", "CHF"]),
        "amount_minor": st.integers(998, 1002),
        "customer_id": st.sampled_from(["", "c_1"]),
        "off_session": st.sampled_from([False, False, False, True]),
    }
)


def modelled(
    file: list[dict[str, Any]], payment: Mapping[str, Any], customer: Any, card: Any
) -> tuple[str, str] | None:
    """What the page for operators says, of the file as it is written."""
    if payment["off_session"] or not file:
        return None
    for rule in file:
        holds = []
        if rule.get("currencies"):
            holds.append(payment["currency"] in rule["currencies"])
        if rule.get("amount_from"):
            least = rule["amount_from"].get(payment["currency"], 10**9)
            holds.append(payment["amount_minor"] >= least)
        if "first_payment" in rule:
            paid = (customer if payment["customer_id"] else card)["paid"]
            holds.append(paid != rule["first_payment"])
        if "risk" in rule:
            # A rating of highest is one of elevated, too.
            asked = rule["risk"]
            levels = ["highest"] if asked["level"] == "highest" else ["highest", "elevated"]
            seen = [past[level] for past in (customer, card) for level in levels]
            most = asked["within_days"] * DAY
            holds.append(any(age is not None and age <= most for age in seen))
        for name, past in (("customer_velocity", customer), ("card_velocity", card)):
            if name in rule:
                place = ["1h", "24h", "7d"].index(rule[name]["window"])
                holds.append(past["numbers"][place] >= LEAST[rule[name]["at_least"]])
        if all(holds):
            return rule["request"], rule["name"]
    return "", ""


def past_of(values: Mapping[str, Any]) -> Past:
    """The same as the rules have it: the newest rating of each level, or worse."""
    rated = [age for age in (values["elevated"], values["highest"]) if age is not None]
    return Past(
        Velocity(*(BUCKETS[number] for number in values["numbers"])),
        has_paid=values["paid"],
        elevated_time=NOW - min(rated) if rated else None,
        highest_time=NOW - values["highest"] if values["highest"] is not None else None,
    )


@given(listed=st.lists(rules, max_size=4), payment=payments, customer=pasts, card=pasts)
def test_the_rules_do_what_the_model_does(
    listed: list[dict[str, Any]], payment: dict[str, Any], customer: Any, card: Any
) -> None:
    file = [{"name": f"rule-{number}", **rule} for number, rule in enumerate(listed)]
    read = rules_of({"rule": file}) if file else ()
    asking = new_payment(**payment)
    history = PaymentHistory(past_of(customer), past_of(card))
    expected = modelled(file, payment, customer, card)
    decided = decide(read, asking, history, NOW)
    assert decided == (None if expected is None else ThreeDSecure(*expected))
    if not needs_history(read, asking):
        # And what is not needed is not missed.
        assert decide(read, asking, None, NOW) == decided


ALWAYS = rules_of({"rule": [{"name": "always", "request": "any"}]})
ASKED = ThreeDSecure("any", "always")


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"off_session": True}, False),
        # Its customer came back for an attempt that was declined: Stripe has that PaymentIntent.
        ({"off_session": True, "customer_returned": True, "decline_count": 1}, False),
        ({"payment_method_type": PaymentMethodType.SEPA_DEBIT}, False),
        ({"payment_intent_id": "pi_1"}, False),
        ({"decline_count": 1}, False),
        ({"three_d_secure": ThreeDSecure()}, False),
        ({"three_d_secure": ThreeDSecure("challenge", "other")}, False),
    ],
)
def test_only_a_card_whose_customer_is_there_and_only_once(
    changes: dict[str, Any], *, may: bool
) -> None:
    payment = new_payment(**changes)
    assert may_ask(payment) is may
    assert decide(ALWAYS, payment, None, NOW) == (ASKED if may else None)
    assert decide((), payment, None, NOW) is None


def checked(payment: Payment, asked: ThreeDSecure | None) -> dict[str, Any]:
    """What is sent to Stripe when compliance allows a payment."""
    record = ComplianceRecord("dec_1", "ALLOW", (), "2026-11-01T00:03:00Z")
    check = check_operation(payment, "op_1", NOW, timedelta(minutes=10))
    decision = apply_check(payment, check, CheckReply(record, three_d_secure=asked), context(NOW))
    assert decision.follow_up is not None
    assert decision.follow_up.kind is OperationKind.AUTHORIZE
    assert json.loads(decision.follow_up.params) == authorize_params(decision.payment)
    sent: dict[str, Any] = json.loads(decision.follow_up.params)
    return sent


def test_what_is_asked_for_is_sent_and_what_is_not_is_not() -> None:
    asked = checked(new_payment(), ASKED)["payment_method_options"]
    assert asked == {"card": {"request_three_d_secure": "any"}}
    for nothing in (None, ThreeDSecure()):
        assert "payment_method_options" not in checked(new_payment(), nothing)
        assert authorize_params(new_payment(three_d_secure=nothing)) == authorize_params(
            new_payment()
        )


@pytest.mark.parametrize("first", [ThreeDSecure(), ThreeDSecure("challenge", "other")])
def test_what_was_decided_first_stays(first: ThreeDSecure) -> None:
    """The key is the same, and so must be what is sent with it, whatever the rules say by now."""
    queued = new_payment(state=PaymentState.QUEUED, three_d_secure=first, queue_deadline=NOW + DAY)
    assert checked(queued, ASKED) == checked(replace(queued), first)


@pytest.fixture
def rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "three-d-secure.toml"
    path.write_text(
        """
        [[rule]]
        name = "risky-before"
        request = "challenge"
        risk = { level = "elevated", within_days = 30 }

        [[rule]]
        name = "large"
        request = "any"
        amount_from = { EUR = 50000 }
        """
    )
    return path


@pytest.fixture
def other_rules_file(tmp_path: Path) -> Path:
    path = tmp_path / "other.toml"
    path.write_text('[[rule]]\nname = "all"\nrequest = "challenge"\n')
    return path


async def test_an_elevated_risk_has_the_customer_challenged_next_time(
    open_shop: OpenShop, twin: Twin, rules_file: Path
) -> None:
    risky = PaymentMethod(token="pm_card_riskLevelElevated")
    async with open_shop(three_d_secure_file=rules_file) as shop:
        first = await shop.create(payment_method=risky)
        assert first.state == State.PAYMENT_STATE_SUCCEEDED
        assert not first.HasField("three_d_secure")
        other = await shop.create(customer_id="c_2")
        assert other.state == State.PAYMENT_STATE_SUCCEEDED

        again = await shop.create()
        assert again.state == State.PAYMENT_STATE_REQUIRES_ACTION
        asked = again.three_d_secure
        assert asked.request == ThreeDSecureRequest.THREE_D_SECURE_REQUEST_CHALLENGE
        assert asked.rule == "risky-before"
        twin.complete_authentication(again.payment_intent_id)
        await shop.watch_until(again.id, State.PAYMENT_STATE_SUCCEEDED)
        assert (await shop.get(again.id)).three_d_secure == asked

        # Nobody is there to be challenged.
        card = await saved_card(twin, "visa")
        away = await shop.create(payment_method=card, off_session=True)
        assert away.state == State.PAYMENT_STATE_SUCCEEDED
        assert not away.HasField("three_d_secure")


async def test_a_card_is_known_by_its_number_to_other_customers(
    open_shop: OpenShop, twin: Twin, rules_file: Path
) -> None:
    card = await saved_card(twin, "visa")
    async with open_shop(three_d_secure_file=rules_file) as shop:
        bank_treats_as(twin, card, "riskLevelElevated")
        await shop.create(payment_method=card)
        bank_treats_as(twin, card, "visa")
        seen = await shop.create(payment_method=card, customer_id="c_2")
        assert seen.three_d_secure.rule == "risky-before"


async def test_without_rules_nothing_is_asked_for(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        await shop.create(payment_method=PaymentMethod(token="pm_card_riskLevelElevated"))
        payment = await shop.create(amount=euros(50_000))
        assert payment.state == State.PAYMENT_STATE_SUCCEEDED
        assert not payment.HasField("three_d_secure")


@pytest.mark.parametrize("fault", LOST_ANSWERS[:2])
async def test_what_is_sent_again_asks_for_the_same(
    open_shop: OpenShop, twin: Twin, rules_file: Path, fault: dict[str, Any]
) -> None:
    async with open_shop(three_d_secure_file=rules_file) as shop:
        twin.add_fault(**fault, path="/v1/payment_intents", method="POST")
        request_id = fresh()
        payment = await settled(
            shop, await shop.create(amount=euros(50_000), request_id=request_id)
        )
        assert payment.state == State.PAYMENT_STATE_REQUIRES_ACTION
        assert payment.three_d_secure.rule == "large"
        [intent] = twin.books()["default"]["payment_intents"]
        asked = intent["payment_method_options"]["card"]["request_three_d_secure"]
        assert asked == "any"
        # And the client's own repetition is answered, not asked for anew.
        repeated = await shop.create(amount=euros(50_000), request_id=request_id)
        assert repeated.id == payment.id
        assert len(twin.books()["default"]["payment_intents"]) == 1


async def test_what_was_not_sent_is_tried_again_as_it_was_decided_first(
    open_shop: OpenShop, twin: Twin, rules_file: Path, other_rules_file: Path
) -> None:
    request: dict[str, Any] = {"amount": euros(100), "request_id": fresh()}
    async with open_shop(three_d_secure_file=rules_file) as shop:
        await shop.close_corridor()
        assert await refused(shop.create(**request)) == "CORRIDOR_UNAVAILABLE"
        await shop.open_corridor()
    async with open_shop(three_d_secure_file=other_rules_file) as shop:
        payment = await shop.create(**request)
        assert payment.state == State.PAYMENT_STATE_SUCCEEDED
        assert not payment.HasField("three_d_secure")
        assert (await shop.create(amount=euros(100))).three_d_secure.rule == "all"
    assert len(twin.books()["default"]["payment_intents"]) == 2

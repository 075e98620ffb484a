"""The rules about attempts after declines, and the data that they read."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.payments.domain.decline_retries import decline_step, due_step, put_back_step
from gateway.payments.domain.intents import IntentSnapshot, IntentStatus, decline_of
from gateway.payments.domain.payment import Decline, DeclineRetry, Payment, take
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.reconcile import Timing, reconcile
from gateway.payments.domain.retry_policy import (
    DATA,
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    MAX_WITHIN,
    RetryClass,
    earliest_within_limits,
    next_attempt_time,
    read_data,
    rule_for,
)
from gateway.payments.domain.states import PaymentState, Transition
from sandbox.stripe_twin.cards import CARDS_BY_TOKEN
from sandbox.stripe_twin.test_accounts import FAILURES
from tests.gateway.payments.test_states import new_payment

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
BROKE = Decline("card_declined", "insufficient_funds", "try_again_later")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\d–]*) \| .+ \|$", flags=re.MULTILINE)

codes = st.sampled_from(["", "unheard_of", *DATA.decline])
declines = st.builds(
    Decline,
    code=st.sampled_from(["card_declined", *DATA.decline]),
    decline_code=codes,
    advice_code=st.sampled_from(["", "unheard_of", *DATA.advice]),
    network_advice_code=st.sampled_from(["", "99", *(code for _, code in DATA.network_advice)]),
    card_brand=st.sampled_from(["", "visa", "mastercard", "amex"]),
)
policies = st.builds(
    DeclineRetry,
    max_attempts=st.integers(2, MAX_ATTEMPTS),
    within=st.timedeltas(HOUR, MAX_WITHIN),
)
moments = st.datetimes(
    NOW.replace(tzinfo=None) - timedelta(days=60),
    NOW.replace(tzinfo=None),
    timezones=st.just(UTC),
)


def authorizing(policy: DeclineRetry | None, **values: object) -> Payment:
    return new_payment(
        state=PaymentState.AUTHORIZING,
        hold_id="op_1",
        off_session=True,
        decline_retry=policy,
        **values,
    )


@given(declines, policies, st.integers(0, MAX_ATTEMPTS), st.timedeltas(timedelta(0), MAX_WITHIN))
def test_an_attempt_keeps_to_the_policy_and_the_advice(
    decline: Decline, policy: DeclineRetry, declined_before: int, age: timedelta
) -> None:
    payment = authorizing(policy, decline_count=declined_before)
    due = next_attempt_time(payment, decline, NOW + age)
    rule = rule_for(decline)
    if due is None:
        return
    assert decline.advice_code != "do_not_try_again"
    assert rule.retry_class is RetryClass.LATER
    assert declined_before + 2 <= policy.max_attempts
    assert due <= payment.create_time + policy.within
    wait = due - NOW - age
    assert rule.wait <= wait <= max(rule.wait, LONGEST_WAIT)


@given(declines, policies)
def test_a_customer_who_is_there_is_never_charged_again_without_acting(
    decline: Decline, policy: DeclineRetry
) -> None:
    present = replace(authorizing(policy), off_session=False)
    returned = authorizing(policy, customer_returned=True)
    for payment in (present, returned):
        assert next_attempt_time(payment, decline, NOW) is None
        step = decline_step(payment, decline, NOW, "pi_1", "ch_1")
        assert step.after.state is PaymentState.DECLINED


@given(declines)
def test_the_strictest_row_wins(decline: Decline) -> None:
    rows = [
        DATA.advice.get(decline.advice_code),
        DATA.network_advice.get((decline.card_brand, decline.network_advice_code)),
        DATA.decline.get(decline.decline_code or decline.code),
    ]
    classes = {row.retry_class for row in rows if row is not None}
    expected = next((each for each in RetryClass if each in classes), RetryClass.NEVER)
    assert rule_for(decline).retry_class is expected


def test_what_no_row_knows_is_never_tried_again() -> None:
    assert rule_for(Decline("card_declined", "unheard_of")).retry_class is RetryClass.NEVER
    later = rule_for(Decline("card_declined", "unheard_of", "try_again_later"))
    assert later.retry_class is RetryClass.LATER


@pytest.mark.parametrize("code", ["03", "21"])
def test_mastercards_stop_counts_for_its_own_cards(code: str) -> None:
    stopped = replace(BROKE, network_advice_code=code, card_brand="mastercard")
    assert rule_for(stopped).retry_class is RetryClass.NEVER
    assert rule_for(replace(stopped, card_brand="visa")).retry_class is RetryClass.LATER


def test_the_last_attempt_of_a_policy() -> None:
    policy = DeclineRetry(max_attempts=3, within=MAX_WITHIN)
    assert next_attempt_time(authorizing(policy, decline_count=1), BROKE, NOW) is not None
    assert next_attempt_time(authorizing(policy, decline_count=2), BROKE, NOW) is None


def test_the_last_moment_of_a_policy() -> None:
    policy = DeclineRetry(max_attempts=3, within=25 * HOUR)
    assert next_attempt_time(authorizing(policy), BROKE, NOW + HOUR) == NOW + 25 * HOUR
    late = NOW + HOUR + timedelta(microseconds=1)
    assert next_attempt_time(authorizing(policy), BROKE, late) is None


@given(st.sampled_from(["visa", "mastercard", "amex", ""]), st.lists(moments, max_size=60))
def test_no_window_ever_holds_more_attempts_than_its_limit(
    brand: str, declined: list[datetime]
) -> None:
    earliest = earliest_within_limits(brand, declined, NOW)
    assert earliest >= NOW
    limits = DATA.limits.get(brand, DATA.limits["*"])
    for limit in limits:
        inside = [time for time in declined if time > earliest - limit.window]
        assert len(inside) + 1 <= limit.attempts
    if earliest > NOW:
        # A moment earlier would have been one too many.
        sooner = earliest - timedelta(microseconds=1)
        assert any(
            len([time for time in declined if time > sooner - limit.window]) >= limit.attempts
            for limit in limits
        )


def test_visas_limit_at_its_edge() -> None:
    spread = [NOW - number * HOUR for number in range(16)]
    assert earliest_within_limits("visa", spread[:15], NOW) == NOW
    assert earliest_within_limits("visa", spread, NOW) == spread[15] + timedelta(days=30)


def test_an_attempt_that_is_due_begins_is_put_off_or_given_up() -> None:
    policy = DeclineRetry(max_attempts=5, within=timedelta(days=20))
    scheduled = decline_step(authorizing(policy), replace(BROKE, card_brand="visa"), NOW, "", "")
    assert scheduled.transition == Transition.RETRY_SCHEDULED
    payment = scheduled.after
    change, operation = due_step(payment, [NOW], NOW + 24 * HOUR, "op_2")
    assert change.transition == Transition.RETRY_STARTED
    assert operation is not None
    assert change.after.wake_time is None
    for days, transition in ((15, Transition.RETRY_POSTPONED), (5, Transition.DECLINED)):
        oldest = NOW - timedelta(days=days)
        change, operation = due_step(payment, [oldest] * 16, NOW + 24 * HOUR, "op_2")
        assert change.transition == transition
        assert operation is None


def test_an_attempt_that_did_not_happen_keeps_the_reason_of_the_decline() -> None:
    policy = DeclineRetry(max_attempts=5, within=timedelta(days=2))
    payment = decline_step(authorizing(policy), BROKE, NOW, "pi_1", "ch_1").after
    started = take(payment, Transition.RETRY_STARTED, NOW).after
    later = put_back_step(started, NOW + 24 * HOUR)
    assert later.transition == Transition.RETRY_POSTPONED
    over = put_back_step(started, NOW + 48 * HOUR)
    assert over.after.state is PaymentState.DECLINED
    assert over.after.decline == BROKE
    assert over.after.decline_count == 1


def test_the_data_knows_the_twins_declines_and_agrees_with_its_advice() -> None:
    for card in CARDS_BY_TOKEN.values():
        if card.decline is None:
            continue
        row = DATA.decline[card.decline.decline_code or card.decline.code]
        if card.decline.advice_code is not None:
            assert row.retry_class is DATA.advice[card.decline.advice_code].retry_class


DEBIT_ROW = re.compile(
    r"^\| `([\w*]+)` \| `(\w+)` \| (\w+) \| ([\d–]*) \| ([\d–]*) \| .+ \|$", flags=re.MULTILINE
)
debit_types = st.sampled_from([kind for kind in PaymentMethodType if kind.is_bank_debit])


@given(
    debit_types,
    st.sampled_from(sorted({code for _, code in DATA.bank_decline} | set(DATA.decline) | {"new"})),
    policies,
    st.integers(0, MAX_ATTEMPTS),
)
def test_a_debit_is_tried_again_only_where_its_own_row_says_so(
    kind: PaymentMethodType, code: str, policy: DeclineRetry, declined_before: int
) -> None:
    payment = replace(
        authorizing(policy, payment_method_type=kind, decline_count=declined_before),
        state=PaymentState.PROCESSING,
    )
    due = next_attempt_time(payment, Decline(code, advice_code="try_again_later"), NOW)
    row = DATA.bank_decline.get((kind.at_stripe, code))
    if due is not None:
        assert row is not None
        assert row.retry_class is RetryClass.LATER
        assert row.max_attempts is not None
        assert declined_before + 2 <= min(row.max_attempts, policy.max_attempts)
        assert due >= NOW + row.wait


def test_an_ach_debit_without_money_is_sent_twice_more_and_a_sepa_debit_never() -> None:
    policy = DeclineRetry(max_attempts=MAX_ATTEMPTS, within=MAX_WITHIN)
    broke = Decline("insufficient_funds")
    due = [
        next_attempt_time(
            authorizing(
                policy,
                payment_method_type=PaymentMethodType.US_BANK_ACCOUNT,
                decline_count=declined_before,
            ),
            broke,
            NOW,
        )
        for declined_before in range(4)
    ]
    assert due == [NOW + 72 * HOUR, NOW + 144 * HOUR, None, None]
    sepa = authorizing(policy, payment_method_type=PaymentMethodType.SEPA_DEBIT)
    assert next_attempt_time(sepa, broke, NOW) is None


def test_the_decline_of_a_debit_names_its_account() -> None:
    error = {
        "payment_method": {"type": "sepa_debit", "sepa_debit": {"fingerprint": "fp_1"}},
    }
    decline = decline_of("account_closed", "", "", error)
    assert (decline.card_brand, decline.card_fingerprint) == ("sepa_debit", "fp_1")
    card = {"payment_method": {"card": {"brand": "visa", "fingerprint": "fp_2"}}}
    assert decline_of("card_declined", "", "", card).card_brand == "visa"


def test_the_data_knows_what_the_twins_banks_say() -> None:
    for code in FAILURES:
        assert ("*", code) in DATA.bank_decline


def test_the_page_shows_the_rows_of_bank_debits() -> None:
    page = Path("docs/declines.md").read_text(encoding="utf-8")
    shown = {(kind, code): tuple(rest) for kind, code, *rest in DEBIT_ROW.findall(page)}
    assert shown == {
        key: (
            rule.retry_class.value,
            str(rule.wait // HOUR) if rule.wait else "–",
            str(rule.max_attempts or "–"),
        )
        for key, rule in DATA.bank_decline.items()
    }


def test_the_page_shows_the_data() -> None:
    page = Path("docs/declines.md").read_text(encoding="utf-8")
    shown = {code: (name, wait) for code, name, wait in ROW.findall(page)}
    assert shown == {
        code: (
            rule.retry_class.value,
            str(int(rule.wait / HOUR)) if rule.retry_class is RetryClass.LATER else "–",
        )
        for code, rule in {**DATA.advice, **DATA.decline}.items()
    }
    rules = [*DATA.advice.values(), *DATA.network_advice.values(), *DATA.decline.values()]
    rules += DATA.bank_decline.values()
    sources = {rule.source for rule in rules}
    sources |= {limit.source for limits in DATA.limits.values() for limit in limits}
    assert all(f"<{source}>" in page for source in sources)


def test_a_wait_belongs_to_the_class_later(tmp_path: Path) -> None:
    data = Path("gateway/data/declines.toml").read_text(encoding="utf-8")
    broken = tmp_path / "declines.toml"
    broken.write_text(data.replace("wait_hours = 24\n", "", 1), encoding="utf-8")
    with pytest.raises(ValueError, match="wait_hours"):
        read_data(broken)


def test_an_old_refusal_that_is_told_late_does_not_end_the_present_attempt() -> None:
    told = IntentSnapshot(
        status=IntentStatus.DECLINED,
        payment_intent_id="pi_1",
        charge_id="ch_1",
        currency="EUR",
        authorized_minor=0,
        captured_minor=0,
        capture_before=None,
        expired=False,
        next_action=None,
        decline=BROKE,
    )
    again = authorizing(None, decline_count=1, decline=BROKE, charge_id="ch_1")
    acting = take(again, Transition.ACTION_REQUIRED, NOW).after
    for payment in (again, acting):
        assert reconcile(payment, told, NOW, Timing(), decided=False) is None
    refused = replace(told, decline=Decline("payment_intent_authentication_failure"))
    change = reconcile(acting, refused, NOW, Timing(), decided=False)
    assert change is not None
    assert change.after.state is PaymentState.DECLINED
    assert change.after.decline_count == 2

"""Routing may say by which corridor a payment goes on, where the rules leave a choice, and only of
what certainly was not charged."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.operations.operation import OperationKind, OperationState
from gateway.payments.domain.apply import apply_outcome
from gateway.payments.domain.decision import Decision, StripeReply
from gateway.payments.domain.failover import fail_over, not_sent
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.payment_methods import PaymentMethodType
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.payments.domain.routing import Choice, RetryChoice, charge_of, come_home, routed
from gateway.payments.domain.states import PaymentState
from gateway.payments.store.writes import is_grouped
from gateway.stripe_client.failover import Charge, Elsewhere, Route, Terms
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from tests.gateway.payments.outcomes import HOME, NOW, context, ended, operation, payment_in

OTHERS = ("a", "b", "c")
TERMS = {
    "default": Terms("default", failover_to=OTHERS),
    **{name: Terms(name, priority=number) for number, name in enumerate(OTHERS)},
}
EVERYWHERE = Elsewhere(TERMS, lambda _: True)
ROUTES = (HOME, *(Route(name, f"pm_{name}") for name in OTHERS))
AT_HOME = payment_in(PaymentState.AUTHORIZING, routes=ROUTES)
CALL = operation(OperationKind.AUTHORIZE)
ENDED = ended(CALL, OperationState.CANCELED, "BREAKER_OPEN")
NOT_SENT = Outcome(OutcomeClass.NOT_SENT, not_sent_reason=NotSentReason.BREAKER_OPEN)
RECORD = {"payment_id": "pay_1", "hop": 1, "corridor": "c"}


class ChoosesLast:
    """A router that goes where the rules would go last, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def choose(self, payment: Payment, elsewhere: Elsewhere) -> Choice | None:
        raise AssertionError("it is no new payment")

    def choose_next(
        self, payment: Payment, elsewhere: Elsewhere, tried: Sequence[str], now: datetime
    ) -> Choice | None:
        assert now == NOW
        self.asked.append(tuple(tried))
        left = [name for name in OTHERS if name not in tried]
        return Choice(Route(left[-1], f"pm_{left[-1]}"), RECORD) if len(left) > 1 else None

    def choose_retry_time(
        self, payment: Payment, window: RetryWindow, now: datetime
    ) -> RetryChoice | None:
        raise AssertionError("nothing was declined")

    def written(self, record: Mapping[str, Any]) -> None:
        raise AssertionError("nothing is written here")

    def under_way(self, payment: Payment) -> AbstractContextManager[None]:
        return nullcontext()


def went(payment: Payment, router: ChoosesLast | None, elsewhere: Elsewhere = EVERYWHERE) -> Any:
    return fail_over(Decision(payment, ENDED), "X", context(elsewhere=elsewhere, router=router))


def test_the_next_corridor_is_routings_and_its_record_is_written_with_the_step() -> None:
    router = ChoosesLast()
    by_rules, decided = went(AT_HOME, None), went(AT_HOME, router)
    assert (by_rules.payment.corridor, by_rules.routing) == ("a", None)
    assert router.asked == [("default",)]
    after = decided.payment
    assert (after.corridor, after.payment_method) == ("c", "pm_c")
    assert decided.routing == RECORD
    # All else is as by the rules: the step, the check that follows, and that it is no new payment.
    assert [change.transition for change in decided.changes] == ["failed_over"]
    assert decided.follow_up == replace(by_rules.follow_up, corridor="c")
    assert after.home == HOME
    # The record is written in the transaction of the step.
    assert is_grouped(by_rules)
    assert not is_grouped(decided)


def test_no_corridor_is_tried_twice_and_the_last_one_is_no_choice() -> None:
    router, payment, gone = ChoosesLast(), AT_HOME, ["default"]
    while (decided := went(payment, router)) is not None:
        payment = replace(decided.payment, state=PaymentState.AUTHORIZING, hold_id="op_1")
        gone.append(payment.corridor)
    assert gone == ["default", "c", "b", "a"]
    assert router.asked == [("default",), ("c", "default"), ("b", "c", "default")]
    assert decided is None


@pytest.mark.parametrize(
    "payment",
    [
        replace(AT_HOME, save_payment_method=True),
        # Routing had sent it elsewhere first: it comes home before all else.
        replace(AT_HOME, corridor="b", payment_method="pm_b"),
    ],
)
def test_what_has_no_choice_goes_by_the_rules(payment: Payment) -> None:
    router = ChoosesLast()
    decided, by_rules = went(payment, router), went(payment, None)
    assert decided == by_rules is not None
    assert router.asked == []


@pytest.mark.parametrize(
    "values", [{"stays": True}, {"payment_method_type": PaymentMethodType.SEPA_DEBIT}]
)
def test_what_stays_is_not_asked_about(values: dict[str, Any]) -> None:
    router = ChoosesLast()
    assert went(replace(AT_HOME, **values), router) is None
    assert router.asked == []


@pytest.mark.parametrize(
    ("outcome", "resend", "goes_on"),
    [
        (NOT_SENT, False, True),
        # It had been sent before: what came of that is not known.
        (NOT_SENT, True, False),
        (Outcome(OutcomeClass.UNKNOWN), False, False),
        (Outcome(OutcomeClass.UNKNOWN), True, False),
        (replace(NOT_SENT, not_sent_reason=NotSentReason.DEADLINE), False, False),
    ],
)
def test_routing_is_asked_of_nothing_that_may_have_been_charged(
    outcome: Outcome, resend: bool, goes_on: bool
) -> None:
    router = ChoosesLast()
    about = context(elsewhere=EVERYWHERE, router=router)
    decided = apply_outcome(AT_HOME, CALL, None, StripeReply(outcome), about, resend=resend)
    assert (decided.payment.corridor == "c") is goes_on
    assert (decided.payment.corridor == "default") is not goes_on
    assert bool(router.asked) is goes_on
    assert (decided.routing is not None) is goes_on


names = st.sampled_from(OTHERS)


@settings(max_examples=40)
@given(
    payment_id=st.text("abc", min_size=1, max_size=8),
    tried=st.lists(names, unique=True, max_size=2),
    free=st.frozensets(names),
    limit=st.integers(1, 4),
)
def test_what_routing_may_choose_from_begins_with_what_the_rules_say(
    payment_id: str, tried: list[str], free: frozenset[str], limit: int
) -> None:
    terms = {**TERMS, **{name: Terms(name) for name in OTHERS}}
    elsewhere = Elsewhere(terms, free.__contains__)
    charge = Charge(payment_id, "EUR", "", HOME, ROUTES[1:])
    gone = ["default", *tried]
    found = elsewhere.others(charge, gone, limit)
    usable = [each.route for each in found if each.route is not None]
    assert (usable[0] if usable else None) == elsewhere.next_route(charge, gone)
    assert len(usable) == min(limit, len(free - set(tried)))
    assert {each.corridor for each in found} == set(OTHERS) - set(tried)
    assert all(route.corridor in free for route in usable)


def test_a_corridor_that_is_not_declared_has_no_others() -> None:
    assert Elsewhere({}, lambda _: True).others(Charge("p", "EUR", "", HOME), [], 4) == ()


MORE = (
    *ROUTES,
    *(Route(name, f"pm_{name}_{number}") for name in ("default", *OTHERS) for number in (2, 3)),
)


@given(
    st.permutations(MORE[1:]),
    st.permutations(MORE),
    st.integers(0, len(MORE)),
    st.lists(st.sampled_from(["left", "queued"]), max_size=6),
)
@settings(max_examples=60)
def test_a_corridor_is_never_charged_with_two_payment_methods(
    alternatives: list[Route], order: list[Route], known: int, way: list[str]
) -> None:
    """Whatever routing prefers, and wherever the payment goes on, comes home to or waits."""
    preferred = tuple(order[:known]) or (order[0],)
    asked = payment_in(PaymentState.AUTHORIZING, routes=(HOME, *alternatives))
    payment = routed(asked, preferred[0], preferred)
    assert payment.home.corridor == HOME.corridor
    assert sorted(map(str, payment.routes)) == sorted(map(str, asked.routes))
    assert (payment.corridor, payment.payment_method) == (
        preferred[0].corridor,
        preferred[0].payment_method,
    )
    charged: dict[str, str] = {}
    for step in way:
        assert charged.setdefault(payment.corridor, payment.payment_method) == (
            payment.payment_method
        )
        so_far = Decision(replace(payment, state=PaymentState.AUTHORIZING, hold_id="op_0"), ENDED)
        router = ChoosesFirstLeft() if step == "left" else None
        given_context = context(elsewhere=EVERYWHERE, router=router)
        moved = fail_over(so_far, "X", given_context) or not_sent(so_far, "X", given_context)
        payment = moved.payment
        if step == "queued":
            payment = come_home(payment, NOW)
    assert charged.get(payment.corridor, payment.payment_method) == payment.payment_method


class ChoosesFirstLeft(ChoosesLast):
    """A router that goes where the rules would go."""

    def choose_next(
        self, payment: Payment, elsewhere: Elsewhere, tried: Sequence[str], now: datetime
    ) -> Choice | None:
        left = elsewhere.others(charge_of(payment), tried, 16)
        route = left[-1].route
        return Choice(route, RECORD) if len(left) > 1 and route is not None else None


def test_without_an_order_what_the_client_named_stays_as_it_is() -> None:
    asked = payment_in(PaymentState.AUTHORIZING, routes=MORE)
    assert routed(asked, HOME) is asked
    there = routed(asked, ROUTES[1])
    assert (there.routes, there.corridor, there.payment_method) == (MORE, "a", "pm_a")

"""Where a payment goes that its corridor did not take: whole decisions, and walks."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ids import derived_id
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.operations.runner import MAX_CHAIN
from gateway.payments.domain.decision import CheckReply, Decision
from gateway.payments.domain.failover import (
    MAX_LEFT,
    at_home,
    fail_over,
    is_away,
    next_route,
    not_allowed_there,
    not_sent,
    queue_up,
)
from gateway.payments.domain.payment import (
    ComplianceRecord,
    FailureCode,
    LeftCorridor,
    Payment,
    PaymentFailure,
    QueueReason,
    UnavailablePolicy,
)
from gateway.payments.domain.states import PaymentState
from gateway.stripe_client.failover import MAX_HOPS, Elsewhere, Route, Terms
from tests.gateway.payments.outcomes import (
    BACKUP,
    CREATED,
    HOME,
    NOW,
    context,
    decision,
    ended,
    operation,
    payment_in,
    step,
    with_backup,
)

S, Op = PaymentState, OperationState
# It has ended already when the payment goes elsewhere.
ENDED = ended(operation(OperationKind.AUTHORIZE), Op.CANCELED, "BREAKER_OPEN")
CHECK = operation(OperationKind.CHECK, corridor="backup")
FOLLOW_UP_ID = derived_id("op", "op_1")
LEFT_HOME = LeftCorridor("default", "RATE_LIMITED", "2026-11-01T00:02:00+00:00")
AT_HOME = payment_in(S.AUTHORIZING, routes=(HOME, BACKUP))
AT_BACKUP: dict[str, Any] = {
    "corridor": "backup",
    "payment_method": "pm_2",
    "payment_method_customer": "cus_2",
}
FROM_HOME: dict[str, Any] = {
    "corridor": "default",
    "payment_method": "pm_1",
    "payment_method_customer": "cus_1",
    "destination_account": "",
}


def away(state: PaymentState = S.AUTHORIZING, **values: Any) -> Payment:
    return payment_in(
        state,
        **{"routes": (HOME, BACKUP), "left_corridors": (LEFT_HOME,), **AT_BACKUP, **values},
    )


def left(corridor: str, reason: str) -> LeftCorridor:
    return LeftCorridor(corridor, reason, "2026-11-01T00:03:00+00:00")


def check_at(corridor: str) -> Operation:
    """Compliance is asked at once, and the customer waits."""
    return Operation(
        id=FOLLOW_UP_ID,
        subject_id="pay_1",
        kind=OperationKind.CHECK,
        state=Op.RUNNING,
        corridor=corridor,
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW + timedelta(minutes=10),
        send_count=1,
        first_send_time=NOW,
        last_send_time=NOW,
        queue_time=CREATED,
    )


def queued_check(deadline: datetime) -> Operation:
    """Compliance is asked at the payment's turn: in the order in which payments came."""
    return Operation(
        id=FOLLOW_UP_ID,
        subject_id="pay_1",
        kind=OperationKind.CHECK,
        state=Op.PENDING,
        corridor="default",
        create_time=NOW,
        # Half of the first back-off.
        next_attempt_time=NOW + timedelta(milliseconds=250),
        deadline=deadline,
        queued=True,
        queue_time=CREATED,
    )


def test_another_corridor_is_asked_about_and_the_hold_at_the_first_ends() -> None:
    expected = decision(
        AT_HOME,
        ENDED,
        step(
            AT_HOME,
            "failed_over",
            S.RECEIVED,
            hold_id="",
            left_corridors=(left("default", "BREAKER_OPEN"),),
            **AT_BACKUP,
        ),
        follow_up=check_at("backup"),
    )
    assert fail_over(Decision(AT_HOME, ENDED), "BREAKER_OPEN", with_backup()) == expected


@pytest.mark.parametrize(
    "payment",
    [
        replace(AT_HOME, stays=True),
        # Nothing of it can be charged there.
        replace(AT_HOME, routes=(HOME,)),
        replace(AT_HOME, left_corridors=(LEFT_HOME,) * MAX_LEFT),
        away(),
    ],
)
def test_a_payment_that_cannot_go_elsewhere(payment: Payment) -> None:
    assert next_route(payment, with_backup().elsewhere) is None
    assert fail_over(Decision(payment, ENDED), "BREAKER_OPEN", with_backup()) is None


def test_a_corridor_that_is_shut_is_not_gone_to() -> None:
    assert next_route(AT_HOME, with_backup().elsewhere) == BACKUP
    assert next_route(AT_HOME, with_backup({"backup": False}.__getitem__).elsewhere) is None


def test_the_last_corridor_of_its_life() -> None:
    last = replace(AT_HOME, left_corridors=(LEFT_HOME,) * (MAX_LEFT - 1))
    assert next_route(last, with_backup().elsewhere) == BACKUP


@pytest.mark.parametrize(
    ("limit", "payment_values", "taken"),
    [
        ({"currencies": frozenset({"EUR"})}, {}, True),
        ({"currencies": frozenset({"USD"})}, {}, False),
        ({"countries": frozenset({"FR"})}, {"billing_country": "FR"}, True),
        ({"countries": frozenset({"FR"})}, {"billing_country": "DE"}, False),
        ({"countries": frozenset({"FR"})}, {}, False),
    ],
)
def test_a_corridor_is_asked_about_this_payments_currency_and_country(
    limit: dict[str, Any], payment_values: dict[str, Any], taken: bool
) -> None:
    terms = {
        "default": Terms("default", failover_to=("backup",)),
        "backup": Terms("backup", **limit),
    }
    found = next_route(replace(AT_HOME, **payment_values), Elsewhere(terms, lambda _: True))
    assert found == (BACKUP if taken else None)


def test_a_token_that_corridors_share_is_charged_in_the_other() -> None:
    shared = {
        "default": Terms("default", failover_to=("backup",)),
        "backup": Terms("backup", shares_tokens_with=frozenset({"default"})),
    }
    plain = replace(AT_HOME, routes=())
    expected = Route("backup", "pm_1", "cus_1")
    assert next_route(plain, Elsewhere(shared, lambda _: True)) == expected
    # A connected account belongs to one platform.
    bound = replace(plain, destination_account="acct_1")
    assert next_route(bound, Elsewhere(shared, lambda _: True)) is None


def test_among_equals_the_payments_id_draws() -> None:
    """The same payment always draws the same corridor, and many payments spread over all."""
    names = ("one", "two", "three")
    terms = {
        "default": Terms("default", failover_to=names),
        **{name: Terms(name) for name in names},
    }
    routes = (HOME, *(Route(name, "pm_1") for name in names))
    elsewhere = Elsewhere(terms, lambda _: True)
    drawn = set()
    for number in range(50):
        payment = replace(AT_HOME, id=f"pay_{number}", routes=routes)
        route = next_route(payment, elsewhere)
        assert route is not None
        assert route == next_route(payment, elsewhere)
        drawn.add(route.corridor)
    assert drawn == set(names)


def test_what_was_not_sent_at_home_fails_with_its_reason() -> None:
    payment = replace(AT_HOME, destination_account="acct_1")
    assert not_sent(Decision(payment, ENDED), "CORRIDOR_CLOSED", context()) == decision(
        payment,
        ENDED,
        step(
            payment,
            "failed",
            S.FAILED,
            hold_id="",
            failure=PaymentFailure(
                FailureCode.CORRIDOR_UNAVAILABLE, not_sent_reason="CORRIDOR_CLOSED"
            ),
        ),
    )


def test_what_was_not_sent_elsewhere_fails_at_home_with_the_reason_there() -> None:
    """The client is told of the corridor that he asked for, the last time it was left."""
    earlier = LeftCorridor("default", "CONNECT_FAILED", "2026-11-01T00:01:00+00:00")
    other = LeftCorridor("other", "RATE_LIMITED", "2026-11-01T00:02:30+00:00")
    before = (earlier, other, LEFT_HOME, other)
    payment = away(left_corridors=before, destination_account="acct_2")
    assert not_sent(Decision(payment, ENDED), "BREAKER_OPEN", context()) == decision(
        payment,
        ENDED,
        step(
            payment,
            "failed",
            S.FAILED,
            hold_id="",
            left_corridors=(*before, left("backup", "BREAKER_OPEN")),
            failure=PaymentFailure(
                FailureCode.CORRIDOR_UNAVAILABLE, not_sent_reason="RATE_LIMITED"
            ),
            **FROM_HOME,
        ),
    )


DEADLINE = NOW + timedelta(hours=2)


@pytest.mark.parametrize("state", [S.AUTHORIZING, S.RECEIVED])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_what_may_wait_is_queued_at_home(state: PaymentState, is_elsewhere: bool) -> None:
    waits = {"unavailable_policy": UnavailablePolicy.QUEUE}
    payment = away(state, **waits) if is_elsewhere else payment_in(state, **waits)
    moved: dict[str, Any] = {}
    if is_elsewhere:
        moved = {"left_corridors": (LEFT_HOME, left("backup", "BREAKER_OPEN")), **FROM_HOME}
    assert not_sent(Decision(payment, ENDED), "BREAKER_OPEN", context()) == decision(
        payment,
        ENDED,
        step(
            payment,
            "queued",
            S.QUEUED,
            hold_id="",
            queue_reason=QueueReason.CORRIDOR_UNAVAILABLE,
            wake_time=DEADLINE,
            **moved,
        ),
        follow_up=queued_check(DEADLINE),
    )


def test_what_may_wait_no_longer_expires() -> None:
    payment = away(unavailable_policy=UnavailablePolicy.QUEUE, queue_deadline=NOW)
    assert not_sent(Decision(payment, ENDED), "BREAKER_OPEN", context()) == decision(
        payment,
        ENDED,
        step(
            payment,
            "expired",
            S.EXPIRED,
            hold_id="",
            left_corridors=(LEFT_HOME, left("backup", "BREAKER_OPEN")),
            **FROM_HOME,
        ),
    )
    last = replace(payment, queue_deadline=NOW + timedelta(microseconds=1))
    assert not_sent(Decision(last, ENDED), "X", context()).payment.state is S.QUEUED
    # One that was never authorised has no way to EXPIRED but through the queue.
    checked = replace(away(S.RECEIVED), **waiting_until_now())
    assert not_sent(Decision(checked, ENDED), "X", context()).payment.state is S.QUEUED


def waiting_until_now() -> dict[str, Any]:
    return {"unavailable_policy": UnavailablePolicy.QUEUE, "queue_deadline": NOW}


def verdict(name: str) -> CheckReply:
    return CheckReply(ComplianceRecord("dec_2", name, ("KYC_INCOMPLETE",), "2026-11-01T00:03:00Z"))


@pytest.mark.parametrize(
    ("answer", "operation_state", "reason"),
    [
        (verdict("DENY"), Op.SUCCEEDED, "COMPLIANCE_DENY"),
        (verdict("REVIEW"), Op.SUCCEEDED, "COMPLIANCE_REVIEW"),
        (CheckReply(None), Op.FAILED, "COMPLIANCE_UNAVAILABLE"),
    ],
)
def test_a_corridor_that_compliance_does_not_allow_is_passed_over(
    answer: CheckReply, operation_state: OperationState, reason: str
) -> None:
    at_home = ComplianceRecord("dec_1", "ALLOW", (), "2026-11-01T00:01:00Z")
    third = Route("third", "pm_3", "cus_3", "acct_3")
    payment = away(S.RECEIVED, compliance=at_home, routes=(HOME, BACKUP, third))
    terms = {
        "default": Terms("default", failover_to=("backup", "third")),
        "backup": Terms("backup"),
        "third": Terms("third"),
    }
    after = ended(CHECK, operation_state, reason.lower())
    gone = (LEFT_HOME, left("backup", reason))
    free = context(elsewhere=Elsewhere(terms, lambda _: True))
    assert not_allowed_there(Decision(payment, CHECK), answer, free) == decision(
        payment,
        after,
        step(
            payment,
            "failed_over",
            S.RECEIVED,
            hold_id="",
            left_corridors=gone,
            corridor="third",
            payment_method="pm_3",
            payment_method_customer="cus_3",
            destination_account="acct_3",
        ),
        follow_up=check_at("third"),
    )
    # With none left it ends as if there were no other corridor.
    assert not_allowed_there(Decision(payment, CHECK), answer, context()) == decision(
        payment,
        after,
        step(
            payment,
            "failed",
            S.FAILED,
            hold_id="",
            left_corridors=gone,
            failure=PaymentFailure(
                FailureCode.CORRIDOR_UNAVAILABLE, not_sent_reason="RATE_LIMITED"
            ),
            **FROM_HOME,
        ),
    )


def test_home_is_where_the_client_asked_for_it() -> None:
    assert not is_away(AT_HOME)
    assert is_away(away())
    # Without routes of the client's, home is what it left first, with its own token.
    shared = replace(away(), routes=(), payment_method="pm_1", destination_account="acct_1")
    assert is_away(shared)
    assert at_home(shared) == {
        "corridor": "default",
        "payment_method": "pm_1",
        "payment_method_customer": "cus_2",
        "destination_account": "acct_1",
    }
    assert at_home(away()) == FROM_HOME


def test_a_place_in_the_queue() -> None:
    payment = payment_in(S.QUEUED)
    assert queue_up(payment, FOLLOW_UP_ID, context()) == queued_check(DEADLINE)


CORRIDORS = ("default", "a", "b", "c", "d")


@settings(max_examples=50)
@given(st.integers(0, 17), st.lists(st.frozensets(st.sampled_from(CORRIDORS[1:])), max_size=8))
def test_a_payment_hops_three_times_and_never_back_before_it_was_home(
    left_before: int, rounds: list[frozenset[str]]
) -> None:
    """The model is the list of corridors since home, for walks over several rounds, in each of
    which some corridors are free."""
    terms = {"default": Terms("default", failover_to=CORRIDORS[1:])}
    terms |= {name: Terms(name) for name in CORRIDORS[1:]}
    payment = payment_in(
        S.AUTHORIZING,
        routes=(HOME, *(Route(name, f"pm_{name}") for name in CORRIDORS[1:])),
        left_corridors=(LEFT_HOME,) * left_before,
        unavailable_policy=UnavailablePolicy.QUEUE,
    )
    left_in_its_life, since_home = left_before, ["default"]
    for free in rounds:
        about = context(elsewhere=Elsewhere(terms, free.__contains__))
        possible = free - set(since_home)
        moved = fail_over(Decision(payment, ENDED), "X", about)
        if len(since_home) > 3 or left_in_its_life >= 16 or not possible:
            assert moved is None
            payment = not_sent(Decision(payment, ENDED), "X", about).payment
            assert (payment.corridor, payment.state) == ("default", S.QUEUED)
            left_in_its_life += len(since_home) > 1
            since_home = ["default"]
        else:
            assert moved is not None
            payment = moved.payment
            assert payment.corridor in possible
            since_home.append(payment.corridor)
            left_in_its_life += 1
        assert len(payment.left_corridors) == left_in_its_life
        # It is allowed there, and asked for again.
        payment = replace(payment, state=S.AUTHORIZING, hold_id="op_0")


# Routing sent it to `backup` first; it was never at home.
ROUTED_AWAY = payment_in(S.AUTHORIZING, routes=(HOME, BACKUP), **AT_BACKUP)


def test_what_routing_sent_elsewhere_comes_home_first() -> None:
    assert next_route(ROUTED_AWAY, with_backup().elsewhere) == HOME
    decided = fail_over(Decision(ROUTED_AWAY, ENDED), "BREAKER_OPEN", with_backup())
    assert decided == decision(
        ROUTED_AWAY,
        ENDED,
        step(
            ROUTED_AWAY,
            "failed_over",
            S.RECEIVED,
            hold_id="",
            left_corridors=(left("backup", "BREAKER_OPEN"),),
            **FROM_HOME,
        ),
        follow_up=check_at("default"),
    )
    # It has been there: it does not go there again before it has waited at home.
    assert decided is not None
    assert next_route(decided.payment, with_backup().elsewhere) is None


def test_what_is_not_sent_at_home_either_may_go_anywhere_the_next_time() -> None:
    home = replace(ROUTED_AWAY, left_corridors=(left("backup", "X"),), **FROM_HOME)
    assert next_route(home, with_backup().elsewhere) is None
    ended_there = not_sent(Decision(home, ENDED), "BREAKER_OPEN", with_backup()).payment
    assert ended_there.left_corridors == (left("backup", "X"), left("default", "BREAKER_OPEN"))
    assert next_route(ended_there, with_backup().elsewhere) == BACKUP


@pytest.mark.parametrize("queues", [False, True])
def test_what_can_go_neither_home_nor_on_says_why(queues: bool) -> None:
    shut = with_backup({"default": False, "backup": True}.__getitem__)
    payment = ROUTED_AWAY
    if queues:
        payment = replace(
            payment, unavailable_policy=UnavailablePolicy.QUEUE, queue_deadline=DEADLINE
        )
    assert next_route(payment, shut.elsewhere) is None
    after = not_sent(Decision(payment, ENDED), "RATE_LIMITED", shut).payment
    assert (after.corridor, after.payment_method) == ("default", "pm_1")
    assert [(each.corridor, each.reason) for each in after.left_corridors] == [
        ("backup", "RATE_LIMITED")
    ]
    if queues:
        assert after.state is S.QUEUED
    else:
        assert after.failure is not None
        assert after.failure.not_sent_reason == "RATE_LIMITED"


def test_a_routed_payment_tries_as_many_corridors_as_any() -> None:
    """What follows at once is bounded by the runner: a check and a call for each corridor."""
    names = tuple(f"c{number}" for number in range(2 * MAX_HOPS))
    terms = {
        "default": Terms("default", failover_to=names),
        **{name: Terms(name) for name in names},
    }
    routes = (HOME, *(Route(name, "pm_1") for name in names))
    for home_works in (True, False):
        free = Elsewhere(terms, lambda name, works=home_works: works or name != "default")  # type: ignore[misc]
        payment = payment_in(S.AUTHORIZING, routes=routes, corridor="c0", payment_method="pm_1")
        tried = [payment.corridor]
        while True:
            moved = fail_over(Decision(payment, ENDED), "BREAKER_OPEN", context(elsewhere=free))
            if moved is None:
                break
            tried.append(moved.payment.corridor)
            payment = replace(moved.payment, state=S.AUTHORIZING, hold_id="op_1")
        assert len(set(tried)) == len(tried) == MAX_HOPS + 1
        assert tried[1:2] == ["default"] if home_works else "default" not in tried
        assert 2 * len(tried) <= MAX_CHAIN

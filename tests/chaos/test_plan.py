"""A plan is a function of its seed, and has some of everything."""

from tests.chaos.drawing import (
    CARDS,
    DEGRADATIONS,
    RESTORED,
    RESTORES,
    SAVED,
    VICTIMS,
    draw_plan,
)
from tests.chaos.plan import CORRIDORS

PAYMENTS = 500
KILLS = 40


def test_a_seed_means_one_plan() -> None:
    assert draw_plan(7, PAYMENTS, KILLS) == draw_plan(7, PAYMENTS, KILLS)
    assert draw_plan(7, PAYMENTS, KILLS) != draw_plan(8, PAYMENTS, KILLS)


def test_a_longer_run_begins_with_the_payments_of_a_shorter_one() -> None:
    assert draw_plan(7, 50, KILLS).payments == draw_plan(7, PAYMENTS, KILLS).payments[:50]


def test_everything_happens_within_the_run() -> None:
    plan = draw_plan(7, PAYMENTS, KILLS)
    assert len(plan.payments) == PAYMENTS
    assert len(plan.kills) == KILLS
    moments = [kill.at_payment for kill in plan.kills]
    moments += [trouble.at_payment for trouble in plan.troubles]
    assert all(1 <= moment <= PAYMENTS for moment in moments)
    assert len({planned.request_id for planned in plan.payments}) == PAYMENTS


def test_a_database_is_put_back_to_what_it_was_before() -> None:
    restores = draw_plan(7, PAYMENTS, KILLS, 60).restores
    assert {restore.service for restore in restores} == set(RESTORED)
    assert {restore.how for restore in restores} == set(RESTORES)
    for restore in restores:
        assert 1 <= restore.kept_at_payment <= restore.at_payment <= PAYMENTS
        assert restore.how == "restore" or restore.kept_at_payment == restore.at_payment
    # What a run without restores does is as ever.
    assert draw_plan(7, PAYMENTS, KILLS, 60).payments == draw_plan(7, PAYMENTS, KILLS).payments


def test_there_is_some_of_everything() -> None:
    plan = draw_plan(7, PAYMENTS, 200)
    assert {planned.card for planned in plan.payments} == set(CARDS)
    assert {planned.card for planned in plan.payments if planned.saves} == set(SAVED)
    assert {planned.reviewed for planned in plan.payments} == {True, False}
    assert not any(planned.reviewed and planned.saves for planned in plan.payments)
    assert {kill.victim for kill in plan.kills} == set(VICTIMS)
    assert {kill.steps is None for kill in plan.kills} == {True, False}
    assert {trouble.kind for trouble in plan.troubles} == {
        *("fault", "outage", "webhook_fault", "forgery", "jump", "closure", "payout", "half_open"),
        *("holds", "stranger", "freeze", "degradation"),
    }
    actions = {step.action for planned in plan.payments for step in planned.steps}
    assert actions == {
        *("authenticate", "fail_authentication", "confirm", "capture", "cancel", "refund"),
        *("win_dispute", "lose_dispute", "come_back"),
    }


def test_each_corridor_degrades_in_each_way_in_some_plan() -> None:
    plans = [draw_plan(seed, PAYMENTS, 0) for seed in range(20)]
    drawn = [
        trouble.detail
        for plan in plans
        for trouble in plan.troubles
        if trouble.kind == "degradation"
    ]
    found = {(detail["corridor"], detail["how"]) for detail in drawn}
    assert found == {(corridor, how) for corridor in CORRIDORS for how in DEGRADATIONS}


def test_a_payment_may_use_what_client_and_operators_let_it() -> None:
    payments = draw_plan(7, PAYMENTS, 0).payments
    assert {planned.may_use for planned in payments} == {
        ("default",), ("backup",), ("default", "backup"), ("backup", "default")
    }  # fmt: skip
    yen = [planned for planned in payments if planned.currency == "JPY"]
    assert {planned.may_use for planned in yen} == {("default",)}
    assert {planned.may_use[1:] for planned in payments if not planned.roams} == {()}

"""The simulated year: its Stripe does what is documented, and a small one is foreseen."""

import ast
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from bench import freeze_world
from bench.compliance_freeze_forecast import FALSE_AT_MOST, FORESEEN_AT_LEAST, run
from bench.freeze_world import (
    CAMPAIGN_GRACE,
    CHARGES,
    DAY,
    HOUR,
    NEVER,
    PAYOUTS,
    START,
    Ask,
    Attempt,
    course_of,
    play,
    world,
)

ASKED = START + 10 * DAY
DEADLINE = ASKED + 30 * DAY
LAGS = {PAYOUTS: HOUR, CHARGES: 5 * DAY}


def ask(*attempts: Attempt) -> Ask:
    return Ask(
        fields=("company.tax_id",),
        capability="",
        announce_time=None,
        waits_since=None,
        ask_time=ASKED,
        deadline=DEADLINE,
        attempts=attempts,
        early_attempt=None,
        lags=LAGS,
        extended=False,
        withdraw_time=NEVER,
    )


def lists(wish: Ask, silent_after: datetime = NEVER) -> list[tuple[datetime, str | None]]:
    views = course_of(wish, silent_after).views
    return [(time, None if view is None else view.list_name) for time, view in views]


def stops(wish: Ask, silent_after: datetime = NEVER) -> dict[str, tuple[datetime, datetime]]:
    return course_of(wish, silent_after).stops


def test_what_is_never_answered_is_past_due_and_stops_after_its_lags() -> None:
    assert lists(ask()) == [(ASKED, "currently_due"), (DEADLINE, "past_due"), (NEVER, None)]
    assert stops(ask()) == {
        PAYOUTS: (DEADLINE + HOUR, NEVER),
        CHARGES: (DEADLINE + 5 * DAY, NEVER),
    }


def test_what_is_verified_in_time_stops_nothing_and_late_verification_does() -> None:
    in_time = ask(Attempt(5 * DAY, DAY, True))
    assert lists(in_time) == [
        (ASKED, "currently_due"),
        (ASKED + 5 * DAY, "pending_verification"),
        (ASKED + 6 * DAY, None),
    ]
    assert stops(in_time) == {}
    late = ask(Attempt(29 * DAY, 3 * DAY, True))
    assert stops(late) == {PAYOUTS: (DEADLINE + HOUR, DEADLINE + 2 * DAY)}
    # It was handed in, so that it is not past due.
    assert "past_due" not in {name for _, name in lists(late)}


def test_a_refused_answer_is_due_again_and_past_due_after_the_deadline() -> None:
    refused = ask(Attempt(5 * DAY, DAY, False), Attempt(40 * DAY, DAY, True))
    assert [name for _, name in lists(refused)] == [
        *("currently_due", "pending_verification", "currently_due", "past_due"),
        *("pending_verification", None),
    ]
    assert stops(refused)[CHARGES] == (DEADLINE + 5 * DAY, ASKED + 47 * DAY)


def test_deadlines_are_moved_and_wishes_dropped() -> None:
    assert stops(replace(ask(), extended=True))[PAYOUTS][0] == DEADLINE + CAMPAIGN_GRACE + HOUR
    assert stops(replace(ask(), withdraw_time=DEADLINE - DAY)) == {}


def test_the_same_year_without_further_answers() -> None:
    answered = ask(Attempt(5 * DAY, DAY, True))
    assert stops(answered, silent_after=ASKED + 5 * DAY) == {}
    assert stops(answered, silent_after=ASKED + 4 * DAY) == stops(ask())
    announced = replace(ask(), announce_time=START, early_attempt=START + DAY)
    assert stops(announced) == {}
    assert stops(announced, silent_after=START) == stops(ask())


def test_a_year_is_the_same_each_time_and_has_everything_in_it() -> None:
    merchants = world(3, 400)
    assert merchants == world(3, 400)
    histories = [play(merchant) for merchant in merchants]
    seen = {
        shown.list_name
        for history in histories
        for _, view in history.views
        for _, shown in view.wishes
    }
    assert seen == {
        *("eventually_due", "future", "currently_due", "pending_verification", "past_due"),
    }
    asks = [one for merchant in merchants for one in merchant.asks]
    assert {len(one.attempts) for one in asks} == {0, 1, 2, 3}
    assert any(one.extended for one in asks)
    assert any(one.withdraw_time < NEVER for one in asks)
    assert {kind for history in histories for kind, _ in history.stops} == {CHARGES, PAYOUTS}
    assert any(merchant.blows for merchant in merchants)


def test_the_world_knows_no_rule_of_ours() -> None:
    tree = ast.parse(Path(freeze_world.__file__).read_text(encoding="utf-8"))
    modules = {
        name.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert not [module for module in modules if module.split(".")[0] in ("compliance", "gateway")]


def test_a_small_year_is_foreseen() -> None:
    line = run(11, 250)
    assert line["freezes"] >= 50
    assert line["value"] >= FORESEEN_AT_LEAST
    assert line["median_lead_days"] >= 7
    assert line["false_alarm_share"] <= FALSE_AT_MOST
    assert line["met"] is True
    assert line["averted_share"] == pytest.approx(0.7, abs=0.1)

"""One charge, whatever fails: random payments, faults and kills, and then the judge.

The seed is always the same, so that what a change breaks shows with that change. `CHAOS_SEED` adds
another, where `make chaos` draws one; `CHAOS_PAYMENTS` plays more of each.
"""

import os
from pathlib import Path

import pytest

from tests.chaos.__main__ import replay, say
from tests.chaos.drawing import draw_plan
from tests.chaos.routing_rules import SHARES
from tests.chaos.run import Report, discounted, run

SEED_VARIABLE = "CHAOS_SEED"
SEEDS = (4, *map(int, os.environ.get(SEED_VARIABLE, "").split()))
PAYMENTS = int(os.environ.get("CHAOS_PAYMENTS", "190"))
KILLS = 16
RESTORES = 1
# How many payments follow routing in its last step.
MOST = SHARES["FULL"]


def charged_after_review(report: Report) -> set[str]:
    """The payments that people approved and that took money."""
    reviewed = {planned.request_id for planned in report.plan.payments if planned.reviewed}
    return {
        made.id
        for made in report.evidence.payments
        if made.request_id in reviewed and made.captured_minor
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
async def test_exactly_one_charge(seed: int, tmp_path: Path) -> None:
    plan = draw_plan(seed, PAYMENTS, KILLS, RESTORES)
    say(replay(plan))
    report = await run(plan, tmp_path, say)
    say(report.figures())
    assert report.violations == (), replay(plan)
    assert sum(report.kills.values()) == KILLS
    assert len(report.evidence.payments) >= PAYMENTS * 0.8
    assert sum(report.restored.values()) >= RESTORES
    assert any(intent.received_minor for intent in report.evidence.intents)
    assert report.reviews["approved"]
    # What was approved went on: its money was taken.
    assert charged_after_review(report)
    intelligence = report.evidence.intelligence
    # Payments followed routing in its last step, and foresight acted on what it saw. How many were
    # led elsewhere is chance.
    assert any(made.share == MOST and made.arm == "ROUTED" for made in intelligence.decided)
    assert any(alarm.acted for alarm in intelligence.alarms)
    assert discounted(report.evidence)
    assert intelligence.learnt

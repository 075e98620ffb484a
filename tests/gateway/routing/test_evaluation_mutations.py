"""Faults of estimators that give plausible figures are caught by known answers.

Each is put into the source of `gateway.routing.evaluation`, which is then asked for the worked
example of `test_evaluation` and for a log that has every draw as often as it is likely.
"""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from gateway.routing import evaluation
from tests.gateway.routing.test_evaluation import WORKED, Truth, whole_log

SOURCE = Path(evaluation.__file__)
TRUTHS = [
    Truth((2, 4, 6), (6, 3, 3), (1.0, 0.5, 0.25), (0.25, 0.5, 0.5)),
    Truth((9, 1, 2), (0, 8, 4), (0.0, 1.0, 0.5), (1.0, 0.25, 0.0)),
]
DRAWN = [WORKED[0], WORKED[1]._replace(customer="4")]
MUTATIONS = {
    "the propensity is of another action": (
        "candidate / propensity if propensity",
        "candidate / (1.0 - propensity) if propensity",
    ),
    "weights are the candidate's probability": (
        "candidate / propensity if propensity",
        "candidate if propensity",
    ),
    "weights upside down": (
        "candidate / propensity if propensity",
        "propensity / max(candidate, 0.01) if propensity",
    ),
    "weights are not normalized": (
        "[(s.weighted, s.weights) for s in estimates.sums]",
        "[(s.weighted, s.decisions) for s in estimates.sums]",
    ),
    "importance weights are normalized where they are not": (
        "[(s.weighted, s.decisions) for s in estimates.sums]",
        "[(s.weighted, s.weights) for s in estimates.sums]",
    ),
    "doubly robust without correction": (
        "sums.robust += expected + weight * residual",
        "sums.robust += expected",
    ),
    "the correction without weight": (
        "sums.robust += expected + weight * residual",
        "sums.robust += expected + residual",
    ),
    "the model's value under the logging policy": (
        "expected += candidate * predicted",
        "expected += propensity * predicted",
    ),
    "the gain over nothing": ("(weight - 1.0) * residual", "weight * residual"),
    "clipping at another weight": (
        "weight = min(own_weight, limit)",
        "weight = min(own_weight, limit / 2)",
    ),
    "clipped mass is forgotten": ("self.lost += mass", "self.lost += 0.0 * mass"),
    "decisions instead of customers": (
        "logged.customer",
        "str(self.decisions)",
    ),
    "every weight counts the same": (
        "self.squares += weight * weight",
        "self.squares += weight",
    ),
    "support only of what was drawn": (
        "effective_decisions=min(drawn, expected)",
        "effective_decisions=drawn",
    ),
    "moments of what was clipped away": (
        "square = min(weight, limit) ** 2",
        "square = min(weight, 1e9) ** 2",
    ),
    "moments without their chance": (
        "second += propensity * square\n                fourth",
        "second += square\n                fourth",
    ),
    "looks do not share the confidence": (
        "(1.0 - self.confidence) / self.looks",
        "(1.0 - self.confidence)",
    ),
}


def known(module: ModuleType) -> dict[str, float]:
    """Answers worked by hand: of WORKED in `test_evaluation`, of TRUTHS by what they are."""
    worked = module.evaluate(WORKED)
    clipped = module.evaluate(WORKED, module.EvaluationSettings(max_weight=1.5))
    whole = module.evaluate(whole_log(TRUTHS))
    return {
        "ips": worked.ips.value,
        "snips": worked.snips.value,
        "dr": worked.dr.value,
        "direct": worked.direct,
        "customers": worked.support.customers,
        "effective": worked.support.effective_decisions,
        "drawn": module.evaluate(DRAWN).support.effective_decisions,
        "drawn customers": clipped.support.effective_customers,
        "clipped effective": clipped.support.effective_decisions,
        "lost": clipped.support.lost_share,
        "clipped ips": clipped.ips.value,
        "whole ips": whole.ips.value,
        "whole snips": whole.snips.value,
        "whole dr": whole.dr.value,
        "whole gain": whole.gain.value - (whole.dr.value - whole.logged.value),
        "confidence": module.EvaluationSettings(looks=10).confidence_each,
    }


VALUE = sum(truth.value for truth in TRUTHS) / 2
ANSWERS = {
    "ips": 3 / 4,
    "snips": 3 / 5,
    "dr": (7 / 8 - 1 / 8 + 29 / 40 + 3 / 2) / 4,
    "direct": (5 / 8 + 3 / 8 + 3 / 5 + 1 / 2) / 4,
    "customers": 3,
    "effective": 16 / (5 / 4 + 4 / 3 + 4),
    # Weights 2 and 1/2, and 3/2 and 1/2 of the first customer.
    "drawn": (5 / 2) ** 2 / (4 + 1 / 4),
    "drawn customers": 16 / (4 + 1 / 4 + 9 / 4),
    # Weights 1/2 and 3/2; 2/3 and 3/2; 1/2 and 3/2; 0 and 3/2: their squares by propensities.
    "clipped effective": (4 - 27 / 40) ** 2
    / (1 / 8 + 9 / 8 + 1 / 3 + 9 / 16 + 1 / 5 + 9 / 20 + 9 / 8),
    "lost": (1 / 8 + 3 / 10 + 1 / 4) / 4,
    "clipped ips": 5 / 8,
    "whole ips": VALUE,
    "whole snips": VALUE,
    "whole dr": VALUE,
    "whole gain": 0.0,
    "confidence": 0.995,
}


def wrong_answers(module: ModuleType) -> list[str]:
    found = known(module)
    return [name for name, answer in ANSWERS.items() if found[name] != pytest.approx(answer)]


def test_the_source_gives_known_answers() -> None:
    assert wrong_answers(evaluation) == []


@pytest.mark.parametrize("fault", MUTATIONS)
def test_a_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = MUTATIONS[fault]
    source = SOURCE.read_text(encoding="utf-8")
    assert before in source, "the mutation has to be of the source as it is"
    module = ModuleType("evaluation_with_a_fault")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source.replace(before, after), SOURCE.name, "exec"), module.__dict__)
    assert wrong_answers(module) != []

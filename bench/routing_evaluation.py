"""`routing.evaluation`: whether intervals of candidate policies cover, and verdicts are right.

Logs are drawn of worlds whose truth is known (evaluation_worlds): a bandit with a value in closed
form, and the corridor simulator, where routing is judged by what operators' rules did. Seeds are 1
and 2, or those of the variable SEEDS; each makes worlds of its own, and 500 logs of each.
"""

import asyncio
import concurrent.futures
import math
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist, fmean
from typing import Any

from bench.benchmark import Target, with_target
from bench.evaluation_worlds import (
    ACTIONS,
    SEGMENTS,
    Bandit,
    best_of,
    confounded,
    leaning,
    make_bandit,
    play_shadow,
)
from bench.routing import SEEDS_VARIABLE, seeds
from gateway.routing.evaluation import Evaluation, EvaluationSettings, evaluate
from gateway.routing.evaluation_log import LoggedDecision
from gateway.routing.evaluation_verdict import PromotionBounds, detectable_gain, judge

NAME = "routing.evaluation"
OWN_SEEDS = (1, 2)
ESTIMATORS = ("ips", "snips", "dr", "gain")
NOMINAL, LOWEST, HIGHEST = 0.95, 0.93, 0.97
CHANCE = 0.95
"""Of the binomial intervals in which shares of runs are stated."""
MAX_FALSE_ACCEPTANCE = 0.05
MIN_BETTER_ACCEPTED = 0.8


@dataclass(frozen=True)
class Sizes:
    """How much is drawn."""

    runs: int = 500
    """Logs of each world for coverage."""
    bandit_customers: int = 700
    shadow_payments: int = 6_000
    shadow_customers: int = 900
    verdicts: int = 25
    """Logs of each scenario of verdicts."""
    verdict_customers: int = 3_000
    thin_customers: int = 250
    """Too few, however much better a candidate is."""
    rivals: int = 10
    """Candidates of which the one is taken that looks best."""
    rival_customers: int = 800


@dataclass
class Verdicts:
    """What became of the candidates of one scenario."""

    runs: int = 0
    accepted: int = 0
    looked_better: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    power: list[float] = field(default_factory=list)
    """How likely acceptance was, by what the verdict states and the true gain."""
    detectable: list[float] = field(default_factory=list)
    true_gains: list[float] = field(default_factory=list)

    def add(self, evaluation: Evaluation, true_gain: float, *, looks_better: bool) -> None:
        """Judges one."""
        verdict = judge(evaluation)
        self.runs += 1
        self.accepted += verdict.accepted
        self.looked_better += looks_better
        self.reasons.update(refusal.reason.value for refusal in verdict.refusals)
        self.power.append(_power(evaluation, true_gain))
        self.detectable.append(verdict.detectable_gain)
        self.true_gains.append(true_gain)

    def __iadd__(self, other: "Verdicts") -> "Verdicts":
        self.runs += other.runs
        self.accepted += other.accepted
        self.looked_better += other.looked_better
        self.reasons += other.reasons
        self.power += other.power
        self.detectable += other.detectable
        self.true_gains += other.true_gains
        return self

    def line(self) -> dict[str, Any]:
        """As it is printed."""
        low, high = share_interval(self.accepted, self.runs)
        return {
            "runs": self.runs,
            "true_gain_pp": round(100 * fmean(self.true_gains), 2),
            "detectable_gain_pp": round(100 * fmean(self.detectable), 2),
            "looked_better": round(self.looked_better / self.runs, 3),
            "accepted": round(self.accepted / self.runs, 3),
            "accepted_by_chance": [round(low, 3), round(high, 3)],
            "stated_power": round(fmean(self.power), 3),
            "refusals": dict(sorted(self.reasons.items())),
        }


@dataclass(frozen=True)
class SeedResult:
    """What one seed's worlds showed."""

    seed: int
    runs: int
    covered: dict[str, Counter[str]]
    """By world and estimate, in how many runs the interval had the truth in it."""
    effective: dict[str, float]
    """The mean effective sample by world."""
    verdicts: dict[str, Verdicts]


def share_interval(hits: int, runs: int) -> tuple[float, float]:
    """Wilson's interval of a share, with CHANCE."""
    z = NormalDist().inv_cdf(0.5 + CHANCE / 2)
    share = hits / runs
    middle = (share + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * math.sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs))
    half /= 1 + z * z / runs
    return middle - half, middle + half


def _power(evaluation: Evaluation, true_gain: float) -> float:
    """By the figures of a verdict, how likely intervals are apart at a true gain."""
    bounds = PromotionBounds()
    needed = detectable_gain(evaluation, bounds)
    needed -= NormalDist().inv_cdf(bounds.power) * evaluation.gain.error
    return NormalDist().cdf((true_gain - needed) / evaluation.gain.error)


def _covered(
    logs: Iterable[list[LoggedDecision]], logged: float, candidate: float
) -> tuple[Counter[str], float]:
    covered: Counter[str] = Counter()
    effective = []
    for log in logs:
        found = evaluate(log)
        effective.append(found.support.effective)
        for name in ESTIMATORS:
            truth = candidate - logged if name == "gain" else candidate
            low, high = getattr(found, name).interval
            covered[name] += low <= truth <= high
    return covered, fmean(effective)


def run_seed(seed: int, sizes: Sizes | None = None) -> SeedResult:
    """All worlds of a seed."""
    sizes = sizes or Sizes()
    first = seed * 1_000_000
    bandit = make_bandit(seed)
    candidate = leaning(bandit.logging, best_of(bandit.rewards), 0.8)
    of_bandit = _covered(
        (bandit.log(first + n, sizes.bandit_customers, candidate) for n in range(sizes.runs)),
        bandit.value(bandit.logging),
        bandit.value(candidate),
    )
    shadow = play_shadow(seed, sizes.shadow_payments)
    rules, routing = shadow.values()
    of_shadow = _covered(
        (shadow.log(first + n, sizes.shadow_customers) for n in range(sizes.runs)), rules, routing
    )
    better, thin = Verdicts(), Verdicts()
    for n in range(sizes.verdicts):
        for verdicts, customers in (
            (better, sizes.verdict_customers),
            (thin, sizes.thin_customers),
        ):
            found = evaluate(shadow.log(first + sizes.runs + n, customers))
            verdicts.add(found, routing - rules, looks_better=found.gain.value > 0)
    return SeedResult(
        seed=seed,
        runs=sizes.runs,
        covered={"bandit": of_bandit[0], "simulator": of_shadow[0]},
        effective={"bandit": of_bandit[1], "simulator": of_shadow[1]},
        verdicts={
            "better": better,
            "thin": thin,
            "better_bandit": _better_bandit(bandit, first, sizes),
            "looks_better": _looks_better(first, sizes),
            "best_of_equals": _best_of_equals(bandit, first, sizes),
        },
    )


def _better_bandit(bandit: Bandit, first: int, sizes: Sizes) -> Verdicts:
    """A candidate that is better by about what a log of this size shows."""
    candidate = leaning(bandit.logging, best_of(bandit.rewards), 0.5)
    gain = bandit.value(candidate) - bandit.value(bandit.logging)
    verdicts = Verdicts()
    for n in range(sizes.verdicts):
        found = evaluate(bandit.log(first + n, sizes.verdict_customers, candidate))
        verdicts.add(found, gain, looks_better=found.gain.value > 0)
    return verdicts


def _looks_better(first: int, sizes: Sizes) -> Verdicts:
    """A candidate whose action has better raw rewards, and is worse."""
    bandit, candidate = confounded()
    gain = bandit.value(candidate) - bandit.value(bandit.logging)
    verdicts = Verdicts()
    for n in range(sizes.verdicts):
        log = bandit.log(first + n, sizes.verdict_customers // 2, candidate)
        raw = fmean(logged.reward for logged in log if logged.action == "0")
        found = evaluate(log)
        verdicts.add(found, gain, looks_better=raw > found.logged.value)
    return verdicts


def _best_of_equals(bandit: Bandit, first: int, sizes: Sizes) -> Verdicts:
    """Where all actions are alike, the candidate that looks best of several."""
    level = [[sum(row) / ACTIONS] * ACTIONS for row in bandit.rewards]
    alike = Bandit(
        bandit.segments, bandit.decisions, level, bandit.logging, bandit.predicted, bandit.luck
    )
    settings = EvaluationSettings(looks=sizes.rivals)
    verdicts = Verdicts()
    for n in range(sizes.verdicts):
        draw = random.Random(first + n)
        rivals = []
        for _ in range(sizes.rivals):
            towards = [[0.0] * ACTIONS for _ in range(SEGMENTS)]
            for row in towards:
                row[draw.randrange(ACTIONS)] = 1.0
            candidate = leaning(alike.logging, towards, 0.25)
            # The same seed, so that it is the same log.
            rivals.append(
                evaluate(alike.log(first + n, sizes.rival_customers, candidate), settings)
            )
        best = max(rivals, key=lambda found: found.gain.value)
        verdicts.add(best, 0.0, looks_better=best.gain.value > 0)
    return verdicts


def evaluation_line(results: list[SeedResult]) -> dict[str, Any]:
    """The line of all seeds together."""
    runs = sum(result.runs for result in results)
    missed, coverage, by_chance = [], {}, {}
    for world in results[0].covered:
        for name in ESTIMATORS:
            hits = sum(result.covered[world][name] for result in results)
            key = f"{world}.{name}"
            coverage[key] = round(hits / runs, 4)
            low, high = share_interval(hits, runs)
            by_chance[key] = [round(low, 4), round(high, 4)]
            if high < LOWEST or low > HIGHEST:
                missed.append(f"{LOWEST} <= {key} <= {HIGHEST}")
    verdicts: dict[str, Verdicts] = {}
    for scenario in results[0].verdicts:
        verdicts[scenario] = Verdicts()
        for result in results:
            verdicts[scenario] += result.verdicts[scenario]
    missed += [
        f"{scenario} accepted <= {MAX_FALSE_ACCEPTANCE}"
        for scenario in ("looks_better", "best_of_equals", "thin")
        if verdicts[scenario].accepted > MAX_FALSE_ACCEPTANCE * verdicts[scenario].runs
    ]
    if verdicts["better"].accepted < MIN_BETTER_ACCEPTED * verdicts["better"].runs:
        missed.append(f"better accepted >= {MIN_BETTER_ACCEPTED}")
    lowest = min(coverage.values())
    return with_target(
        {
            "name": NAME,
            "value": lowest,
            "unit": "of runs in the interval, least",
            "limit": NOMINAL,
            "limit_name": "what intervals promise",
            "ratio": round(lowest / NOMINAL, 3),
            "runs": runs,
            "coverage": coverage,
            "coverage_by_chance": by_chance,
            "by_seed": {
                result.seed: {
                    f"{world}.{name}": round(hits[name] / result.runs, 3)
                    for world, hits in result.covered.items()
                    for name in ESTIMATORS
                }
                for result in results
            },
            "effective": {
                world: round(fmean(result.effective[world] for result in results))
                for world in results[0].effective
            },
            "verdicts": {scenario: found.line() for scenario, found in verdicts.items()},
            "missed": missed,
            "missed_targets": len(missed),
        },
        Target("missed_targets", "<=", 0),
    )


async def measure() -> dict[str, Any]:
    """All seeds, as many at once as there are cores."""
    chosen = seeds() if os.environ.get(SEEDS_VARIABLE) else OWN_SEEDS
    context = multiprocessing.get_context("spawn")
    loop = asyncio.get_running_loop()
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        results = await asyncio.gather(
            *(loop.run_in_executor(pool, run_seed, seed) for seed in chosen)
        )
    return evaluation_line(results)

"""`routing.*`: how much routing that learns gains in the corridor simulator, and what it costs.

The limit is the gap between the best fixed table in hindsight and a chooser that knows the truth.
Seeds are 1 to 10, or those of the variable SEEDS ("11,12"); FAULTS names a file of faults to play
instead of drawn ones. Nothing was chosen by looking at 1 to 10.
"""

import asyncio
import concurrent.futures
import functools
import multiprocessing
import os
import statistics
import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.benchmark import Target, with_target
from bench.routing_chooser import LearningRouting
from gateway.routing.codec import dump
from gateway.routing.decision import decide
from gateway.routing.features import Context
from sandbox.simulators.corridors.baselines import SlidingWindowUcb, WindowHedging
from sandbox.simulators.corridors.play import Chooser, payments_of, play
from sandbox.simulators.corridors.rules import OperatorsRules, Score, score
from sandbox.simulators.corridors.world import Settings, World, make_world

SEEDS_VARIABLE = "SEEDS"
FAULTS_VARIABLE = "FAULTS"
PUBLIC_SEEDS = tuple(range(1, 11))
MAX_SEEDS = 1_000
VARIANTS: Mapping[str, Settings] = {
    "gap_closed": Settings(),
    "delayed": Settings(delay_median_s=180.0, missing_share=0.15),
    "two_corridors": Settings(corridors=2),
    "no_difference": Settings(no_difference=True),
}
MIN_GAP_CLOSED, MIN_OF_A_SEED, MAX_INCIDENT_REGRET, MAX_WORSE_HOUR = 0.65, 0.45, 13.0, 0.01
MAX_LOSS_PP = 0.1
DECISIONS = 20_000
WARM_UP = Settings(payments=10_000, length_s=14_400.0)
DECISION_BOUND_US = 1_000.0


@dataclass(frozen=True)
class SeedScores:
    """One world: routing, and who it is compared with."""

    seed: int
    routing: Score
    operators: Score
    ucb: Score | None
    window: Score | None


def seeds() -> tuple[int, ...]:
    """The seeds that are asked for; raises ValueError for what is none."""
    text = os.environ.get(SEEDS_VARIABLE, "")
    if not text:
        return PUBLIC_SEEDS
    try:
        chosen = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{SEEDS_VARIABLE}: {text!r} are not numbers with commas") from None
    if len(chosen) > MAX_SEEDS or min(chosen) < 0:
        raise ValueError(f"{SEEDS_VARIABLE}: up to {MAX_SEEDS} numbers, none below 0")
    return chosen


def play_seed(settings: Settings, seed: int, *, baselines: bool) -> SeedScores:
    """Plays a world with routing, with operators' rules, and with what is known from elsewhere."""
    world = make_world(seed, settings)
    rules = play(world, OperatorsRules(world))

    def scored(chooser: Chooser) -> Score:
        return score(world, play(world, chooser), rules)

    return SeedScores(
        seed=seed,
        routing=scored(LearningRouting(world)),
        operators=score(world, rules, rules),
        ucb=scored(SlidingWindowUcb()) if baselines else None,
        window=scored(WindowHedging(seed)) if baselines else None,
    )


async def _play_all(variant: str) -> list[SeedScores]:
    """All seeds, as many at once as there are cores."""
    settings = VARIANTS[variant]
    if (file := os.environ.get(FAULTS_VARIABLE)) and not settings.no_difference:
        settings = replace(settings, faults_file=Path(file))
    run = functools.partial(play_seed, settings, baselines=variant == "gap_closed")
    context = multiprocessing.get_context("spawn")
    loop = asyncio.get_running_loop()
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        return await asyncio.gather(*(loop.run_in_executor(pool, run, seed) for seed in seeds()))


def gap_line(name: str, played: list[SeedScores]) -> dict[str, Any]:
    """The line of a variant in which there is something to gain."""
    closed = [one.routing.gap_closed for one in played]
    hours = [one.routing.worst_hour for one in played]
    line: dict[str, Any] = {
        "name": f"routing.{name}",
        "value": round(statistics.fmean(closed), 3),
        "unit": "of the gap, mean",
        "limit": 1.0,
        "limit_name": "an oracle, above the best fixed table of regions and networks",
        "ratio": round(statistics.fmean(closed), 3),
        "worst": round(min(closed), 3),
        "by_seed": {one.seed: round(one.routing.gap_closed, 3) for one in played},
        "gap_pp": round(100 * statistics.fmean(one.routing.gap for one in played), 2),
        "incident_regret_per_1000": round(
            1_000 * statistics.fmean(one.routing.incident_regret for one in played), 1
        ),
        "worst_hour_pp": round(100 * min(hours), 2),
        "operators_rules": round(statistics.fmean(o.operators.gap_closed for o in played), 3),
    }
    for key in ("ucb", "window"):
        others = [found.gap_closed for o in played if (found := getattr(o, key)) is not None]
        if others:
            line[f"{key}_gap_closed"] = round(statistics.fmean(others), 3)
    return line


async def measure_gap() -> dict[str, Any]:
    """The gap closed in worlds in which all goes on, against its targets."""
    line = gap_line("gap_closed", await _play_all("gap_closed"))
    missed = [
        text
        for text, met in (
            (f"mean >= {MIN_GAP_CLOSED}", line["value"] >= MIN_GAP_CLOSED),
            (f"worst >= {MIN_OF_A_SEED}", line["worst"] >= MIN_OF_A_SEED),
            (
                f"incident_regret_per_1000 <= {MAX_INCIDENT_REGRET}",
                line["incident_regret_per_1000"] <= MAX_INCIDENT_REGRET,
            ),
            (
                f"worst_hour_pp >= {-100 * MAX_WORSE_HOUR}",
                line["worst_hour_pp"] >= -100 * MAX_WORSE_HOUR,
            ),
        )
        if not met
    ]
    line |= {"missed": missed, "missed_targets": len(missed)}
    return with_target(line, Target("missed_targets", "<=", 0))


async def measure_delayed() -> dict[str, Any]:
    """Outcomes minutes late (median 3), and every seventh never."""
    return gap_line("delayed", await _play_all("delayed"))


async def measure_two_corridors() -> dict[str, Any]:
    """Nothing but two corridors."""
    return gap_line("two_corridors", await _play_all("two_corridors"))


async def measure_no_difference() -> dict[str, Any]:
    """All alike: what does routing lose for trying out?"""
    played = await _play_all("no_difference")
    losses = [100 * (one.operators.success - one.routing.success) for one in played]
    line = {
        "name": "routing.no_difference",
        "value": round(max(losses), 4),
        "unit": "pp lost, worst",
        "limit": MAX_LOSS_PP,
        "limit_name": "what is promised",
        "ratio": round(max(losses) / MAX_LOSS_PP, 3),
    }
    return with_target(line, Target("value", "<=", MAX_LOSS_PP))


async def measure_decision() -> dict[str, Any]:
    """The time of one decision among six corridors, a call of each hanging; a state's memory."""
    world = make_world(0, WARM_UP)
    tracemalloc.start()
    routing = LearningRouting(world)
    play(world, routing)
    state_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    return _decision_line(world, routing, state_mb)


def _decision_line(world: World, routing: LearningRouting, state_mb: float) -> dict[str, Any]:
    payment = payments_of(world)[-1]
    candidates = [str(corridor) for corridor in range(world.settings.corridors)]
    context = Context(
        payment.region,
        payment.network,
        payment.funding,
        payment.currency,
        4_200,
        12,
        False,
        0,
        False,
    )
    in_flight = routing.hanging_calls(payment, payment.time_s - 10.0)
    times = []
    for number in range(DECISIONS):
        # The processor's time: what else runs on the machine is not the decision's.
        begun = time.thread_time_ns()
        decide(
            routing.policy,
            routing.state,
            context,
            candidates,
            seed=number,
            now_s=payment.time_s,
            in_flight=in_flight,
        )
        times.append((time.thread_time_ns() - begun) / 1_000)
    times.sort()
    p99 = times[int(0.99 * len(times))]
    line = {
        "name": "routing.decision",
        "value": round(p99, 1),
        "unit": "us p99",
        "limit": DECISION_BOUND_US,
        "limit_name": "what is promised",
        "ratio": round(p99 / DECISION_BOUND_US, 3),
        "p50_us": round(times[len(times) // 2], 1),
        "state_mb": round(state_mb, 2),
        "state_bytes": len(dump(routing.state)),
    }
    return with_target(line, Target("value", "<=", DECISION_BOUND_US))


BENCHMARKS = [
    ("routing.gap_closed", measure_gap),
    ("routing.delayed", measure_delayed),
    ("routing.two_corridors", measure_two_corridors),
    ("routing.no_difference", measure_no_difference),
    ("routing.decision", measure_decision),
]

"""What the simulated world lets anybody foresee: an observer who knows how its faults are drawn.

`python -m bench.foresight_bound --seeds 1009` says for how many ramps and decoys such an observer
would raise an alarm. For each fault that drives a part of the objective he is told the minute in
which it begins, its cause, the service's healthy levels and the laws of its noise, none of which a
detector has. What he is not told is the course, how strongly other signals go with it, and whether
it is a ramp. He weighs some thousand courses, drawn by the world's own laws in the shares that
ramps and decoys have, by how likely they make each minute's signals (Bayes), and alarms when a
breach within a horizon is likely enough.

Which horizon and how likely is chosen afterwards, so that the table is kinder than any one rule.
It has no false alarms, and alarms are never cleared. It is not a bound of every conceivable rule
(the best moment to stop is a problem of its own), but of those that look at the chance of a breach.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.foresight_scoring import LEAST_LEAD_MINUTES, SCORED_FROM
from gateway.foresight.objective import Objective, Part
from runtime.command_line import command_parser
from sandbox.simulators.degradation import Service, schedule, world
from sandbox.simulators.degradation.causes import CAUSES
from sandbox.simulators.degradation.faults import Fault, Kind, Points
from sandbox.simulators.degradation.signals import LATENCIES, Health, healthy
from sandbox.simulators.degradation.world import DAY, DAYS

Floats = NDArray[np.float64]

COURSES = 6_000
LONGEST_MINUTES = 420
HORIZONS = (5, 7, 10, 15, 20, 30, 40)
CHANCES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
DRIVING_DECOYS = ("hump", "plateau", "sawtooth")
DRIVING_SHARE = sum(schedule.DECOY_SHAPES[shape] for shape in DRIVING_DECOYS)
FAILURES = ("errors", "timeouts", "rate_limited")
TAKES_PART, GAIN_SPREAD = 0.75, 0.5
# A window's noise carries a course past the limit somewhat before it is there itself.
EARLY_DEVIATIONS = 0.6
WANDER_MINUTES, WANDER_KEPT = 30, 0.7
NEVER = 10 * LONGEST_MINUTES


@dataclass(frozen=True)
class Courses:
    """Severities by course and minute, 0 after their end."""

    severities: Floats


@dataclass
class Stream:
    """One signal as the logarithm of what it is in health, and what each course expects of it.

    `counted` is the variance by minute that counting adds to the noise, `counted_at_limit` what it
    adds in a minute at the limit; both are 0 of a measure.
    """

    seen: Floats
    room: Floats
    gains: Floats | None
    powers: Floats | None
    deviation: float
    memory: float
    counted: Floats
    counted_at_limit: float = 0.0

    def expected(self, severity: Floats, minute: int) -> Floats:
        """Of each course in a minute."""
        if self.gains is None or self.powers is None:
            grown = severity * self.room[minute]
        else:
            grown = self.gains * np.maximum(severity, 1e-9) ** self.powers
        expected: Floats = np.log1p(grown)
        return expected


def courses(rng: np.random.Generator, count: int) -> Courses:
    """Courses as services have them: 7 ramps on those of 10 decoys that drive a part."""
    ramps = schedule.RAMPS / (schedule.RAMPS + DRIVING_SHARE * schedule.DECOYS)
    severities = np.zeros((count, LONGEST_MINUTES))
    for row in severities:
        points = schedule._ramp(rng, ())[3] if rng.random() < ramps else _driving_decoy(rng)
        course = schedule.severities(points)[:LONGEST_MINUTES]
        row[: len(course)] = course
    return Courses(severities)


def _driving_decoy(rng: np.random.Generator) -> Points:
    while True:
        _, shape, _, points = schedule._decoy(rng, ())
        if shape in DRIVING_DECOYS:
            return points


def chances(
    service: Service, health: Health, fault: Fault, minutes: int, known: Courses, seed: int
) -> Floats:
    """How likely a breach is within each of HORIZONS, in each minute since a fault began."""
    rng = np.random.default_rng([seed, service.place, fault.start_minute])
    streams = list(_streams(rng, service, health, fault, minutes, len(known.severities)))
    breaches = _breaches(known, streams[0])
    believed = np.zeros(len(known.severities))
    # Of each stream the noise so far, by course, and how unsure counting leaves it.
    noise = [np.zeros(len(believed)) for _ in streams]
    unsure = [stream.deviation**2 for stream in streams]
    told = np.ones((minutes, len(HORIZONS)))
    for minute in range(minutes):
        severity = known.severities[:, minute]
        for at, stream in enumerate(streams):
            away = stream.seen[minute] - stream.expected(severity, minute)
            ahead = stream.memory * noise[at] if minute else noise[at]
            variance = stream.memory**2 * unsure[at] if minute else 0.0
            fresh = (1 - stream.memory**2) if minute else 1.0
            variance += fresh * stream.deviation**2
            whole = variance + stream.counted[minute]
            # Student's t with 4 degrees of freedom, as the world's innovations have it.
            believed += -2.5 * np.log1p((away - ahead) ** 2 / whole / 2)
            share = variance / whole
            noise[at] = ahead + share * (away - ahead)
            unsure[at] = variance * (1 - share)
        weights = np.exp(believed - believed.max())
        weights[breaches <= minute] = 0.0
        if weights.sum() > 0:
            left = breaches - minute
            within = [weights[left <= horizon].sum() for horizon in HORIZONS]
            told[minute] = np.array(within) / weights.sum()
    return told


def _streams(
    rng: np.random.Generator,
    service: Service,
    health: Health,
    fault: Fault,
    minutes: int,
    count: int,
) -> Iterator[Stream]:
    """The signal that the cause drives, then the others that it may move."""
    cause, limits, seen = CAUSES[fault.cause], Objective(), service.signals
    now = slice(fault.start_minute, fault.start_minute + minutes)
    if cause.share is not None:
        level = health.levels[cause.share][now]
        usual = sum((health.levels[name][now] for name in FAILURES), np.zeros(minutes))
        calls = np.maximum(seen["calls"][now], 1.0)
        counts = seen[cause.share][now]
        spread = _law(health, cause.share)
        yield Stream(
            np.log((counts + 0.3) / calls / (level + 0.3 / calls)),
            (limits.failure_share - usual) / (level + 0.3 / calls),
            None, None, *spread, 1 / (counts + 1),
            float(1 / (limits.failure_share * calls).mean()),
        )  # fmt: skip
    else:
        latency = cause.part is Part.LATENCY
        name = "latency_p95_ms" if latency else "webhook_lag_s"
        limit = limits.latency_p95_ms if latency else limits.webhook_lag_s
        level = health.levels[name][now]
        room = np.maximum(limit / level - 1, 0.0)
        yield _measure(service, health, name, now, room, None, None)
    for name, gain in cause.others.items():
        if name in health.levels and name not in FAILURES:
            gains = gain * np.exp(GAIN_SPREAD * rng.standard_normal(count))
            gains *= rng.random(count) < TAKES_PART
            powers = rng.uniform(0.5, 1.5, count)
            yield _measure(service, health, name, now, np.zeros(minutes), gains, powers)


def _measure(
    service: Service,
    health: Health,
    name: str,
    now: slice,
    room: Floats,
    gains: Floats | None,
    powers: Floats | None,
) -> Stream:
    signal, level = np.maximum(service.signals[name], 1e-9), health.levels[name]
    seen = np.log(signal[now] / level[now])
    if name in LATENCIES:
        # Part of the noise of latencies wanders over hours: what is there when a fault begins.
        before = slice(now.start - WANDER_MINUTES, now.start)
        seen -= WANDER_KEPT * float(np.log(signal[before] / level[before]).mean())
    return Stream(seen, room, gains, powers, *_law(health, name), np.zeros(len(seen)))


def _law(health: Health, name: str) -> tuple[float, float]:
    """The deviation of a signal's noise, in logarithms, and its memory from minute to minute."""
    noise = np.log(health.noise[name])
    noise = noise - noise.mean()
    deviation = float(noise.std())
    return deviation, float((noise[1:] * noise[:-1]).mean()) / deviation**2


def _breaches(known: Courses, driven: Stream) -> NDArray[np.int64]:
    """When each course breaks the objective, if the noise of the window is as it mostly is."""
    width, memory = Objective().window_minutes, driven.memory
    shared = width + 2 * sum((width - lag) * memory**lag for lag in range(1, width))
    variance = driven.deviation**2 * shared / width**2 + driven.counted_at_limit / width
    total = np.cumsum(np.pad(known.severities, ((0, 0), (width, 0))), axis=1)
    past = (total[:, width:] - total[:, :-width]) / width >= 1 - EARLY_DEVIATIONS * variance**0.5
    found: NDArray[np.int64] = np.where(past.any(axis=1), past.argmax(axis=1), NEVER)
    return found


@dataclass(frozen=True)
class Judged:
    """A fault, its breach in minutes from its start if it is a ramp, and what he believed."""

    breach: int | None
    told: Floats

    def is_alarmed(self, horizon: int, chance: float) -> bool:
        """Of a ramp, in time; of a decoy, at all."""
        until = len(self.told)
        if self.breach is not None:
            until = max(self.breach - LEAST_LEAD_MINUTES + 1, 0)
        return bool((self.told[:until, HORIZONS.index(horizon)] >= chance).any())


def judge(seed: int, known: Courses, *, services: int = 8) -> list[Judged]:
    """All ramps and driving decoys of a seed that are scored."""
    found = []
    for service in world(seed, services=services).services:
        health = healthy(np.random.default_rng([seed, service.place]), 0, DAYS * DAY)
        for fault in service.faults:
            breach = service.breach(fault)
            is_ramp = fault.kind is Kind.RAMP and breach is not None
            is_decoy = fault.shape in DRIVING_DECOYS and breach is None
            if fault.start_minute < SCORED_FROM or not (
                is_ramp or (fault.kind is Kind.DECOY and is_decoy)
            ):
                continue
            end = fault.end_minute if breach is None else breach
            minutes = min(end - fault.start_minute + 1, LONGEST_MINUTES)
            told = chances(service, health, fault, minutes, known, seed)
            found.append(Judged(None if breach is None else breach - fault.start_minute, told))
    return found


def table(judged: Sequence[Judged]) -> Iterator[str]:
    """By horizon and chance: ramps warned of in time, and decoys alarmed, of all decoys."""
    ramps = [one for one in judged if one.breach is not None]
    decoys = [one for one in judged if one.breach is None]
    yield f"{len(ramps)} ramps, {len(decoys)} decoys that drive a part; ramps / decoys alarmed"
    yield "within  " + "  ".join(f"  at {chance:<7}" for chance in CHANCES)
    for horizon in HORIZONS:
        cells = []
        for chance in CHANCES:
            warned, alarmed = (
                sum(one.is_alarmed(horizon, chance) for one in some) / max(len(some), 1)
                for some in (ramps, decoys)
            )
            cells.append(f"{warned:.3f}/{DRIVING_SHARE * alarmed:.3f}")
        yield f"{horizon:>6}  " + "  ".join(cells)


def main() -> None:
    """Judges seeds, none of them a public one unless it is named."""
    parser = command_parser("bench.foresight_bound", __doc__ or "")
    parser.add_argument("--seeds", type=_seeds, default=(1009, 1010))
    parser.add_argument("--courses", type=int, default=COURSES)
    arguments = parser.parse_args()
    known = courses(np.random.default_rng(0), arguments.courses)
    judged = [one for seed in arguments.seeds for one in judge(seed, known)]
    print("\n".join(table(judged)))


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers with commas") from None


if __name__ == "__main__":
    main()

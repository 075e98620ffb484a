"""How likely a corridor fails for technical reasons now: a hidden Markov model of each scope.

A corridor is well or in one of LEVELS of failure; so is each of its regions and networks, because
incidents often hit only those. A payment fails if the incident of any of its three scopes hits it.
Failures, answers, slow answers and calls that are still running are evidence of the same kind: how
likely it is if the call was hit, and if not. So a call that hangs counts before it ends, and a
single failure of many calls moves little while two in a row move much.

Incidents that make issuers decline have chains of their own, in the same scopes. Their evidence is
what issuers say against what the model of approval expected of the very payment: a declined payment
that was hard anyway says little, several easy ones in a row say that something broke. What is put
down to such an incident teaches the model of approval nothing.

The figures are assumptions about corridors in general, from public incident histories (some
incidents a month, most within an hour), not fitted to any simulation.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

LEVELS = (0.10, 0.40, 0.95)
"""The shares of payments that an incident hits."""
ONSET_LEVELS = (0.40, 0.35, 0.25)
"""How likely an incident is of each."""
USUAL_FAILURE = 0.004
"""What fails for technical reasons on a corridor that is well."""
MAX_IN_FLIGHT = 8
"""Late calls of one corridor that are looked at, the latest sent ones."""
LATENCY_STEP = 0.02
"""How far one answer moves the usual latency (of its logarithm)."""
FIRST_LATENCY_S = 1.5
LEAST_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How often incidents begin, in each scope, and how long they last."""

    onsets_per_hour: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {
                "all": 0.05,
                "region": 0.01,
                "network": 0.01,
                "refusals all": 0.0125,
                "refusals region": 0.0025,
                "refusals network": 0.0025,
            }
        )
    )
    mean_duration_s: float = 2_400.0
    level_change_s: float = 1_200.0
    """How long an incident stays as bad as it is, on average: ramps are changes of level."""
    suspect_from: float = 0.10
    """From this probability of an incident on, a corridor only gets probes unless it is best."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How likely something seen is if the call was hit by an incident, and if not."""

    if_hit: float
    if_not: float

    def aged(self, seconds: float, duration_s: float) -> "Evidence":
        """Of a call that was sent `seconds` ago: the incident of then may be over."""
        kept = math.exp(-max(seconds, 0.0) / duration_s)
        return Evidence(kept * self.if_hit + (1.0 - kept) * self.if_not, self.if_not)


FAILED = Evidence(0.95, USUAL_FAILURE)
TIMED_OUT = Evidence(0.45, USUAL_FAILURE / 4)
# By how many times the usual latency an answer took or a call is running, the most first.
ANSWERED_SLOWLY = ((16.0, Evidence(0.02, 0.002)), (4.0, Evidence(0.03, 0.006)))
ANSWERED = Evidence(0.05, 0.99)
APPROVED_IF_HIT = 0.02
"""How likely an issuer approves what an incident of refusals hits."""
STILL_RUNNING = (
    (16.0, Evidence(0.40, 0.0015)),
    (8.0, Evidence(0.42, 0.003)),
    (4.0, Evidence(0.45, 0.008)),
)


@dataclass(frozen=True, slots=True)
class InFlight:
    """A call that has not come back."""

    corridor: str
    region: str
    network: str
    start_s: float


class Chain(NamedTuple):
    """How likely one scope is in an incident, by level, as of a time."""

    levels: tuple[float, ...]
    time_s: float

    @property
    def incident(self) -> float:
        """How likely it is in any."""
        return sum(self.levels)

    @property
    def hit(self) -> float:
        """How likely a payment is hit."""
        mild, half, hard = self.levels
        return mild * LEVELS[0] + half * LEVELS[1] + hard * LEVELS[2]


@dataclass(frozen=True, slots=True)
class Health:
    """What is believed of a corridor. Chains that are not there are as rare as onsets say."""

    chains: Mapping[str, Chain] = field(default_factory=lambda: MappingProxyType({}))
    log_latency: float = math.log(FIRST_LATENCY_S)
    """The logarithm of the usual latency in seconds."""

    @property
    def usual_latency_s(self) -> float:
        """What a call usually takes."""
        return math.exp(self.log_latency)


@dataclass(frozen=True, slots=True)
class Prognosis:
    """What a payment has to expect of a corridor, technically."""

    failure: float
    """How likely it fails."""
    refusal: float
    """How likely an incident makes the issuer decline it, if it does not fail."""
    spread: float
    """The standard deviation of how likely neither is, of not knowing whether there is an
    incident."""
    incident: float
    """How likely an incident of any of its scopes is."""


Scopes = tuple[tuple[str, str], ...]


def scopes(region: str, network: str) -> Scopes:
    """The key of each scope of a payment, and its kind."""
    return (("all", "all"), (f"region:{region}", "region"), (f"network:{network}", "network"))


def refusal_scopes(region: str, network: str) -> Scopes:
    """The same for incidents that make issuers decline."""
    return (
        ("refusals all", "refusals all"),
        (f"refusals region:{region}", "refusals region"),
        (f"refusals network:{network}", "refusals network"),
    )


def chain_at(health: Health, key: str, kind: str, now_s: float, settings: HealthSettings) -> Chain:
    """What is believed of a scope now, after a time in which nothing was seen of it.

    Incidents end and begin at constant rates; one that goes on keeps its level for a while.
    """
    chain = health.chains.get(key)
    # Within seconds nothing changes that matters; what is left out now is made up for later.
    if chain is not None and now_s - chain.time_s < LEAST_STEP_S:
        return chain
    onset = settings.onsets_per_hour[kind] / 3_600.0
    end = 1.0 / settings.mean_duration_s
    rest = onset / (onset + end)
    to_mild, to_half, to_hard = ONSET_LEVELS
    if chain is None:
        return Chain((rest * to_mild, rest * to_half, rest * to_hard), now_s)
    elapsed = now_s - chain.time_s
    mild, half, hard = chain.levels
    before = mild + half + hard
    now = rest + (before - rest) * math.exp(-(onset + end) * elapsed)
    kept = math.exp(-(end + 1.0 / settings.level_change_s) * elapsed)
    renewed = now - before * kept
    return Chain(
        (
            mild * kept + renewed * to_mild,
            half * kept + renewed * to_half,
            hard * kept + renewed * to_hard,
        ),
        now_s,
    )


def observe(chains: Sequence[Chain], evidence: Evidence) -> tuple[Chain, ...]:
    """The chains of a payment's scopes after one call; each given what the others expect."""
    usual, more = evidence.if_not, evidence.if_hit - evidence.if_not
    spared = [1.0 - chain.hit for chain in chains]
    moved = []
    for position, chain in enumerate(chains):
        others = math.prod(spared[:position]) * math.prod(spared[position + 1 :])
        well = (1.0 - chain.incident) * (usual + (1.0 - others) * more)
        ill = [
            p * (usual + (1.0 - (1.0 - level) * others) * more)
            for p, level in zip(chain.levels, LEVELS, strict=True)
        ]
        total = well + sum(ill)
        moved.append(Chain(tuple([p / total for p in ill]), chain.time_s))
    return tuple(moved)


def ended(
    health: Health,
    region: str,
    network: str,
    now_s: float,
    settings: HealthSettings,
    *,
    failed: bool,
    timed_out: bool = False,
    latency_s: float | None,
    age_s: float = 0.0,
) -> Health:
    """The health after a call has ended, or after it is known what came of it `age_s` ago.

    `latency_s` is None where it says nothing, as of a call that timed out.
    """
    log_latency = health.log_latency
    evidence = TIMED_OUT if timed_out else FAILED if failed else ANSWERED
    if not failed and latency_s is not None:
        times = latency_s / health.usual_latency_s
        evidence = next((e for bound, e in ANSWERED_SLOWLY if times >= bound), ANSWERED)
        step = math.log(max(latency_s, 1e-3)) - log_latency
        log_latency += LATENCY_STEP * max(-1.0, min(step, 1.0))
    if age_s > 0.0:
        evidence = evidence.aged(age_s, settings.mean_duration_s)
    keys = scopes(region, network)
    chains = [chain_at(health, key, kind, now_s, settings) for key, kind in keys]
    return _moved(health, keys, observe(chains, evidence), log_latency)


def judged(
    health: Health,
    region: str,
    network: str,
    now_s: float,
    settings: HealthSettings,
    *,
    approved: bool,
    chance: float,
    age_s: float = 0.0,
) -> tuple[Health, float]:
    """The health after an issuer has judged, and how likely the judgement was the issuer's own.

    `chance` is how likely the model of approval expected this payment to be approved if no
    incident hits it. `age_s` is as in `ended`.
    """
    evidence = (
        Evidence(APPROVED_IF_HIT, chance)
        if approved
        else Evidence(1.0 - APPROVED_IF_HIT, 1.0 - chance)
    )
    if age_s > 0.0:
        evidence = evidence.aged(age_s, settings.mean_duration_s)
    keys = refusal_scopes(region, network)
    chains = [chain_at(health, key, kind, now_s, settings) for key, kind in keys]
    spared = math.prod([1.0 - chain.hit for chain in chains])
    own = spared * evidence.if_not
    return (
        _moved(health, keys, observe(chains, evidence), health.log_latency),
        own / (own + (1.0 - spared) * evidence.if_hit),
    )


def _moved(health: Health, keys: Scopes, moved: Sequence[Chain], log_latency: float) -> Health:
    chains = {key: chain for (key, _), chain in zip(keys, moved, strict=True)}
    return Health(MappingProxyType({**health.chains, **chains}), log_latency)


def with_in_flight(
    health: Health, calls: Iterable[InFlight], now_s: float, settings: HealthSettings
) -> Health:
    """The health as it is believed while calls run: those that are late count, others do not.

    Only for a look: what a call came to is evidence when it ends, in place of this.
    """
    usual = health.usual_latency_s
    late = [c for c in calls if now_s - c.start_s >= STILL_RUNNING[-1][0] * usual]
    if not late:
        return health
    late.sort(key=lambda call: call.start_s)
    chains = dict(health.chains)
    looked = replace(health, chains=chains)
    for call in late[-MAX_IN_FLIGHT:]:
        times = (now_s - call.start_s) / usual
        evidence = next(e for bound, e in STILL_RUNNING if times >= bound)
        keys = scopes(call.region, call.network)
        before = [chain_at(looked, key, kind, now_s, settings) for key, kind in keys]
        for (key, _), chain in zip(keys, observe(before, evidence), strict=True):
            chains[key] = chain
    return looked


def prognosis(
    health: Health, region: str, network: str, now_s: float, settings: HealthSettings
) -> Prognosis:
    """What a payment has to expect."""
    technical = _outlook(health, scopes(region, network), now_s, settings)
    refusals = _outlook(health, refusal_scopes(region, network), now_s, settings)
    usual = 1.0 - USUAL_FAILURE
    spared = usual * technical[0] * refusals[0]
    square = usual * usual * technical[1] * refusals[1]
    return Prognosis(
        failure=1.0 - usual * technical[0],
        refusal=1.0 - refusals[0],
        spread=math.sqrt(max(square - spared * spared, 0.0)),
        incident=1.0 - technical[2] * refusals[2],
    )


def _outlook(
    health: Health, keys: Scopes, now_s: float, settings: HealthSettings
) -> tuple[float, float, float]:
    """How likely a payment is spared, the mean of its square, how likely no incident is."""
    spared, squares, none = 1.0, 1.0, 1.0
    mild, half, hard = LEVELS
    for key, kind in keys:
        first, second, third = chain_at(health, key, kind, now_s, settings).levels
        incident = first + second + third
        hit = first * mild + second * half + third * hard
        square = hit + first * mild * (1 - mild) + second * half * (1 - half)
        square += third * hard * (1 - hard)
        spared *= 1.0 - hit
        # The mean of (1 - share)² is 1 - the mean of share · (2 - share).
        squares *= 1.0 - square
        none *= 1.0 - incident
    return spared, squares, none

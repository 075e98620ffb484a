"""All that routing believes, as one value that fades with time and is merged of replicas.

A model that was trained offline (`training.py`) is such a value, too, with what it was trained on
beside it. Whoever learns on from it goes back to its means as time goes by, and not to nothing.

A table's belief and a chain's are products of evidence. So replicas that began from the same state
are merged by multiplying what each has added: exact for what is independent, and the same in
whatever order they come.
"""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gateway.routing.approval import MIN_VARIANCE, Fading, Table, fade
from gateway.routing.features import FeatureSpace
from gateway.routing.health import Chain, Health, HealthSettings, chain_at
from gateway.routing.retry_beliefs import COMMON, OWN, RetryBeliefs

MAX_CORRIDORS = 64
FADE_EVERY_S = 240.0
FIRST_DOUBT = 0.4
"""How unsure a new state is of the operators' order, as a share of how unsure it will be: those who
wrote it down knew their corridors. That knowledge ages as all other does."""
LEAST_CHANCE = 1e-12


class StateError(ValueError):
    """Bytes that are not a state of routing, or states that do not fit together."""


@dataclass(frozen=True, slots=True)
class CorridorState:
    """What is believed of a corridor."""

    own: Table
    health: Health = field(default_factory=Health)


@dataclass(frozen=True, slots=True)
class Prior:
    """The means of a model that was trained offline: what learning began from, and goes back to."""

    version: str
    """The model's: the SHA-256 of its bytes."""
    common: tuple[float, ...]
    own: Mapping[str, tuple[float, ...]]
    """By corridor."""


@dataclass(frozen=True)
class RoutingState:
    """What is believed as of `time_s`; times are seconds since the epoch."""

    space_hash: str
    """Of the features that the tables belong to."""
    time_s: float
    """Until when tables have faded."""
    common: Table
    corridors: Mapping[str, CorridorState] = field(default_factory=dict)
    learned: int = 0
    """Outcomes that went into it."""
    retries: RetryBeliefs = field(default_factory=RetryBeliefs)
    """Of times for further attempts."""
    prior: Prior | None = None
    """None goes back to what the operators' order says."""

    @classmethod
    def new(cls, space: FeatureSpace, corridors: Sequence[str], now_s: float) -> "RoutingState":
        """Nothing seen yet."""
        if len(corridors) > MAX_CORRIDORS:
            raise StateError(f"{len(corridors)} corridors, at most {MAX_CORRIDORS}")
        own = Table.new(space.own, FIRST_DOUBT)
        states = {corridor: CorridorState(own) for corridor in sorted(corridors)}
        return cls(hash_of(space), now_s, Table.new(space.common), MappingProxyType(states))

    def with_corridor(self, name: str, corridor: CorridorState) -> "RoutingState":
        """One corridor in another state."""
        return self.with_lesson(name, corridor, self.common, learned=self.learned)

    def with_lesson(
        self, name: str, corridor: CorridorState, common: Table, *, learned: int
    ) -> "RoutingState":
        """One corridor and the common table in another state."""
        corridors = MappingProxyType({**self.corridors, name: corridor})
        return replace(self, common=common, corridors=corridors, learned=learned)

    def only_of(self, corridors: Collection[str]) -> "RoutingState":
        """What is believed of these corridors alone."""
        kept = {name: known for name, known in self.corridors.items() if name in corridors}
        return replace(self, corridors=MappingProxyType(kept))


def hash_of(space: FeatureSpace) -> str:
    """Names a feature space: tables of one are not for another."""
    text = repr((space.vocabulary, space.features, space.common_features))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def advance(state: RoutingState, space: FeatureSpace, now_s: float) -> RoutingState:
    """The state with its tables faded up to now, if that was long enough ago to matter."""
    elapsed = now_s - state.time_s
    return _faded(state, space, now_s) if elapsed >= FADE_EVERY_S else state


def _faded(state: RoutingState, space: FeatureSpace, now_s: float) -> RoutingState:
    elapsed = now_s - state.time_s
    if elapsed == 0.0:
        return state
    own, common = Fading.over(space.own, elapsed), Fading.over(space.common, elapsed)
    prior = state.prior
    homes: Mapping[str, tuple[float, ...]] = prior.own if prior is not None else {}
    return replace(
        state,
        time_s=now_s,
        common=fade(state.common, common, prior.common if prior is not None else None),
        corridors=MappingProxyType(
            {
                name: replace(c, own=fade(c.own, own, homes.get(name)))
                for name, c in state.corridors.items()
            }
        ),
        retries=state.retries.faded(elapsed),
    )


def not_ahead(state: RoutingState, now_s: float) -> RoutingState:
    """The state without times that have yet to come: what a clock that was ahead has written would
    neither fade nor end until then."""
    latest = now_s + FADE_EVERY_S
    times = [c.time_s for known in state.corridors.values() for c in known.health.chains.values()]
    if max([state.time_s, *times]) <= latest:
        return state
    corridors = {
        name: replace(known, health=_until(known.health, now_s))
        for name, known in state.corridors.items()
    }
    return replace(state, time_s=min(state.time_s, now_s), corridors=MappingProxyType(corridors))


def _until(health: Health, now_s: float) -> Health:
    chains = {
        key: chain._replace(time_s=min(chain.time_s, now_s)) for key, chain in health.chains.items()
    }
    return replace(health, chains=MappingProxyType(chains))


def merge(
    base: RoutingState,
    replicas: Sequence[RoutingState],
    space: FeatureSpace,
    settings: HealthSettings,
) -> RoutingState:
    """What replicas learnt that all began from `base`, together, as of the latest of them.

    Raises StateError if one has other features, corridors or prior, or is older than the base.
    """
    for replica in replicas:
        if (
            replica.space_hash != base.space_hash
            or replica.corridors.keys() != base.corridors.keys()
        ):
            raise StateError("states of other features or corridors cannot be merged")
        if replica.prior != base.prior:
            raise StateError("states that go back to other models cannot be merged")
        if replica.time_s < base.time_s:
            raise StateError("a replica is older than what it began from")
    now_s = max([base.time_s, *(replica.time_s for replica in replicas)])
    # All as of one moment, so that what they add can be compared.
    start = _faded(base, space, now_s)
    others = [_faded(replica, space, now_s) for replica in replicas]
    corridors = {
        name: CorridorState(
            _merge_tables(
                corridor.own, [o.corridors[name].own for o in others], space.own.variances
            ),
            _merge_health(corridor.health, [o.corridors[name].health for o in others], settings),
        )
        for name, corridor in start.corridors.items()
    }
    return RoutingState(
        space_hash=base.space_hash,
        time_s=now_s,
        common=_merge_tables(start.common, [o.common for o in others], space.common.variances),
        corridors=MappingProxyType(corridors),
        learned=base.learned + sum(o.learned - base.learned for o in others),
        retries=_merge_retries(start.retries, [o.retries for o in others]),
        prior=base.prior,
    )


def _merge_retries(base: RetryBeliefs, others: Sequence[RetryBeliefs]) -> RetryBeliefs:
    return RetryBeliefs(
        _merge_tables(base.own, [o.own for o in others], OWN.variances),
        _merge_tables(base.common, [o.common for o in others], COMMON.variances),
        base.learned + sum(o.learned - base.learned for o in others),
    )


def _merge_tables(base: Table, others: Sequence[Table], most: Sequence[float]) -> Table:
    means, variances = [], []
    for slot, (mean, variance) in enumerate(zip(base.means, base.variances, strict=True)):
        changed = [
            (other.means[slot], other.variances[slot])
            for other in others
            if (other.means[slot], other.variances[slot]) != (mean, variance)
        ]
        if len(changed) == 1:
            merged_mean, merged_variance = changed[0]
        else:
            precision = 1.0 / variance + math.fsum(1.0 / v - 1.0 / variance for _, v in changed)
            merged_variance = min(
                max(1.0 / max(precision, 1.0 / most[slot]), MIN_VARIANCE), most[slot]
            )
            weighted = mean / variance + math.fsum(m / v - mean / variance for m, v in changed)
            merged_mean = weighted * merged_variance if changed else mean
            merged_variance = merged_variance if changed else variance
        means.append(merged_mean)
        variances.append(merged_variance)
    return Table(tuple(means), tuple(variances))


def _merge_health(base: Health, others: Sequence[Health], settings: HealthSettings) -> Health:
    keys = sorted({key for health in (base, *others) for key in health.chains})
    chains = {}
    for key in keys:
        kind = key.partition(":")[0]
        known = [health.chains[key] for health in (base, *others) if key in health.chains]
        now_s = max(chain.time_s for chain in known)
        start = _chances(chain_at(base, key, kind, now_s, settings))
        logs = [math.log(p) for p in start]
        for other in others:
            for n, p in enumerate(_chances(chain_at(other, key, kind, now_s, settings))):
                logs[n] += math.log(p) - math.log(start[n])
        highest = max(logs)
        weights = [math.exp(value - highest) for value in logs]
        chains[key] = Chain(tuple([w / math.fsum(weights) for w in weights[1:]]), now_s)
    moved = math.fsum(health.log_latency - base.log_latency for health in others)
    return Health(MappingProxyType(chains), base.log_latency + moved / max(len(others), 1))


def _chances(chain: Chain) -> list[float]:
    """Of being well, and of each level; none of them 0."""
    return [max(p, LEAST_CHANCE) for p in (1.0 - chain.incident, *chain.levels)]

"""Fits a model offline to the decisions of a window, in the form that decides and learns online.

Outcomes that issuers decided are fitted all at once (`penalised_fit.py`), with the priors of the
features that learning online begins with. What online learning knows and one fit does not is in the
weights of outcomes:

- **how likely the choice was**: routing sends a corridor what it believes it is good at, so a
  corridor's payments are not like all payments. An outcome counts by one over its propensity, up to
  a limit, and a corridor's outcomes together as many as would say as much (Kish's effective size);
- **how old it is**: corridors change, and half as much is known of what is a half-life old;
- **incidents**: by as much as one was under way, an outcome says nothing of the corridor as it is
  without one.

What is of the last hours only (quick slots, health) is not fitted: it is over by the time anybody
decides by the model. The last part of the window is held out: the model does not see it, and how
well it foretells it stands beside it, with what the share of approvals and routing's own beliefs of
then foretell.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.routing.approval import MIN_VARIANCE, Table, chance_of
from gateway.routing.codec import DIGITS, dump_trained
from gateway.routing.decision import Policy
from gateway.routing.features import HOUR_S, FeatureSpace, Layout, Slots
from gateway.routing.penalised_fit import Cell, Fit, fit
from gateway.routing.state import CorridorState, RoutingState, hash_of

CODE = "training-1"
"""Of the rules below; changed with them."""
MIN_DECISIONS = 1_000
"""Of a window, with an outcome that says something of the corridor."""
MIN_CORRIDOR_OUTCOMES = 50
"""That issuers decided at each corridor, of those that are fitted."""
MIN_OF_EACH = 25
"""Approvals, and declines by issuers, of those that are fitted."""
MIN_HELD_OUT = 100
"""Outcomes that issuers decided, of those that are held out."""
FITTED_HALF_LIFE_S = 4 * HOUR_S
"""Slots that forget more quickly are left as they begin."""
LEAST_CHANCE = 1e-9


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How a model is fitted; kept with it."""

    held_out_share: float = 0.2
    """Of the window's decisions, the last ones."""
    half_life_s: float = 72 * HOUR_S
    """After so long an outcome counts half."""
    max_weight: float = 20.0
    """The most that one over the propensity counts."""

    def __post_init__(self) -> None:
        if not 0.0 < self.held_out_share < 1.0:
            raise ValueError(f"held_out_share: {self.held_out_share} is not within 0 and 1")
        if self.half_life_s <= 0.0 or self.max_weight < 1.0:
            raise ValueError("half_life_s is not positive, or max_weight below 1")


@dataclass(frozen=True, slots=True)
class Example:
    """A decision that was taken, and what came of it."""

    name: str
    """Of the payment: orders those of one moment."""
    time_s: float
    corridor: str
    """Where the payment was sent."""
    rank: int
    """Of that choice in the operators' order, from 0."""
    candidates: tuple[str, ...]
    """Corridors in the operators' order, one for each payment method that it takes."""
    slots: Slots
    propensity: float
    incident: float
    """How likely an incident was under way there, as believed then."""
    believed: float
    """How likely the issuer was to approve there, as believed then."""
    approved: bool | None
    """None where the corridor failed: no issuer decided."""


class Problem(StrEnum):
    """Why a window cannot be trained on."""

    TOO_FEW_DECISIONS = "TOO_FEW_DECISIONS"
    OTHER_CORRIDORS = "OTHER_CORRIDORS"
    TOO_FEW_OUTCOMES = "TOO_FEW_OUTCOMES"


class TrainingRefusedError(ValueError):
    """A window that no model comes of; the text says what is missing, with figures."""

    def __init__(self, problem: Problem, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Window:
    """Since when and until before when decisions were taken, in seconds since the epoch."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """How well decisions were foretold that the model did not see: of outcomes that issuers
    decided. Losses are means of -log(chance of what came), lower is better."""

    outcomes: int
    approved: float
    """The share that was approved."""
    expected: float
    """What the model expected of it."""
    log_loss: float
    base_log_loss: float
    """Of the share of approvals among what was fitted."""
    online_log_loss: float
    """Of what routing believed when it decided."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate, with what it was trained on and how; `raw` is what its hash is of."""

    state: RoutingState
    provenance: Mapping[str, Any]
    raw: bytes


def train(
    examples: Sequence[Example],
    window: Window,
    corridors: Collection[str],
    code_version: str,
    policy: Policy | None = None,
    settings: TrainingSettings | None = None,
) -> Trained:
    """A model of a window's decisions; the same of the same in any order.

    `corridors` are those that routing chooses among now. Raises TrainingRefusedError.
    """
    policy, settings = policy or Policy(), settings or TrainingSettings()
    ordered = sorted(examples, key=lambda example: (example.time_s, example.name))
    _check_window(ordered, corridors)
    held_from_s = ordered[math.ceil(len(ordered) * (1.0 - settings.held_out_share))].time_s
    seen = [e for e in ordered if e.time_s < held_from_s]
    fitted = [e for e in seen if e.approved is not None]
    held = [e for e in ordered if e.time_s >= held_from_s and e.approved is not None]
    _check_outcomes(fitted, held, corridors)
    names = sorted(corridors)
    found, positions = _fitted(fitted, names, held_from_s, policy, settings)
    space = policy.space
    state = RoutingState(
        space_hash=hash_of(space),
        # Nothing later was seen: it may be judged on what was held out.
        time_s=seen[-1].time_s,
        common=positions.table(found, space.common, 0),
        corridors=MappingProxyType(
            {
                name: CorridorState(positions.table(found, space.own, place + 1))
                for place, name in enumerate(names)
            }
        ),
        learned=len(fitted),
    )
    provenance = {
        **asdict(window),
        "code_version": code_version,
        "corridors": names,
        "decisions": len(ordered),
        "fitted": len(fitted),
        "held_from_s": held_from_s,
        "held_out": _rounded(asdict(_judged(state, policy, fitted, held))),
        "settings": asdict(settings),
        "steps": found.steps,
    }
    return Trained(state, MappingProxyType(provenance), dump_trained(state, provenance))


def _check_window(ordered: Sequence[Example], corridors: Collection[str]) -> None:
    if len(ordered) < MIN_DECISIONS:
        raise TrainingRefusedError(
            Problem.TOO_FEW_DECISIONS,
            f"{len(ordered)} decisions of the window have an outcome that says something of the"
            f" corridor, {MIN_DECISIONS} are needed",
        )
    known = {name for example in ordered for name in example.candidates}
    if known != set(corridors):
        gone, new = sorted(known - set(corridors)), sorted(set(corridors) - known)
        said = [
            f"{', '.join(names)} {what}"
            for names, what in (
                (gone, "could be chosen then and cannot be now"),
                (new, "can be chosen now and could not be then"),
            )
            if names
        ]
        raise TrainingRefusedError(
            Problem.OTHER_CORRIDORS, f"the window's corridors are others: {'; '.join(said)}"
        )


def _check_outcomes(
    fitted: Sequence[Example], held: Sequence[Example], corridors: Collection[str]
) -> None:
    for name in sorted(corridors):
        count = sum(example.corridor == name for example in fitted)
        if count < MIN_CORRIDOR_OUTCOMES:
            raise TrainingRefusedError(
                Problem.TOO_FEW_OUTCOMES,
                f"issuers decided {count} payments at {name} before the part that is held out,"
                f" {MIN_CORRIDOR_OUTCOMES} at each corridor are needed",
            )
    approved = sum(bool(example.approved) for example in fitted)
    for count, what in ((approved, "approved"), (len(fitted) - approved, "declined")):
        if count < MIN_OF_EACH:
            raise TrainingRefusedError(
                Problem.TOO_FEW_OUTCOMES,
                f"issuers {what} {count} payments before the part that is held out, {MIN_OF_EACH}"
                " are needed",
            )
    if len(held) < MIN_HELD_OUT:
        raise TrainingRefusedError(
            Problem.TOO_FEW_OUTCOMES,
            f"issuers decided {len(held)} payments of the part that is held out, {MIN_HELD_OUT}"
            " are needed",
        )


class _Positions(NamedTuple):
    """Where coefficients are: the common table's slots that are fitted, then each corridor's."""

    common: Mapping[int, int]
    own: Mapping[int, int]

    @classmethod
    def of(cls, space: FeatureSpace) -> "_Positions":
        return cls(_slow(space.common), _slow(space.own))

    def slots(self, place: int, slots: Slots) -> tuple[int, ...]:
        """Of a payment at the corridor of this place."""
        first = len(self.common) + place * len(self.own)
        return (
            *[self.common[slot] for slot in slots.common if slot in self.common],
            *[first + self.own[slot] for slot in slots.own if slot in self.own],
        )

    def priors(self, space: FeatureSpace, corridors: int) -> list[float]:
        """The variances of all coefficients."""
        common = [space.common.variances[slot] for slot in self.common]
        return common + corridors * [space.own.variances[slot] for slot in self.own]

    def unfitted(self, space: FeatureSpace, slots: Slots) -> float:
        """The variance of what a payment's sums have besides: alike for all payments."""
        return math.fsum(
            [
                layout.variances[slot]
                for layout, fitted, found in (
                    (space.common, self.common, slots.common),
                    (space.own, self.own, slots.own),
                )
                for slot in found
                if slot not in fitted
            ]
        )

    def table(self, found: Fit, layout: Layout, part: int) -> Table:
        """The common table, which is part 0, or that of the corridor after so many."""
        positions = self.own if part else self.common
        first = len(self.common) + (part - 1) * len(self.own) if part else 0
        means, variances = [0.0] * len(layout.variances), list(layout.variances)
        for slot, place in positions.items():
            means[slot] = found.means[first + place]
            variances[slot] = max(found.variances[first + place], MIN_VARIANCE)
        return _as_written(Table(tuple(means), tuple(variances)))


def _slow(layout: Layout) -> Mapping[int, int]:
    slots = [s for s, life in enumerate(layout.half_lives_s) if life >= FITTED_HALF_LIFE_S]
    return {slot: place for place, slot in enumerate(slots)}


def _fitted(
    fitted: Sequence[Example],
    names: Sequence[str],
    until_s: float,
    policy: Policy,
    settings: TrainingSettings,
) -> tuple[Fit, _Positions]:
    """The coefficients of outcomes, those that the model sees alike taken together."""
    positions, places = _Positions.of(policy.space), {name: n for n, name in enumerate(names)}
    sums: dict[tuple[tuple[int, ...], float], list[float]] = {}
    for example, weight in zip(fitted, _weights(fitted, until_s, settings), strict=True):
        slots = positions.slots(places[example.corridor], example.slots)
        offset = policy.offset(example.rank)
        cell = sums.setdefault((slots, offset), [0.0, 0.0])
        cell[0] += weight
        cell[1] += weight * bool(example.approved)
    unfitted = positions.unfitted(policy.space, fitted[0].slots)
    cells = [Cell(*key, unfitted, *sums[key]) for key in sorted(sums)]
    return fit(cells, positions.priors(policy.space, len(names))), positions


def _weights(
    fitted: Sequence[Example], until_s: float, settings: TrainingSettings
) -> Sequence[float]:
    """As how many outcomes each counts."""
    raw = [
        min(1.0 / example.propensity, settings.max_weight)
        * (1.0 - example.incident)
        * 0.5 ** ((until_s - example.time_s) / settings.half_life_s)
        for example in fitted
    ]
    sums: dict[str, list[float]] = {}
    for example, weight in zip(fitted, raw, strict=True):
        total = sums.setdefault(example.corridor, [0.0, 0.0])
        total[0] += weight
        total[1] += weight * weight
    # A corridor's weights sum to (Σw)² / Σw².
    scales = {name: total / squares if squares else 0.0 for name, (total, squares) in sums.items()}
    return [w * scales[example.corridor] for example, w in zip(fitted, raw, strict=True)]


def _judged(
    state: RoutingState, policy: Policy, fitted: Sequence[Example], held: Sequence[Example]
) -> Held:
    """How the model, and what it is compared with, foretell what was held out."""
    base = (1 + sum(bool(example.approved) for example in fitted)) / (2 + len(fitted))
    chances = [
        chance_of(
            state.common,
            state.corridors[example.corridor].own,
            example.slots.common,
            example.slots.own,
            policy.offset(example.rank),
        )
        for example in held
    ]
    return Held(
        outcomes=len(held),
        approved=sum(bool(example.approved) for example in held) / len(held),
        expected=math.fsum(chances) / len(held),
        log_loss=_log_loss(chances, held),
        base_log_loss=_log_loss([base] * len(held), held),
        online_log_loss=_log_loss([example.believed for example in held], held),
    )


def _log_loss(chances: Sequence[float], held: Sequence[Example]) -> float:
    return -math.fsum(
        math.log(max(chance if example.approved else 1.0 - chance, LEAST_CHANCE))
        for chance, example in zip(chances, held, strict=True)
    ) / len(held)


def _as_written(table: Table) -> Table:
    """As it is when it is read again: what is judged is what is kept."""
    means, variances = (
        tuple([float(f"{number:.{DIGITS}g}") for number in numbers])
        for numbers in (table.means, table.variances)
    )
    return Table(means, variances)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{figure:.{DIGITS}g}") for name, figure in figures.items()}

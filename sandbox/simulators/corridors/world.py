"""A world: payments in order, and for each corridor how likely each would have been taken.

Everything is drawn before the first payment, with one random number per payment and cause, shared
by all corridors. So two choosers meet the same world, and differ only by what they choose.
Probabilities are arrays of shape (payments, corridors).
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sandbox.simulators.corridors.faults import (
    FaultRates,
    Faults,
    Incident,
    draw_faults,
    read_faults,
)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

DAY_S = 86_400.0
HOUR_S = 3_600.0
REGIONS = ("EU", "US", "UK", "LATAM", "APAC")
NETWORKS = ("VISA", "MASTERCARD", "AMEX", "OTHER")
FUNDINGS = ("CREDIT", "DEBIT", "PREPAID")
CURRENCIES = ("EUR", "USD", "GBP", "BRL", "SGD")
TIMEOUT_S = 60.0
MAX_CORRIDORS = 20
MAX_PAYMENTS = 2_000_000


@dataclass(frozen=True)
class Settings:
    """What kind of world. Why these figures: docs/corridor-simulator.md."""

    payments: int = 120_000
    corridors: int = 6
    length_s: float = 2 * DAY_S
    no_difference: bool = False
    """All corridors alike, and nothing ever wrong."""
    delay_median_s: float = 0.0
    """How long after a call's answer its outcome is known; 0 is at once."""
    missing_share: float = 0.0
    """The share of outcomes that never become known."""
    rates: FaultRates = field(default_factory=FaultRates)
    faults_file: Path | None = None
    """Faults from a file instead of drawn ones."""

    def __post_init__(self) -> None:
        if not 1 <= self.payments <= MAX_PAYMENTS:
            raise ValueError(f"payments: {self.payments} is not within 1 and {MAX_PAYMENTS}")
        if not 2 <= self.corridors <= MAX_CORRIDORS:
            raise ValueError(f"corridors: {self.corridors} is not within 2 and {MAX_CORRIDORS}")
        if not 0.0 <= self.missing_share < 1.0:
            raise ValueError(f"missing_share: {self.missing_share} is not within 0 and 1")
        if self.delay_median_s < 0.0 or self.length_s < HOUR_S:
            raise ValueError("delay_median_s is negative, or length_s below an hour")


@dataclass(frozen=True)
class Contexts:
    """What is known of each payment before it is sent: positions in REGIONS and so on."""

    time_s: Floats
    region: Integers
    network: Integers
    funding: Integers
    currency: Integers
    amount_minor: Integers
    recurring: Truths
    velocity: Integers
    retry: Truths


@dataclass(frozen=True)
class World:
    """What is so. Only `contexts` and `allowed` are for choosers to see."""

    seed: int
    settings: Settings
    faults: Faults
    contexts: Contexts
    allowed: Truths
    usual_approval: Floats
    """Approval as it was before the first shift: what operators knew when they wrote rules."""
    approval: Floats
    """How likely the issuer approves, once asked."""
    technical: Floats
    """How likely the corridor fails for technical reasons, time-outs included."""
    timeout_share: Floats
    """How much of `technical` is time-outs."""
    customer_error: Floats
    """How likely the customer's own error ends it, on whatever corridor; shape (payments,)."""
    latency_s: Floats
    """How long a call takes that does not time out."""
    in_incident: Truths
    """Whether an incident is under way in a corridor that the payment may take; (payments,)."""
    draws: Floats
    """Uniform numbers by payment: technical, time-out, customer, issuer, missing, delay."""

    @property
    def success(self) -> Floats:
        """How likely a payment succeeds, by corridor; -1 where it may not go."""
        chance = (1 - self.technical) * (1 - self.customer_error[:, None]) * self.approval
        return np.where(self.allowed, chance, -1.0)


def make_world(seed: int, settings: Settings | None = None) -> World:
    """The world of a seed; the same for the same seed, settings and NumPy."""
    settings = settings or Settings()
    draw = np.random.default_rng(seed)
    contexts = _contexts(draw, settings)
    faults = _faults(draw, settings)
    difficulty = _difficulty(draw, contexts)
    advantage = _advantage(draw, contexts, settings.corridors)
    if settings.no_difference:
        advantage[:] = 0.0
    usual = _logistic(difficulty[:, None] + advantage)
    shifted = difficulty[:, None] + advantage + _shifts(contexts, faults, settings.corridors)
    allowed = _allowed(draw, contexts, settings.corridors)
    technical = np.full(shifted.shape, 0.003)
    if not settings.no_difference:
        technical *= draw.uniform(0.4, 1.8, settings.corridors)
    timeouts = technical * 0.3
    approval = _logistic(shifted)
    slow = np.ones(shifted.shape)
    touched = np.zeros(shifted.shape, dtype=np.bool_)
    for incident in faults.incidents:
        share = _share(contexts, incident)
        column = incident.corridor
        touched[:, column] |= share > 0
        if incident.effect == "DECLINE":
            approval[:, column] *= 1 - share
            continue
        technical[:, column] = 1 - (1 - technical[:, column]) * (1 - share)
        if incident.effect == "TIMEOUT":
            timeouts[:, column] = 1 - (1 - timeouts[:, column]) * (1 - share)
        # What is not lost is slower, too, the more is lost.
        slow[:, column] *= 1 + 4 * share
    usual_latency = draw.uniform(0.7, 1.6, (1, settings.corridors))
    spread = draw.lognormal(0.0, 0.4, (shifted.shape[0], 1))
    error = np.full(settings.payments, 0.035) + 0.03 * contexts.retry + 0.015 * contexts.velocity
    return World(
        seed=seed,
        settings=settings,
        faults=faults,
        contexts=contexts,
        allowed=allowed,
        usual_approval=usual,
        approval=approval,
        technical=technical,
        timeout_share=np.minimum(timeouts / technical, 1.0),
        customer_error=error,
        latency_s=np.minimum(usual_latency * spread * slow, TIMEOUT_S - 1),
        in_incident=np.asarray((touched & allowed).any(axis=1), dtype=np.bool_),
        draws=draw.random((settings.payments, 6)),
    )


def _faults(draw: np.random.Generator, settings: Settings) -> Faults:
    if settings.faults_file is not None:
        return read_faults(
            settings.faults_file,
            corridors=settings.corridors,
            regions=REGIONS,
            networks=NETWORKS,
            length_s=settings.length_s,
        )
    faults = draw_faults(
        draw,
        corridors=settings.corridors,
        regions=REGIONS,
        networks=NETWORKS,
        length_s=settings.length_s,
        rates=settings.rates,
    )
    return Faults() if settings.no_difference else faults


def _contexts(draw: np.random.Generator, settings: Settings) -> Contexts:
    """Payments by a daily course that is shifted from region to region."""
    count = settings.payments
    region = draw.choice(len(REGIONS), count, p=(0.32, 0.28, 0.14, 0.14, 0.12))
    peak_h = np.array([14.0, 20.0, 14.5, 19.0, 8.0])[region]
    time_s = draw.uniform(0.0, settings.length_s, count)
    # By rejection, all at once: what falls into the night is drawn anew a few times.
    for _ in range(6):
        level = 0.55 + 0.45 * np.cos((time_s / HOUR_S - peak_h) * 2 * math.pi / 24)
        rejected = draw.random(count) > level
        time_s = np.where(rejected, draw.uniform(0.0, settings.length_s, count), time_s)
    order = np.argsort(time_s, kind="stable")
    mix = np.array(
        [
            [0.48, 0.44, 0.04, 0.04],
            [0.52, 0.28, 0.14, 0.06],
            [0.55, 0.36, 0.07, 0.02],
            [0.42, 0.40, 0.04, 0.14],
            [0.40, 0.33, 0.07, 0.20],
        ]
    )
    network = (draw.random(count)[:, None] > np.cumsum(mix[region], axis=1)[:, :3]).sum(axis=1)
    foreign = draw.random(count) < 0.15
    currency = np.where(foreign, draw.integers(0, len(CURRENCIES), count), region)
    return Contexts(
        time_s=time_s[order],
        region=region[order],
        network=network[order],
        funding=draw.choice(len(FUNDINGS), count, p=(0.42, 0.50, 0.08)),
        currency=currency[order],
        amount_minor=np.maximum(draw.lognormal(8.3, 1.1, count), 50).astype(np.int64),
        recurring=draw.random(count) < 0.35,
        velocity=draw.choice(3, count, p=(0.82, 0.13, 0.05)),
        retry=draw.random(count) < 0.06,
    )


def _difficulty(draw: np.random.Generator, contexts: Contexts) -> Floats:
    """Log-odds of approval that are the payment's own, on whatever corridor."""
    amount = np.log(contexts.amount_minor / 4_000.0)
    log_odds = (
        2.55
        + np.array([0.2, 0.1, 0.25, -0.6, -0.1])[contexts.region]
        + np.array([0.0, 0.0, -0.1, -0.3])[contexts.network]
        + np.array([0.15, 0.0, -0.8])[contexts.funding]
        - 0.15 * np.maximum(amount, 0.0)
        - 0.2 * contexts.recurring
        + np.array([0.0, -0.2, -0.7])[contexts.velocity]
        - 0.9 * contexts.retry
        # What no bucket says: customers differ.
        + draw.normal(0.0, 0.4, len(contexts.time_s))
    )
    return np.asarray(log_odds, dtype=np.float64)


def _advantage(draw: np.random.Generator, contexts: Contexts, corridors: int) -> Floats:
    """Log-odds that a corridor adds, by what is known of the payment; (payments, corridors)."""
    c, regions, networks = corridors, len(REGIONS), len(NETWORKS)
    region, network, funding = contexts.region, contexts.network, contexts.funding
    by_region = draw.normal(0.0, 0.35, (regions, c))
    # Acquired where the card is at home.
    by_region[draw.integers(0, regions, c), np.arange(c)] += 0.4
    amount = np.digitize(contexts.amount_minor, (1_000, 5_000, 20_000, 100_000))
    phase = draw.uniform(0.0, 24.0, (regions, c))
    swing = draw.uniform(0.0, 0.3, (regions, c))
    hour = (contexts.time_s / HOUR_S)[:, None]
    return np.asarray(
        draw.normal(0.0, 0.15, c)
        + by_region[region]
        + draw.normal(0.0, 0.2, (networks, c))[network]
        + draw.normal(0.0, 0.2, (len(FUNDINGS), c))[funding]
        + draw.normal(0.0, 0.2, (2, c))[contexts.recurring.astype(np.int64)]
        + draw.normal(0.0, 0.15, (5, c))[amount]
        + draw.normal(0.0, 0.10, (len(CURRENCIES), c))[contexts.currency]
        + draw.normal(0.0, 0.18, (regions, networks, c))[region, network]
        + draw.normal(0.0, 0.15, (regions, len(FUNDINGS), c))[region, funding]
        + swing[region] * np.cos((hour - phase[region]) * 2 * math.pi / 24),
        dtype=np.float64,
    )


def _shifts(contexts: Contexts, faults: Faults, corridors: int) -> Floats:
    moved = np.zeros((len(contexts.time_s), corridors))
    for shift in faults.shifts:
        hit = _scope(contexts, shift.region, shift.network) & (contexts.time_s >= shift.start_s)
        moved[hit, shift.corridor] += shift.log_odds
    return moved


def _allowed(draw: np.random.Generator, contexts: Contexts, corridors: int) -> Truths:
    """Corridors that a payment may take: not each takes every network, and some cards are bound."""
    count = len(contexts.time_s)
    takes = draw.random((len(REGIONS), len(NETWORKS), corridors)) < 0.88
    # Somebody takes everything.
    takes[:, :, 0] = True
    takes[:, :, 1] = True
    allowed = takes[contexts.region, contexts.network].copy()
    bound = draw.random(count) < 0.05
    only = np.where(draw.random(count) < 0.5, 0, 1)
    allowed[bound] = False
    allowed[bound, only[bound]] = True
    return np.asarray(allowed, dtype=np.bool_)


def _share(contexts: Contexts, incident: Incident) -> Floats:
    """The share of payments at each payment's time that the incident hits, 0 where it does not."""
    since = contexts.time_s - incident.start_s
    during = (since >= 0) & (since < incident.duration_s)
    grown = np.clip(since / incident.ramp_s, 0.0, 1.0) if incident.ramp_s else np.ones_like(since)
    hit = during & _scope(contexts, incident.region, incident.network)
    return np.asarray(np.where(hit, incident.severity * grown, 0.0), dtype=np.float64)


def _scope(contexts: Contexts, region: str | None, network: str | None) -> Truths:
    hit = np.ones(len(contexts.time_s), dtype=np.bool_)
    if region is not None:
        hit &= contexts.region == REGIONS.index(region)
    if network is not None:
        hit &= contexts.network == NETWORKS.index(network)
    return hit


def _logistic(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), dtype=np.float64)

"""Failures, slow answers, calls that hang, and issuers who decline what they usually approve."""

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.health import (
    APPROVED_IF_HIT,
    FAILED,
    LEVELS,
    MAX_IN_FLIGHT,
    USUAL_FAILURE,
    Chain,
    Health,
    HealthSettings,
    InFlight,
    chain_at,
    ended,
    judged,
    observe,
    prognosis,
    refusal_scopes,
    with_in_flight,
)

SETTINGS = HealthSettings()


def after(health: Health, *failures: bool, network: str = "VISA", start_s: float = 0.0) -> Health:
    for n, failed in enumerate(failures):
        health = ended(health, "EU", network, start_s + n, SETTINGS, failed=failed, latency_s=1.0)
    return health


def failure(health: Health, now_s: float, region: str = "EU", network: str = "VISA") -> float:
    return prognosis(health, region, network, now_s, SETTINGS).failure


def test_a_new_corridor_is_nearly_well() -> None:
    assert USUAL_FAILURE < failure(Health(), 0.0) < 0.05


def test_one_failure_of_many_moves_little_and_three_in_a_row_much() -> None:
    well = after(Health(), *[False] * 100)
    assert failure(after(well, True, start_s=100.0), 101.0) < 0.1
    assert failure(after(well, True, True, True, start_s=100.0), 103.0) > 0.5


def test_it_recovers_by_answers_and_by_time() -> None:
    ill = after(Health(), *[True] * 10)
    assert failure(ill, 10.0) > 0.8
    assert failure(after(ill, *[False] * 10, start_s=10.0), 20.0) < 0.1
    later = [failure(ill, 10.0 + 600.0 * n) for n in range(40)]
    assert later == sorted(later, reverse=True)
    assert later[-1] < 0.1


def test_an_incident_of_one_region_is_not_that_of_others() -> None:
    health = Health()
    for n in range(40):
        health = ended(
            health,
            "EU" if n % 2 else "US",
            "VISA",
            float(n),
            SETTINGS,
            failed=bool(n % 2),
            latency_s=1.0,
        )
    assert failure(health, 40.0, "EU") > 0.8
    assert failure(health, 40.0, "US") < 0.1


def test_a_call_that_hangs_counts_before_it_ends() -> None:
    health = after(Health(), *[False] * 30)
    hanging = [InFlight("a", "EU", "VISA", 30.0 + n) for n in range(4)]

    def looked_at(now_s: float) -> float:
        return failure(with_in_flight(health, hanging, now_s, SETTINGS), now_s)

    assert looked_at(34.5) == failure(health, 34.5)
    assert looked_at(34.5) < looked_at(40.0) < looked_at(46.0)
    assert looked_at(46.0) > 0.3


def test_only_so_many_hanging_calls_are_looked_at() -> None:
    # The latest sent ones; those before are of another region.
    calls = [InFlight("a", "US", "VISA", float(n)) for n in range(5)]
    calls += [InFlight("a", "EU", "VISA", 10.0 + n) for n in range(MAX_IN_FLIGHT)]
    looked = with_in_flight(Health(), calls, 300.0, SETTINGS)
    assert "region:EU" in looked.chains
    assert "region:US" not in looked.chains


def test_a_failure_that_is_known_late_counts_less() -> None:
    def told(age_s: float) -> float:
        health = ended(
            Health(), "EU", "VISA", 0.0, SETTINGS, failed=True, latency_s=1.0, age_s=age_s
        )
        return failure(health, 0.0)

    assert told(0.0) > told(600.0) > told(7_200.0) > failure(Health(), 0.0)


def test_a_time_out_counts_and_says_nothing_of_the_latency() -> None:
    health = ended(
        Health(), "EU", "VISA", 0.0, SETTINGS, failed=True, timed_out=True, latency_s=None
    )
    assert failure(health, 0.0) > failure(Health(), 0.0)
    assert health.log_latency == Health().log_latency


def test_the_usual_latency_is_learnt() -> None:
    health = Health()
    for n in range(400):
        health = ended(health, "EU", "VISA", float(n), SETTINGS, failed=False, latency_s=6.0)
    assert health.usual_latency_s == pytest.approx(6.0, rel=0.05)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0.0, 5_000.0), st.sampled_from(["EU", "US"])),
        max_size=30,
    )
)
def test_chances_stay_chances(events: list[tuple[bool, float, str]]) -> None:
    health, now_s = Health(), 0.0
    for failed, wait_s, region in events:
        now_s += wait_s
        health = ended(health, region, "VISA", now_s, SETTINGS, failed=failed, latency_s=1.0)
        for chain in health.chains.values():
            assert min(chain.levels) >= 0.0
            assert chain.incident <= 1.0 + 1e-9
        seen = prognosis(health, region, "VISA", now_s, SETTINGS)
        assert 0.0 <= seen.failure <= 1.0
        assert 0.0 <= seen.incident <= 1.0


def brute_force(chains: Sequence[Chain], if_hit: float, if_not: float) -> list[float]:
    """Of the first chain: each level's chance after evidence, by all states of all chains."""
    shares = (0.0, *LEVELS)
    chances = [(1.0 - chain.incident, *chain.levels) for chain in chains]
    sums = [0.0] * len(shares)
    for states in itertools.product(range(len(shares)), repeat=len(chains)):
        prior = math.prod(chances[n][state] for n, state in enumerate(states))
        hit = 1.0 - math.prod(1.0 - shares[state] for state in states)
        sums[states[0]] += prior * (hit * if_hit + (1.0 - hit) * if_not)
    return [value / sum(sums) for value in sums[1:]]


def test_evidence_is_weighed_as_by_all_cases() -> None:
    chains = [
        Chain((0.02, 0.01, 0.005), 0.0),
        Chain((0.1, 0.2, 0.3), 0.0),
        Chain((0.0, 0.05, 0.01), 0.0),
    ]
    moved = observe(chains, FAILED)
    assert moved[0].levels == pytest.approx(brute_force(chains, FAILED.if_hit, FAILED.if_not))


def test_the_spread_is_that_of_not_knowing() -> None:
    chain = Chain((0.1, 0.2, 0.3), 0.0)
    never = Chain((0, 0, 0), 0.0)
    health = Health(
        {"all": chain, "region:EU": never, "network:VISA": never}
        | {key: never for key, _ in refusal_scopes("EU", "VISA")}
    )
    seen = prognosis(health, "EU", "VISA", 0.0, SETTINGS)
    worlds = [(0.4, 0.0), *zip(chain.levels, LEVELS, strict=True)]
    failures = [(p, 1.0 - (1.0 - USUAL_FAILURE) * (1.0 - share)) for p, share in worlds]
    mean = sum(p * f for p, f in failures)
    assert seen.failure == pytest.approx(mean)
    assert seen.spread == pytest.approx(math.sqrt(sum(p * (f - mean) ** 2 for p, f in failures)))
    assert seen.incident == pytest.approx(0.6)


def refused(health: Health, *approvals: bool, chance: float, region: str = "EU") -> Health:
    for n, approved in enumerate(approvals):
        health, _ = judged(
            health, region, "VISA", float(n), SETTINGS, approved=approved, chance=chance
        )
    return health


def refusal(health: Health, now_s: float, region: str = "EU") -> float:
    return prognosis(health, region, "VISA", now_s, SETTINGS).refusal


def test_easy_payments_that_are_declined_in_a_row_are_an_incident_and_hard_ones_are_not() -> None:
    assert refusal(Health(), 0.0) < 0.02
    assert refusal(refused(Health(), *[False] * 5, chance=0.9), 5.0) > 0.8
    assert refusal(refused(Health(), *[False] * 5, chance=0.3), 5.0) < 0.05
    assert failure(refused(Health(), *[False] * 5, chance=0.9), 5.0) == failure(Health(), 5.0)


def test_declines_as_usual_are_no_incident() -> None:
    usual = [n % 10 != 9 for n in range(300)]
    assert refusal(refused(Health(), *usual, chance=0.9), 300.0) < 0.03


def test_approvals_and_time_end_an_incident_of_refusals() -> None:
    ill = refused(Health(), *[False] * 6, chance=0.9)
    assert refusal(ill, 4 * 3_600.0) < 0.05
    for n in range(4):
        ill, _ = judged(ill, "EU", "VISA", 10.0 + n, SETTINGS, approved=True, chance=0.9)
    assert refusal(ill, 14.0) < 0.25


def test_refusals_of_one_region_are_not_those_of_others() -> None:
    health = Health()
    for n in range(40):
        region = "EU" if n % 2 else "US"
        health, _ = judged(
            health, region, "VISA", float(n), SETTINGS, approved=region == "US", chance=0.9
        )
    assert refusal(health, 40.0, "EU") > 0.8
    assert refusal(health, 40.0, "US") < 0.1


def test_a_judgement_that_is_known_late_counts_less() -> None:
    def told(age_s: float) -> float:
        health, _ = judged(
            Health(), "EU", "VISA", 0.0, SETTINGS, approved=False, chance=0.9, age_s=age_s
        )
        return refusal(health, 0.0)

    assert told(0.0) > told(600.0) > told(7_200.0) > refusal(Health(), 0.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.3)), min_size=3, max_size=3
    ),
    st.floats(0.01, 0.99),
    st.booleans(),
)
def test_a_judgement_is_the_issuers_own_as_by_all_cases(
    levels: list[tuple[float, float, float]], chance: float, approved: bool
) -> None:
    chains = [Chain(one, 0.0) for one in levels]
    keys = [key for key, _ in refusal_scopes("EU", "VISA")]
    health, own = judged(
        Health(dict(zip(keys, chains, strict=True))),
        "EU", "VISA", 0.0, SETTINGS, approved=approved, chance=chance,
    )  # fmt: skip
    if_hit = APPROVED_IF_HIT if approved else 1 - APPROVED_IF_HIT
    if_not = chance if approved else 1 - chance
    moved = brute_force(chains, if_hit, if_not)
    assert health.chains[keys[0]].levels == pytest.approx(moved, abs=1e-9)
    spared = unspared = 0.0
    for states in itertools.product(range(len(LEVELS) + 1), repeat=3):
        prior = math.prod(
            (1.0 - chain.incident, *chain.levels)[state]
            for chain, state in zip(chains, states, strict=True)
        )
        missed = math.prod(1.0 - (0.0, *LEVELS)[state] for state in states)
        spared += prior * missed * if_not
        unspared += prior * (1.0 - missed) * if_hit
    assert own == pytest.approx(spared / (spared + unspared))


def test_incidents_begin_and_end_at_their_rates() -> None:
    """In small steps, by the differential equations, against the closed form."""
    onset, end = SETTINGS.onsets_per_hour["all"] / 3_600, 1 / SETTINGS.mean_duration_s
    change, step = 1 / SETTINGS.level_change_s, 0.5
    levels = [0.0, 0.1, 0.8]
    for _ in range(2_000):
        well, ill = 1 - sum(levels), sum(levels)
        levels = [
            p + step * (onset * well * s - end * p + change * (ill * s - p))
            for p, s in zip(levels, (0.40, 0.35, 0.25), strict=True)
        ]
    health = Health({"all": Chain((0.0, 0.1, 0.8), 0.0)})
    assert chain_at(health, "all", "all", 1_000.0, SETTINGS).levels == pytest.approx(
        levels, abs=2e-3
    )

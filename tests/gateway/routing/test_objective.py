"""What a success and a call are worth, to the digit."""

import math

import pytest

from gateway.routing.objective import Aim, CorridorCosts, Objective, worth

COSTS = CorridorCosts(
    attempt_fee_minor=10.0,
    success_fee_minor=30.0,
    success_fee_share=0.029,
    dispute_share=0.01,
    dispute_fee_minor=1_500.0,
    dispute_loss_share=0.8,
)
MONEY = Objective(Aim.EXPECTED_VALUE, 0.5, {"a": COSTS})
FEES = ("attempt_fee_minor", "success_fee_minor", "dispute_fee_minor")
SHARES = ("success_fee_share", "dispute_share", "dispute_loss_share")


def test_success_alone_has_no_money_in_it() -> None:
    assert worth(Objective(), "a", 10_000) == (1.0, 0.0)
    assert worth(Objective(Aim.SUCCESS, 0.5, {"a": COSTS}), "a", 10_000) == (1.0, 0.0)


def test_what_is_left_of_the_money() -> None:
    """Of a margin of 50.00: fees of 0.30 and 2.90, and a hundredth of 15.00 and 80.00 disputed."""
    of_success, of_call = worth(MONEY, "a", 10_000)
    assert of_success == pytest.approx((5_000 - 30 - 290 - 0.01 * (1_500 + 8_000)) / 5_000)
    assert of_call == pytest.approx(-10 / 5_000)


def test_a_corridor_without_costs_is_free() -> None:
    assert worth(MONEY, "b", 10_000) == (1.0, 0.0)
    assert worth(Objective(Aim.EXPECTED_VALUE), "a", 10_000) == (1.0, 0.0)


def test_the_least_amount_is_one() -> None:
    assert worth(MONEY, "a", 0) == worth(MONEY, "a", 1)
    assert worth(MONEY, "a", 2) != worth(MONEY, "a", 1)
    assert worth(MONEY, "a", 1)[1] == pytest.approx(-10 / 0.5)


def test_a_new_corridor_loses_all_of_what_is_disputed_and_has_no_fees() -> None:
    assert CorridorCosts() == CorridorCosts(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("name", SHARES)
def test_edges_of_shares(name: str) -> None:
    for share in (0.0, 1.0):
        assert getattr(CorridorCosts(**{name: share}), name) == share
    for share in (-0.01, 1.01, math.nan):
        with pytest.raises(ValueError, match=f"^{name}: {share} is not within 0 and 1$"):
            CorridorCosts(**{name: share})


@pytest.mark.parametrize("name", FEES)
def test_edges_of_fees(name: str) -> None:
    for fee in (0.0, 1e9):
        assert getattr(CorridorCosts(**{name: fee}), name) == fee
    for fee in (-0.01, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"^{name}: {fee} is not a fee$"):
            CorridorCosts(**{name: fee})


def test_edges_of_the_margin() -> None:
    for share in (1e-6, 1.0):
        assert Objective(margin_share=share).margin_share == share
    for share in (0.0, -0.1, 1.01):
        with pytest.raises(ValueError, match=f"^margin_share: {share} is not within 0 and 1$"):
            Objective(margin_share=share)

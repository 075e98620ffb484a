"""Every type of a balance transaction has its way of being booked, with a source."""

import re
from pathlib import Path

import pytest
from stripe import BalanceTransaction

from gateway.balance.types import TYPES, Way, read_types
from gateway.bookkeeping.chart import Chart, Contra, Side

SDK = Path(str(BalanceTransaction.__module__.replace(".", "/"))).name
# Network costs are billed under a type that the SDK has as a reporting category only.
BESIDES_THE_SDK = {"network_cost"}


def named_by_the_sdk() -> set[str]:
    """The types in the SDK's own documentation of `BalanceTransaction.type`."""
    import stripe

    text = (Path(stripe.__file__).parent / f"{SDK}.py").read_text()
    documented = re.search(r"Transaction type: (.*?)\. Learn more", text)
    assert documented is not None
    return set(re.findall(r"`([a-z_]+)`", documented.group(1)))


def test_every_type_of_the_sdk_has_a_row() -> None:
    known = set(TYPES.ways) | {name for name, _ in TYPES.accounts}
    assert len(named_by_the_sdk()) > 50
    assert known == named_by_the_sdk() | BESIDES_THE_SDK


def test_every_way_and_every_account_has_a_type() -> None:
    assert set(TYPES.ways.values()) == set(Way)
    assert set(TYPES.accounts.values()) == set(Contra)


def test_a_category_goes_before_its_type() -> None:
    assert TYPES.account("adjustment", "fee") is Contra.FEES
    assert TYPES.account("adjustment", "other_adjustment") is None
    assert TYPES.account("reserve_hold", "risk_reserved_funds") is Contra.RESERVES


def test_accounts_are_in_the_chart_once() -> None:
    chart = Chart("us", "USD")
    assert chart.contra(Contra.FEES) == chart.fees
    assert chart.contra(Contra.BANK) == chart.bank
    assert chart.contra(Contra.ADVANCES).normal_side is Side.CREDIT


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('books = "SHIP"', "SHIP"),
        ('books = "shells"', "shells"),
        ('books = "fees"\nsource = ""', "has no source"),
        (
            'books = "fees"\nsource = "x"\n[[type]]\ntype = "a"\nbooks = "CHARGE"\nsource = "x"',
            "two",
        ),
    ],
)
def test_a_row_that_says_nothing_is_refused(tmp_path: Path, row: str, problem: str) -> None:
    source = "" if "source" in row else '\nsource = "x"'
    file = tmp_path / "types.toml"
    file.write_text(f'category = []\n[[type]]\ntype = "a"\n{row}{source}\n')
    with pytest.raises(ValueError, match=problem):
        read_types(file)

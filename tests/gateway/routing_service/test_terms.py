"""What operators allow: a file that is read whole or refused, and the policies that follow."""

from pathlib import Path

import pytest

from gateway.routing.objective import Aim
from gateway.routing_service.regions import REGIONS, region_of
from gateway.routing_service.terms import MAX_TERMS_BYTES, RoutingTerms, TermsError, terms_of_file

FILE = """
max_share = 0.1
fall_back_margin = 0.03
aim = "EXPECTED_VALUE"
margin_share = 0.2
[costs.us]
success_fee_share = 0.029
success_fee_minor = 30
[merchants.shop_1]
off = true
[merchants.shop_2]
aim = "SUCCESS"
"""


def read(folder: Path, text: str) -> RoutingTerms:
    path = folder / "routing.toml"
    path.write_text(text, encoding="utf-8")
    return terms_of_file(path)


def test_without_a_file_the_defaults_count() -> None:
    terms = terms_of_file(None)
    assert terms == RoutingTerms()
    assert not terms.is_off_for("shop_1")
    assert terms.policy_of("shop_1").objective.aim is Aim.SUCCESS


def test_a_file_says_what_each_merchant_wants(tmp_path: Path) -> None:
    terms = read(tmp_path, FILE)
    assert terms.is_off_for("shop_1")
    assert not terms.is_off_for("shop_2")
    assert terms.fall_back_margin == 0.03
    policy = terms.policy_of("shop_3")
    assert policy.exploration.max_share == 0.1
    assert (policy.objective.aim, policy.objective.margin_share) == (Aim.EXPECTED_VALUE, 0.2)
    assert policy.objective.costs["us"].success_fee_minor == 30
    assert terms.policy_of("shop_2").objective.aim is Aim.SUCCESS
    # The order of a file says nothing.
    assert read(tmp_path, FILE).digest == terms.digest != RoutingTerms().digest


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("max_share = 1.0", "max_share"),
        ("max_share = -0.1", "max_share"),
        ("max_share = nan", "max_share"),
        ("fall_back_margin = 0", "fall_back_margin"),
        ('aim = "LUCK"', "aim"),
        ("margin_share = 0.0", "margin_share"),
        ("exploration = 0.1", "exploration"),
        ("[costs.us]\nsuccess_fee_share = 2", "costs.us.success_fee_share"),
        ("[costs.us]\nattempt_fee_minor = -1", "costs.us.attempt_fee_minor"),
        ('[costs."Not A Name"]\nattempt_fee_minor = 1', "costs"),
        ("[merchants.m_1]\noff = 7", "merchants.m_1.off"),
        ("max_share =", "TOMLDecodeError"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(TermsError, match=place.replace(".", r"\.")):
        read(tmp_path, text)


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(TermsError, match="FileNotFoundError"):
        terms_of_file(tmp_path / "nowhere.toml")
    largest = "#" * (MAX_TERMS_BYTES - 1) + "\n"
    assert read(tmp_path, largest) == RoutingTerms()
    with pytest.raises(TermsError, match="at most"):
        read(tmp_path, largest + "\n")


def test_countries_have_one_region_each() -> None:
    assert all(len(country) == 2 and country.isupper() for country in REGIONS)
    assert [region_of(code) for code in ("DE", "GB", "US", "CA", "BR", "JP", "ZA")] == [
        *("EU", "UK", "US", "CA", "LATAM", "APAC", "MEA")
    ]
    assert region_of("") == region_of("XX") == "OTHER"

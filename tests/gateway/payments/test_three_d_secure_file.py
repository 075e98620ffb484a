"""The file with the rules for 3-D Secure: what it may say, and what is wrong with others."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings
from gateway.payments.domain.history import Bucket, Window
from gateway.payments.domain.radar import RiskLevel
from gateway.payments.domain.three_d_secure import (
    RequestThreeDSecure,
    RiskCondition,
    Rule,
    VelocityCondition,
)
from gateway.payments.three_d_secure_file import (
    MAX_AMOUNT,
    MAX_RISK_DAYS,
    MAX_RULE_NAME_CHARACTERS,
    MAX_RULES,
    ThreeDSecureFileError,
    rules_of,
    rules_of_file,
)

PAGE = Path("docs/three-d-secure.md")
LEAST = {"name": "all", "request": "any"}


def test_the_example_of_the_page_is_read(tmp_path: Path) -> None:
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    path = tmp_path / "rules.toml"
    path.write_text(found[1])
    rules = rules_of_file(path)
    assert rules[1] == Rule(
        "paid-before",
        RequestThreeDSecure.AUTOMATIC,
        currencies=frozenset({"EUR"}),
        first_payment=False,
    )
    assert rules[0] == Rule(
        "risky-before",
        RequestThreeDSecure.CHALLENGE,
        risk=RiskCondition(RiskLevel.ELEVATED, timedelta(days=30)),
    )
    assert rules[2].card_velocity == VelocityCondition(Window.HOUR, Bucket.SEVERAL)
    assert rules[3].amount_from == {"EUR": 50_000, "USD": 50_000}
    assert GatewaySettings(three_d_secure_file=path).three_d_secure_rules == rules


def test_bounds_are_inclusive() -> None:
    widest = {
        "name": "n" * MAX_RULE_NAME_CHARACTERS,
        "request": "challenge",
        "amount_from": {"EUR": MAX_AMOUNT},
        "risk": {"level": "highest", "within_days": MAX_RISK_DAYS},
    }
    others = [{**LEAST, "name": f"r-{number}"} for number in range(MAX_RULES - 1)]
    assert len(rules_of({"rule": [widest, *others]})) == MAX_RULES


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": ""}, "rule.0.name"),
        ({"name": "n" * (MAX_RULE_NAME_CHARACTERS + 1)}, "rule.0.name"),
        ({"name": "With Blanks"}, "rule.0.name"),
        ({"name": "line\n"}, "rule.0.name"),
        ({"request": "always"}, "rule.0.request"),
        ({"currencies": ["EURO"]}, "rule.0.currencies.0"),
        ({"currencies": ["eur"]}, "rule.0.currencies.0"),
        ({"amount_from": {"XXY": 1}}, "rule.0.amount_from.XXY.[key]"),
        ({"amount_from": {"EUR": 0}}, "rule.0.amount_from.EUR"),
        ({"amount_from": {"EUR": MAX_AMOUNT + 1}}, "rule.0.amount_from.EUR"),
        ({"amount_from": {"EUR": 10.5}}, "rule.0.amount_from.EUR"),
        ({"amount_from": {"EUR": "10"}}, "rule.0.amount_from.EUR"),
        ({"first_payment": "yes"}, "rule.0.first_payment"),
        ({"risk": {"level": "normal", "within_days": 1}}, "rule.0.risk.level"),
        ({"risk": {"level": "highest", "within_days": 0}}, "rule.0.risk.within_days"),
        (
            {"risk": {"level": "highest", "within_days": MAX_RISK_DAYS + 1}},
            "rule.0.risk.within_days",
        ),
        ({"risk": {"level": "highest"}}, "rule.0.risk.within_days"),
        ({"card_velocity": {"window": "2h", "at_least": "few"}}, "rule.0.card_velocity.window"),
        ({"card_velocity": {"window": "1h", "at_least": 3}}, "rule.0.card_velocity.at_least"),
        ({"amount_over": {"EUR": 1}}, "rule.0.amount_over"),
    ],
)
def test_what_is_wrong_is_said_by_its_place(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ThreeDSecureFileError) as error:
        rules_of({"rule": [{**LEAST, **changes}]})
    assert str(error.value).startswith(f"{where}: "), str(error.value)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"rule": []},
        {"rule": [{**LEAST, "name": f"r-{number}"} for number in range(MAX_RULES + 1)]},
        {"rule": [LEAST], "rules": []},
    ],
)
def test_a_file_has_rules_and_nothing_else(data: dict[str, Any]) -> None:
    with pytest.raises(ThreeDSecureFileError, match=r"\Arules?: "):
        rules_of(data)


def test_no_two_rules_have_one_name() -> None:
    with pytest.raises(ThreeDSecureFileError, match="two by the name all"):
        rules_of({"rule": [LEAST, {**LEAST, "request": "challenge"}]})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("[[rule", "cannot be read"),
        ("[[rule]]\nname = 'a'\n", "rule.0.request"),
    ],
)
def test_a_gateway_does_not_start_with_a_file_that_it_cannot_use(
    tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "rules.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValidationError, match="GATEWAY_THREE_D_SECURE_FILE: ") as error:
        GatewaySettings(three_d_secure_file=path)
    assert problem in str(error.value)

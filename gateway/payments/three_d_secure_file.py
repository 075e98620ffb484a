"""The operators' rules for 3-D Secure, read from a TOML file; docs/three-d-secure.md has one."""

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.payments.domain.history import Bucket, Window
from gateway.payments.domain.radar import RiskLevel
from gateway.payments.domain.three_d_secure import (
    RequestThreeDSecure,
    RiskCondition,
    Rule,
    Rules,
    VelocityCondition,
)
from money.currencies import CURRENCIES

MAX_RULES = 50
MAX_RULE_NAME_CHARACTERS = 40
# How far back a rating may count; what Radar thought of a card longer ago says little.
MAX_RISK_DAYS = 90
MAX_AMOUNT = 99_999_999_999
_NAME = re.compile(r"[a-z0-9-]+\Z")


class ThreeDSecureFileError(Exception):
    """The file cannot be used; the text says where and why."""


def _currency(code: str) -> str:
    if code not in CURRENCIES:
        raise ValueError("no ISO 4217 currency")
    return code


def _rule_name(name: str) -> str:
    if _NAME.match(name) is None:
        raise ValueError("a name has a-z, 0-9 and -")
    return name


Currency = Annotated[str, AfterValidator(_currency)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Velocity(_Part):
    window: Literal["1h", "24h", "7d"]
    at_least: Literal["one", "few", "several", "many"]

    def condition(self) -> VelocityCondition:
        return VelocityCondition(Window(self.window), Bucket[self.at_least.upper()])


class _Risk(_Part):
    level: Literal["elevated", "highest"]
    within_days: int = Field(ge=1, le=MAX_RISK_DAYS)

    def condition(self) -> RiskCondition:
        return RiskCondition(RiskLevel(self.level), timedelta(days=self.within_days))


class _Rule(_Part):
    name: Annotated[
        str, Field(min_length=1, max_length=MAX_RULE_NAME_CHARACTERS), AfterValidator(_rule_name)
    ]
    request: Literal["any", "challenge", "automatic"]
    currencies: list[Currency] = []
    amount_from: dict[Currency, Annotated[int, Field(ge=1, le=MAX_AMOUNT)]] = {}
    first_payment: bool | None = None
    risk: _Risk | None = None
    customer_velocity: _Velocity | None = None
    card_velocity: _Velocity | None = None

    def rule(self) -> Rule:
        customer, card = self.customer_velocity, self.card_velocity
        return Rule(
            name=self.name,
            request=RequestThreeDSecure(self.request),
            currencies=frozenset(self.currencies),
            amount_from=dict(self.amount_from),
            first_payment=self.first_payment,
            risk=self.risk.condition() if self.risk is not None else None,
            customer_velocity=customer.condition() if customer is not None else None,
            card_velocity=card.condition() if card is not None else None,
        )


class _File(_Part):
    rule: list[_Rule] = Field(min_length=1, max_length=MAX_RULES)


def rules_of(data: Mapping[str, Any]) -> Rules:
    """The rules of a file that was parsed. Raises ThreeDSecureFileError."""
    try:
        read = _File.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        problems = (
            ".".join(str(part) for part in item["loc"]) + ": " + item["msg"] for item in found
        )
        raise ThreeDSecureFileError("; ".join(problems)) from None
    names = [rule.name for rule in read.rule]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ThreeDSecureFileError(f"rule: there are two by the name {twice[0]}")
    return tuple(rule.rule() for rule in read.rule)


def rules_of_file(path: Path) -> Rules:
    """The rules of a TOML file. Raises ThreeDSecureFileError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThreeDSecureFileError(f"{path} cannot be read: {error}") from None
    try:
        return rules_of(data)
    except ThreeDSecureFileError as error:
        raise ThreeDSecureFileError(f"{path} cannot be used: {error}") from None

"""Expressions of policies: what is refused when it is stored, and what the others say of facts."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.expressions import (
    FACTS,
    MAX_EXPRESSION_BYTES,
    ExpressionError,
    check_expression,
    holds,
    values_of,
)
from compliance.checks.facts import CheckFacts, Role
from compliance.checks.findings import Code, Finding, Verdict
from compliance.checks.policy import BUILT_IN, Policy, PolicyRule
from compliance.checks.rules import evaluate, verdict_of
from tests.compliance.check_facts import account, any_facts, payment, subject

# The right answers for `payment()` with these changes.
SAYS: list[tuple[str, dict[str, Any], bool]] = [
    ("amount_minor > 1000", {"amount_minor": 1_001}, True),
    ("amount_minor > 1000", {"amount_minor": 1_000}, False),
    ("amount_minor == 9007199254740992", {"amount_minor": 2**53}, True),
    ("kind == 'PAYOUT'", {}, False),
    ("customer_id == '' && !customer_known", {"customer_id": "", "customer": None}, True),
    ("merchant_country_code in ['DE', 'FR']", {}, True),
    ("merchant_known || merchant_country_code == ''", {"merchant": None}, True),
    ("country_codes.exists(c, !(c in ['DE']))", {"country_codes": ("DE", "US")}, True),
    ("country_codes.exists(c, !(c in ['DE']))", {"country_codes": ()}, False),
    ("size(owner_country_codes) == 1", {"owners": (subject(Role.OWNER),) * 2}, True),
    ("charges_enabled", {"account": account(charges_enabled=False)}, False),
    ("disabled_reason != ''", {"account": None}, False),
    ("as_of.getHours() < 6", {"as_of": datetime(2026, 11, 22, 5, 59, tzinfo=UTC)}, True),
    ("as_of < timestamp('2026-11-22T05:59:00Z')", {}, False),
]
REFUSED = [
    ("amount_minor > 1000.5", "line 1, column 14: found no matching overload"),
    ("amount > 1", "line 1, column 1: undeclared reference to 'amount'"),
    ("amount_minor >", "line 1, column 15: Syntax error"),
    ("amount_minor", "is INT, has to be BOOL"),
    ("'yes'", "is STRING, has to be BOOL"),
    ("now() > as_of", "undeclared reference to 'now'"),
    ("amount_minor.x == 1", "type 'int' cannot be the operand"),
    (
        "country_codes.all(c, country_codes.exists(d, c == d))",
        "2 of all, exists, exists_one, map and filter, 1 is the most: write two rules",
    ),
    ("(" * 40 + "true" + ")" * 40, "recursion limit"),
    ("", "Syntax error"),
]
ERRORS = ["1 / (amount_minor - amount_minor) > 1", "country_codes[7] == 'DE'"]


@pytest.mark.parametrize(("expression", "changes", "answer"), SAYS)
def test_what_expressions_say(expression: str, changes: dict[str, Any], answer: bool) -> None:
    check_expression(expression)
    assert holds(expression, values_of(payment(**changes))) is answer


@pytest.mark.parametrize(("expression", "why"), REFUSED)
def test_what_cannot_be_a_rule(expression: str, why: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        check_expression(expression)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_expression_at_its_limit() -> None:
    longest = "amount_minor > 1".ljust(MAX_EXPRESSION_BYTES)
    check_expression(longest)
    with pytest.raises(ExpressionError, match="1025 bytes, 1024 are the most"):
        check_expression(longest + " ")


@pytest.mark.parametrize("expression", ERRORS)
def test_an_error_is_no_answer(expression: str) -> None:
    check_expression(expression)
    with pytest.raises(ExpressionError):
        holds(expression, values_of(payment()))


@given(any_facts)
def test_every_fact_has_its_type_whatever_is_known(facts: CheckFacts) -> None:
    values = values_of(facts)
    assert values.keys() == FACTS.keys()
    for name in FACTS:
        assert holds(f"{name} == {name}", values)


def with_rules(*rules: PolicyRule) -> Policy:
    values = {name: getattr(BUILT_IN, name) for name in BUILT_IN.__dataclass_fields__}
    return Policy(**{**values, "version": "test-1", "rules": rules})


def test_findings_name_the_rule() -> None:
    policy = with_rules(
        PolicyRule("large", "amount_minor > 10", "REVIEW"),
        PolicyRule("never", "amount_minor > 100000", "DENY"),
        PolicyRule("broken", ERRORS[0], "DENY"),
        PolicyRule("german", "merchant_country_code == 'DE'", "DENY"),
    )
    assert evaluate(payment(), policy) == (
        Finding(Code.POLICY_RULE_DENIED, "", "german"),
        Finding(Code.POLICY_RULE_REVIEW, "", "large"),
        Finding(Code.POLICY_RULE_BROKEN, "", "broken"),
    )


RULES = st.lists(
    st.builds(
        PolicyRule,
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([expression for expression, *_ in SAYS] + ERRORS),
        st.sampled_from(["REVIEW", "DENY"]),
    ),
    max_size=4,
)


@given(any_facts, RULES)
def test_a_rule_never_makes_a_verdict_better(facts: CheckFacts, rules: list[PolicyRule]) -> None:
    without = evaluate(facts, BUILT_IN)
    found = evaluate(facts, with_rules(*rules))
    assert set(without) <= set(found)
    assert verdict_of(found) >= verdict_of(without)
    broken = {rule.name for rule in rules if rule.expression in ERRORS}
    assert broken == {f.detail for f in found if f.code is Code.POLICY_RULE_BROKEN}
    if broken:
        assert verdict_of(found) >= Verdict.REVIEW

"""The rules as pure functions: total, monotone, and right at their limits."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.checks.canonical import dumps, loads
from compliance.checks.decision import DecisionRecord, decide, replay
from compliance.checks.evidence import evidence_of
from compliance.checks.facts import (
    CheckFacts,
    ListFacts,
    Role,
    ScreeningFacts,
)
from compliance.checks.findings import TEXTS, Code, Finding, Verdict, severity
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import RULES, evaluate, verdict_of
from compliance.v1 import decision_pb2
from tests.compliance.check_facts import AS_OF, SDN, account, any_facts, payment, subject, subjects

ROOT = Path(__file__).parents[2]


def codes(facts: CheckFacts) -> list[str]:
    return [finding.code.name for finding in evaluate(facts, BUILT_IN)]


def verdict(facts: CheckFacts) -> Verdict:
    return verdict_of(evaluate(facts, BUILT_IN))


def test_codes_are_those_of_the_contract() -> None:
    contract = {
        name.removeprefix("REASON_CODE_"): number
        for name, number in decision_pb2.ReasonCode.items()
        if number
    }
    assert contract == {code.name: code.value for code in Code}
    assert set(TEXTS) == set(Code)


def test_verdicts_are_those_of_the_contract() -> None:
    assert {f"VERDICT_{verdict.name}": verdict.value for verdict in Verdict} == {
        name: number for name, number in decision_pb2.Verdict.items() if number
    }


def test_comments_of_the_contract_name_the_verdict_that_the_code_leads_to() -> None:
    text = (ROOT / "protos/compliance/v1/decision.proto").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    for code in Code:
        place = lines.index(f"REASON_CODE_{code.name} = {code.value};")
        while lines[place - 1].startswith("//"):
            place -= 1
        assert lines[place].startswith(f"// {severity(code).name}"), code


def test_no_text_for_merchants_lets_a_suspicion_be_guessed() -> None:
    suspicious = ("sanction", "list", "match", "screen", "suspici", "review", "block", "fraud")
    for code, (_, merchant_text) in TEXTS.items():
        assert not [word for word in suspicious if word in merchant_text.lower()], code
    # What may be a suspicion reads as what is none.
    assert TEXTS[Code.MERCHANT_SANCTIONED][1] == TEXTS[Code.KYC_REJECTED][1]
    assert TEXTS[Code.MERCHANT_MATCH_OPEN][1] == TEXTS[Code.SNAPSHOT_STALE][1]


def test_who_sends_the_wrong_id_is_told_so() -> None:
    # Nothing is being checked, and waiting does not help.
    told = [TEXTS[code][1] for code in (Code.MERCHANT_UNKNOWN, Code.CUSTOMER_UNKNOWN)]
    assert all("is registered under this id" in text for text in told)
    assert "merchant" in told[0]
    assert "customer" in told[1]
    mistakes = {Code.MERCHANT_UNKNOWN, Code.CUSTOMER_UNKNOWN, Code.SUBJECT_MISMATCH}
    assert not {TEXTS[code][1] for code in mistakes} & {
        text for code, (_, text) in TEXTS.items() if code not in mistakes
    }


def test_nothing_found_is_allowed() -> None:
    assert codes(payment()) == []
    assert verdict(payment()) is Verdict.ALLOW


@given(any_facts)
def test_every_input_gets_a_verdict(facts: CheckFacts) -> None:
    assert verdict(facts) in Verdict
    assert len(evidence_of(facts, BUILT_IN)) >= 1


@given(any_facts, st.permutations(RULES))
def test_the_order_of_rules_counts_for_nothing(facts: CheckFacts, rules: Any) -> None:
    shuffled = {finding for rule in rules for finding in rule(facts, BUILT_IN)}
    by_precedence = sorted(shuffled, key=lambda finding: finding.precedence)
    assert tuple(by_precedence) == evaluate(facts, BUILT_IN)


@given(any_facts, st.sampled_from(Code))
def test_one_more_finding_never_makes_a_verdict_better(facts: CheckFacts, code: Code) -> None:
    found = evaluate(facts, BUILT_IN)
    assert verdict_of((*found, Finding(code))) >= verdict_of(found)


@given(any_facts, subjects(Role.OWNER))
def test_one_more_owner_never_makes_a_verdict_better(facts: CheckFacts, owner: Any) -> None:
    more = replace(facts, owners=(*facts.owners, owner))
    assert verdict(more) >= verdict(facts)


@given(any_facts, st.booleans())
def test_one_more_match_never_makes_a_verdict_better(facts: CheckFacts, confirmed: bool) -> None:
    if facts.merchant is None:
        return
    field = "confirmed_match_ids" if confirmed else "open_match_ids"
    more: dict[str, Any] = {field: (*getattr(facts.merchant, field), "mat_9")}
    worse = replace(facts.merchant, **more)
    assert verdict(replace(facts, merchant=worse)) >= verdict(facts)


@given(any_facts, st.integers(0, 2**53))
def test_a_larger_amount_never_makes_a_verdict_better(facts: CheckFacts, more: int) -> None:
    larger = replace(facts, amount_minor=facts.amount_minor + more)
    assert verdict(larger) >= verdict(facts)


@given(any_facts, st.sampled_from(["lists", "account", "customer", "merchant"]))
def test_losing_evidence_never_allows_what_was_not_allowed(facts: CheckFacts, lost: str) -> None:
    """Evidence of a reason to deny can be lost; what is left is still not allowed."""
    if verdict(facts) is Verdict.ALLOW:
        return
    nothing: dict[str, Any] = {lost: () if lost == "lists" else None}
    without = replace(facts, **nothing)
    needed = (
        lost in ("lists", "merchant")
        or (lost == "account" and facts.expected_account_id)
        or (lost == "customer" and facts.customer_id)
    )
    if needed:
        assert verdict(without) > Verdict.ALLOW


@given(any_facts)
def test_a_stored_decision_replays_bit_for_bit(facts: CheckFacts) -> None:
    record = decide(
        facts,
        BUILT_IN,
        decision_id="dec_1",
        request_id="r",
        reference_id="p",
        record_time=AS_OF,
    )
    stored = loads(dumps(record), DecisionRecord)
    assert stored == record
    assert dumps(stored) == dumps(record)
    assert replay(stored, BUILT_IN) == (verdict(facts), evaluate(facts, BUILT_IN), True)


LIMIT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(minutes=15), []),
        (timedelta(minutes=15) + LIMIT, ["SNAPSHOT_STALE"]),
        (timedelta(minutes=-1), []),
        (timedelta(minutes=-1) - LIMIT, ["SNAPSHOT_STALE"]),
    ],
)
def test_snapshot_age(age: timedelta, expected: list[str]) -> None:
    assert codes(payment(account=account(fetch_time=AS_OF - age))) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=24), []),
        (timedelta(hours=24) + LIMIT, ["LIST_AGING"]),
        (timedelta(hours=48), ["LIST_AGING"]),
        (timedelta(hours=48) + LIMIT, ["LIST_STALE"]),
    ],
)
def test_list_age(age: timedelta, expected: list[str]) -> None:
    assert codes(payment(lists=(ListFacts(SDN, 7, AS_OF - age),))) == expected


@pytest.mark.parametrize(
    ("currency", "amount", "customer", "expected"),
    [
        ("EUR", 1_000_000, True, []),
        ("EUR", 1_000_001, True, ["AMOUNT_OVER_REVIEW_LIMIT"]),
        ("EUR", 10_000_000, True, ["AMOUNT_OVER_REVIEW_LIMIT"]),
        ("EUR", 10_000_001, True, ["AMOUNT_OVER_MAXIMUM", "AMOUNT_OVER_REVIEW_LIMIT"]),
        ("EUR", 100_000, False, []),
        ("EUR", 100_001, False, ["PAYER_UNIDENTIFIED"]),
        ("JPY", 1_500_000, True, []),
        ("JPY", 1_500_001, True, ["AMOUNT_OVER_REVIEW_LIMIT"]),
        ("KWD", 3_000_000, True, []),
        ("KWD", 3_000_001, True, ["AMOUNT_OVER_REVIEW_LIMIT"]),
        ("XTS", 1, True, ["CURRENCY_NOT_COVERED"]),
    ],
)
def test_amount_limits(currency: str, amount: int, customer: bool, expected: list[str]) -> None:
    facts = payment(currency_code=currency, amount_minor=amount)
    if not customer:
        facts = replace(facts, customer=None, customer_id="")
    assert codes(facts) == expected


@pytest.mark.parametrize(
    ("left", "expected"),
    [(LIMIT, []), (timedelta(0), ["KYC_EXPIRED"]), (-LIMIT, ["KYC_EXPIRED"])],
)
def test_kyc_expiry(left: timedelta, expected: list[str]) -> None:
    assert codes(payment(merchant=subject(kyc_expire_time=AS_OF + left))) == expected


@pytest.mark.parametrize(
    ("list_version", "profile_revision", "expected"),
    [
        (7, 1, []),
        (8, 1, []),
        (6, 1, ["SCREENING_PENDING"]),
        (7, 2, ["SCREENING_PENDING"]),
        (7, 0, ["SCREENING_PENDING"]),
    ],
)
def test_a_screening_holds_for_one_profile_and_from_one_version_on(
    list_version: int, profile_revision: int, expected: list[str]
) -> None:
    screening = ScreeningFacts(SDN, list_version, profile_revision, AS_OF)
    assert codes(payment(merchant=subject(screenings=(screening,)))) == expected


def test_an_owner_who_left_stops_nothing() -> None:
    owner = subject(Role.OWNER, state="CLOSED", kyc_state="REJECTED")
    assert codes(payment(owners=(owner,))) == []


def test_more_owners_than_can_be_looked_at_wait_for_a_person() -> None:
    assert codes(payment(owners_truncated=True)) == ["SCREENING_PENDING"]


def test_the_worst_comes_first() -> None:
    facts = payment(
        merchant=subject(state="BLOCKED", open_match_ids=("mat_1",)),
        country_codes=("KP",),
        lists=(ListFacts(SDN, 7, AS_OF - timedelta(hours=30)),),
    )
    assert codes(facts) == [
        "COUNTRY_PROHIBITED",
        "MERCHANT_BLOCKED",
        "MERCHANT_MATCH_OPEN",
        "LIST_AGING",
    ]
    assert verdict(facts) is Verdict.DENY

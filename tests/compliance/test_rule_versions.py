"""Decisions of earlier releases are replayed by the rules and the policy that they were made by.

`rules_1` was written by the last release whose records say no version of the rules: the policy's
document as stored, and decisions, one a line. `FINDINGS_OF_RULES_1` is what that release found.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from compliance.checks.canonical import dumps, loads
from compliance.checks.decision import DecisionRecord, decide, replay
from compliance.checks.earlier_rules import rules_of
from compliance.checks.facts import (
    CapabilityFacts,
    CheckFacts,
    CheckKind,
    ExternalAccountFacts,
    RequirementFacts,
    Role,
    TaxIdFacts,
)
from compliance.checks.findings import Code, Finding, Verdict
from compliance.checks.history import HistoryFacts, Scope, Window
from compliance.checks.policy import BUILT_IN, Policy
from compliance.checks.rules import RULES_VERSION, evaluate
from tests.compliance.check_facts import AS_OF, account, payment, rates, subject

STORED = Path(__file__).parent / "rules_1"
FINDINGS_OF_RULES_1 = "786084d7b8890666586c181d1e4ab04be79fc43d1d0c3fb0e36e152104f429b7"
# What the last release of rules 2 found of the same, every second account with an errored one.
FINDINGS_OF_RULES_2 = "00f935d8f630849528e1b889edc756b546aadb7730c3ad6f3cfca3d95654366a"
# What the last release of rules 3 found, with a busy past of every second.
FINDINGS_OF_RULES_3 = "9ddf77c6cc67e88984834387be69e1385901446621d39899b9a32101fe73459a"
SAMPLES = 3_000
# Has no factor in common with the number of combinations, so that no two samples are the same.
STRIDE = 7_919

CHOICES: dict[str, tuple[Any, ...]] = {
    "kind": tuple(CheckKind),
    "charges_enabled": (True, False),
    "payouts_enabled": (True, False),
    "disabled_reason": ("", "rejected.fraud", "under_review", "requirements.past_due", "new.word"),
    "card_payments": ("ACTIVE", "INACTIVE", "PENDING", "UNREQUESTED", None),
    "transfers": ("ACTIVE", "INACTIVE", "PENDING", None),
    "legacy_payments": ("ACTIVE", None),
    "requirement": (
        None,
        ("company.tax_id", 4, None, (), False),
        ("company.tax_id", 4, timedelta(days=-9), ("card_payments",), False),
        ("company.tax_id", 4, timedelta(days=9), ("transfers",), False),
        ("external_account", 4, None, (), False),
        ("individual.dob", 2, timedelta(0), (), False),
        ("individual.dob", 3, timedelta(days=14), ("card_payments",), False),
        ("individual.dob", 1, timedelta(0), (), True),
    ),
    "tax_id": (
        None,
        ("VERIFIED", "INVALID", True),
        ("VERIFIED", "VALID", False),
        ("PENDING", "INVALID", True),
        ("UNVERIFIED", "UNSPECIFIED", True),
    ),
    "country": ("DE", "SY", "IR", "CU", "KP"),
    "owner_country": ("DE", "SY"),
}


def samples() -> Iterator[CheckFacts]:
    """Facts spread evenly over all combinations of the choices."""
    for number in range(SAMPLES):
        rest, chosen = number * STRIDE, {}
        for name, choices in CHOICES.items():
            rest, index = divmod(rest, len(choices))
            chosen[name] = choices[index]
        yield facts_of(**chosen)


def facts_of(
    *,
    kind: CheckKind,
    charges_enabled: bool,
    payouts_enabled: bool,
    disabled_reason: str,
    requirement: tuple[Any, ...] | None,
    tax_id: tuple[Any, ...] | None,
    country: str,
    owner_country: str,
    **capabilities: str | None,
) -> CheckFacts:
    if requirement:
        field, severity, left, concerned, future = requirement
        deadline = None if left is None else AS_OF + left
        wanted = (RequirementFacts(field, severity, deadline, concerned, future),)
    return payment(
        kind=kind,
        country_codes=(country,),
        owners=(subject(Role.OWNER, country_code=owner_country),),
        account=account(
            charges_enabled=charges_enabled,
            payouts_enabled=payouts_enabled,
            disabled_reason=disabled_reason,
            capabilities=tuple(
                CapabilityFacts(name, state, "")
                for name, state in sorted(capabilities.items())
                if state
            ),
            requirements=wanted if requirement else (),
            tax_ids=(TaxIdFacts(*tax_id),) if tax_id else (),
        ),
    )


def policy_of_rules_1() -> Policy:
    return loads(STORED.joinpath("built_in_2.json").read_text(), Policy)


def stored_decisions() -> list[str]:
    return STORED.joinpath("decisions.jsonl").read_text().splitlines()


def _as_then(findings: tuple[Finding, ...]) -> str:
    """Findings as they were written before anything could be approved."""
    assert not any(found.approved for found in findings)
    return dumps(
        [
            {"code": found.code, "subject_id": found.subject_id, "detail": found.detail}
            for found in findings
        ]
    )


def test_the_first_rules_find_what_they_always_found() -> None:
    policy = policy_of_rules_1()
    found = "\n".join(_as_then(evaluate(facts, policy, rules_of(1))) for facts in samples())
    assert hashlib.sha256(found.encode()).hexdigest() == FINDINGS_OF_RULES_1


def test_the_second_rules_find_what_they_always_found() -> None:
    found: list[str] = []
    for number, facts in enumerate(samples()):
        assert facts.account is not None
        seen = replace(facts.account, external_account_errored=number % 2 == 0)
        found.append(_as_then(evaluate(replace(facts, account=seen), BUILT_IN, rules_of(2))))
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == FINDINGS_OF_RULES_2


@pytest.mark.parametrize("kind", CheckKind)
def test_the_second_rules_know_no_currency_of_a_bank_account(kind: CheckKind) -> None:
    """What later snapshots add changes nothing of a decision by them."""
    seen = account(
        external_accounts=(ExternalAccountFacts("ba_1", "EUR", "ERRORED", True),),
        requirements=(RequirementFacts("ba_1.document", 4, None, (), False),),
    )
    facts = payment(kind=kind, account=seen)
    found = [finding.code.name for finding in evaluate(facts, BUILT_IN, rules_of(2))]
    assert found == ["REQUIREMENT_DUE_SOON"]
    now = [finding.code.name for finding in evaluate(facts, BUILT_IN)]
    payout = ["EXTERNAL_ACCOUNT_ERRORED", "REQUIREMENT_DUE_SOON"]
    assert now == (payout if kind is CheckKind.PAYOUT else [])


@pytest.mark.parametrize("record", stored_decisions())
def test_a_decision_that_says_no_rules_replays_bit_for_bit(record: str) -> None:
    stored = loads(record, DecisionRecord)
    assert stored.rules_version == 1
    _, findings, identical = replay(stored, policy_of_rules_1())
    assert identical
    assert _as_then(findings) == dumps(json.loads(record)["findings"])


def test_what_was_denied_in_syria_is_still_replayed_as_denied_and_decided_otherwise_now() -> None:
    stored = [loads(record, DecisionRecord) for record in stored_decisions()]
    denied = [record for record in stored if record.verdict == "DENY"]
    assert {finding.detail for record in denied for finding in record.findings} == {"SY"}
    for record in denied:
        assert replay(record, policy_of_rules_1())[0] is Verdict.DENY
        assert evaluate(record.facts, BUILT_IN) == ()


def test_a_record_says_which_rules_decided_and_a_later_number_is_replayed_by_the_rules_of_now() -> (
    None
):
    facts = next(samples())
    made = decide(
        facts, BUILT_IN, decision_id="d", request_id="r", reference_id="p", record_time=AS_OF
    )
    assert made.rules_version == RULES_VERSION
    assert replay(loads(dumps(made), DecisionRecord), BUILT_IN)[2]
    later = replace(made, rules_version=RULES_VERSION + 1)
    assert replay(later, BUILT_IN)[1] == evaluate(facts, BUILT_IN)


def test_the_second_rules_look_at_nothing_that_happened_before() -> None:
    without = replace(BUILT_IN, history_limits=())
    many = (999,) * len(Window)
    often = HistoryFacts(Scope.CUSTOMER, many, many, many, many)
    for facts in samples():
        then = replace(facts, history=(often,))
        assert evaluate(then, BUILT_IN, rules_of(2)) == evaluate(facts, without)
    now = evaluate(payment(history=(often,)), BUILT_IN)
    assert Code.CUSTOMER_VELOCITY in {found.code for found in now}


def test_the_third_rules_know_no_rates() -> None:
    """What later releases know of a merchant changes nothing of a decision by them."""
    policy = replace(BUILT_IN, unknown_rates_outcome="DENY")
    for facts in samples():
        bad = replace(facts, rates=rates(payments=500, disputes=500, refunds=500))
        assert evaluate(bad, policy, rules_of(3)) == evaluate(facts, BUILT_IN)
    now = evaluate(payment(rates=rates(payments=500, disputes=500)), policy)
    assert [found.code for found in now] == [Code.CHARGEBACK_RATE] * 2


def test_the_third_rules_find_what_they_always_found() -> None:
    """Under the policy of then, by which the history is judged, too."""
    policy = replace(BUILT_IN, version="built-in-4", rate_limits=(), rates_max_age=None)
    many = (999,) * len(Window)
    found: list[str] = []
    for number, facts in enumerate(samples()):
        scope = list(Scope)[number % len(Scope)]
        history = (HistoryFacts(scope, many, many, many, many),) if number % 2 else ()
        found.append(dumps(evaluate(replace(facts, history=history), policy, rules_of(3))))
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == FINDINGS_OF_RULES_3

"""What a connected account's state at Stripe means for a charge, a transfer and a payout."""

from datetime import timedelta
from typing import Any

import pytest

from compliance.checks.facts import (
    CapabilityFacts,
    CheckFacts,
    CheckKind,
    RequirementFacts,
    TaxIdFacts,
)
from compliance.checks.findings import Verdict
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import evaluate, verdict_of
from tests.compliance.check_facts import AS_OF, account, payment

LIMIT = timedelta(microseconds=1)


def codes(facts: CheckFacts) -> list[str]:
    return [finding.code.name for finding in evaluate(facts, BUILT_IN)]


def verdict(facts: CheckFacts) -> Verdict:
    return verdict_of(evaluate(facts, BUILT_IN))


SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("severity_", "left", "future", "warns"),
    [
        (1, timedelta(days=1), False, True),
        (3, timedelta(days=14), False, True),
        (3, timedelta(days=14) + LIMIT, False, False),
        (2, timedelta(hours=1), False, True),
        (2, timedelta(hours=-1), False, True),
        (3, timedelta(days=-40), False, True),
        (1, timedelta(hours=-1), True, True),
        (4, timedelta(days=30), False, True),
        (4, timedelta(days=-30), False, True),
    ],
)
def test_requirements_warn_and_stop_nothing(
    severity_: int, left: timedelta, future: bool, warns: bool
) -> None:
    """Stripe decides when Stripe stops; it lets accounts go on for weeks after a deadline."""
    requirement = RequirementFacts("company.tax_id", severity_, AS_OF + left, (), future)
    for kind in CheckKind:
        facts = payment(kind=kind, account=account(requirements=(requirement,)))
        assert codes(facts) == (["REQUIREMENT_DUE_SOON"] if warns else [])
        assert verdict(facts) is Verdict.ALLOW


def test_what_stripe_stopped_is_denied_and_the_requirement_says_why() -> None:
    requirement = RequirementFacts("company.tax_id", 4, None, (), future=False)
    facts = payment(account=account(charges_enabled=False, requirements=(requirement,)))
    assert codes(facts) == ["CHARGES_DISABLED", "REQUIREMENT_DUE_SOON"]
    assert verdict(facts) is Verdict.DENY


@pytest.mark.parametrize(
    ("severity_", "future", "asked", "left", "expected"),
    [
        (3, False, timedelta(minutes=2), -timedelta(minutes=2) + LIMIT, ["SNAPSHOT_STALE"]),
        (3, False, timedelta(minutes=2), timedelta(0), ["SNAPSHOT_STALE"]),
        (3, False, timedelta(minutes=2), LIMIT, []),
        # Stripe was asked at that moment, or after it.
        (3, False, timedelta(minutes=2), -timedelta(minutes=2), []),
        (3, False, timedelta(minutes=2), -timedelta(minutes=3), []),
        (2, False, timedelta(minutes=2), -SECOND, ["SNAPSHOT_STALE"]),
        (4, False, timedelta(minutes=2), -SECOND, ["SNAPSHOT_STALE"]),
        (1, True, timedelta(minutes=2), -SECOND, ["SNAPSHOT_STALE"]),
        # What is needed one day has no deadline that counts.
        (1, False, timedelta(minutes=2), -SECOND, []),
    ],
)
def test_a_deadline_that_passed_since_stripe_was_asked_needs_asking_again(
    severity_: int, future: bool, asked: timedelta, left: timedelta, expected: list[str]
) -> None:
    requirement = RequirementFacts("company.tax_id", severity_, AS_OF + left, (), future)
    facts = payment(account=account(fetch_time=AS_OF - asked, requirements=(requirement,)))
    assert codes(facts) == [*expected, "REQUIREMENT_DUE_SOON"]


@pytest.mark.parametrize(
    ("kind", "field", "capabilities", "warns"),
    [
        (CheckKind.PAYMENT, "external_account", (), False),
        (CheckKind.TRANSFER, "external_account", (), False),
        (CheckKind.PAYOUT, "external_account", (), True),
        (CheckKind.PAYMENT, "company.tax_id", (), True),
        (CheckKind.PAYMENT, "company.tax_id", ("transfers",), False),
        (CheckKind.PAYMENT, "company.tax_id", ("card_payments",), True),
        (CheckKind.TRANSFER, "company.tax_id", ("card_payments",), False),
        (CheckKind.TRANSFER, "company.tax_id", ("transfers",), True),
    ],
)
def test_past_due_warns_of_what_it_concerns(
    kind: CheckKind, field: str, capabilities: tuple[str, ...], warns: bool
) -> None:
    requirement = RequirementFacts(field, 4, None, capabilities, future=False)
    found = codes(payment(kind=kind, account=account(requirements=(requirement,))))
    assert found == (["REQUIREMENT_DUE_SOON"] if warns else [])


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"charges_enabled": False}, CheckKind.PAYMENT, ["CHARGES_DISABLED"]),
        ({"charges_enabled": False}, CheckKind.TRANSFER, []),
        ({"charges_enabled": False}, CheckKind.PAYOUT, []),
        ({"payouts_enabled": False}, CheckKind.PAYMENT, []),
        ({"payouts_enabled": False}, CheckKind.PAYOUT, ["PAYOUTS_DISABLED"]),
        ({"external_account_errored": True}, CheckKind.PAYMENT, []),
        ({"external_account_errored": True}, CheckKind.PAYOUT, ["EXTERNAL_ACCOUNT_ERRORED"]),
        ({"capabilities": ()}, CheckKind.TRANSFER, ["TRANSFERS_DISABLED"]),
        ({"capabilities": ()}, CheckKind.PAYMENT, []),
        ({"disabled_reason": "rejected.fraud"}, CheckKind.PAYMENT, ["ACCOUNT_REJECTED"]),
        ({"disabled_reason": "under_review"}, CheckKind.PAYMENT, ["ACCOUNT_RESTRICTED"]),
        ({"disabled_reason": "requirements.past_due"}, CheckKind.PAYMENT, []),
        ({"disabled_reason": "brand.new"}, CheckKind.PAYMENT, ["DISABLED_REASON_UNKNOWN"]),
        # Account and capability have different words: one's is unknown to the other.
        ({"disabled_reason": "pending.review"}, CheckKind.PAYMENT, ["DISABLED_REASON_UNKNOWN"]),
        (
            {"capabilities": (CapabilityFacts("card_payments", "INACTIVE", "under_review"),)},
            CheckKind.PAYMENT,
            ["CHARGES_DISABLED", "DISABLED_REASON_UNKNOWN"],
        ),
        ({"tax_settings_state": "PENDING"}, CheckKind.PAYMENT, ["TAX_NOT_READY"]),
        ({"tax_settings_state": "PENDING"}, CheckKind.PAYOUT, []),
    ],
)
def test_what_stripe_says_of_the_account(
    changes: dict[str, Any], kind: CheckKind, expected: list[str]
) -> None:
    assert codes(payment(kind=kind, account=account(**changes))) == expected


@pytest.mark.parametrize(
    ("tax_id", "expected"),
    [
        (TaxIdFacts("VERIFIED", "VALID", name_agrees=True), []),
        (TaxIdFacts("VERIFIED", "VALID", name_agrees=False), ["TAX_NAME_DIFFERS"]),
        (TaxIdFacts("UNVERIFIED", "VALID", name_agrees=True), ["TAX_ID_INVALID"]),
        (
            TaxIdFacts("PENDING", "INVALID", name_agrees=True),
            ["TAX_ID_UNCONFIRMED", "TAX_ID_INVALID"],
        ),
        (TaxIdFacts("VERIFIED", "INVALID", name_agrees=True), []),
        (TaxIdFacts("UNAVAILABLE", "VALID", name_agrees=True), ["TAX_ID_UNCONFIRMED"]),
        (TaxIdFacts("UNSPECIFIED", "UNSPECIFIED", name_agrees=True), []),
    ],
)
def test_tax_ids_warn_and_stop_nothing(tax_id: TaxIdFacts, expected: list[str]) -> None:
    facts = payment(account=account(tax_ids=(tax_id,)))
    assert (codes(facts), verdict(facts)) == (expected, Verdict.ALLOW)

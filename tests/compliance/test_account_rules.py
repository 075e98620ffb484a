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


@pytest.mark.parametrize(
    ("severity_", "left", "future", "expected"),
    [
        (1, timedelta(days=1), False, ["REQUIREMENT_DUE_SOON"]),
        (3, timedelta(days=14), False, ["REQUIREMENT_DUE_SOON"]),
        (3, timedelta(days=14) + LIMIT, False, []),
        (2, timedelta(hours=1), False, ["REQUIREMENT_DUE_SOON"]),
        (2, timedelta(0), False, ["REQUIREMENTS_PAST_DUE"]),
        (3, timedelta(0), False, ["REQUIREMENTS_PAST_DUE"]),
        (1, timedelta(0), True, ["REQUIREMENTS_PAST_DUE"]),
        (4, timedelta(days=30), False, ["REQUIREMENTS_PAST_DUE"]),
    ],
)
def test_requirement_deadlines(
    severity_: int, left: timedelta, future: bool, expected: list[str]
) -> None:
    requirement = RequirementFacts("company.tax_id", severity_, AS_OF + left, (), future)
    assert codes(payment(account=account(requirements=(requirement,)))) == expected


@pytest.mark.parametrize(
    ("kind", "field", "capabilities", "expected"),
    [
        (CheckKind.PAYMENT, "external_account", (), []),
        (CheckKind.TRANSFER, "external_account", (), []),
        (CheckKind.PAYOUT, "external_account", (), ["REQUIREMENTS_PAST_DUE"]),
        (CheckKind.PAYMENT, "company.tax_id", (), ["REQUIREMENTS_PAST_DUE"]),
        (CheckKind.PAYMENT, "company.tax_id", ("transfers",), []),
        (CheckKind.PAYMENT, "company.tax_id", ("card_payments",), ["REQUIREMENTS_PAST_DUE"]),
        (CheckKind.TRANSFER, "company.tax_id", ("card_payments",), []),
        (CheckKind.TRANSFER, "company.tax_id", ("transfers",), ["REQUIREMENTS_PAST_DUE"]),
    ],
)
def test_past_due_stops_what_it_concerns(
    kind: CheckKind, field: str, capabilities: tuple[str, ...], expected: list[str]
) -> None:
    requirement = RequirementFacts(field, 4, None, capabilities, future=False)
    assert codes(payment(kind=kind, account=account(requirements=(requirement,)))) == expected


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
            ["DISABLED_REASON_UNKNOWN"],
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
        (TaxIdFacts("UNAVAILABLE", "VALID", name_agrees=True), ["TAX_ID_UNCONFIRMED"]),
        (TaxIdFacts("UNSPECIFIED", "UNSPECIFIED", name_agrees=True), []),
    ],
)
def test_tax_ids_warn_and_stop_nothing(tax_id: TaxIdFacts, expected: list[str]) -> None:
    facts = payment(account=account(tax_ids=(tax_id,)))
    assert (codes(facts), verdict(facts)) == (expected, Verdict.ALLOW)

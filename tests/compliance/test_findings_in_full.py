"""Each finding whole: its code, whom it is about, what it says of him; and what finds nothing."""

from datetime import timedelta
from typing import Any

import pytest

from compliance.checks.connected_account import account_findings
from compliance.checks.facts import (
    CapabilityFacts,
    CheckKind,
    ListFacts,
    RequirementFacts,
    Role,
    ScreeningFacts,
    TaxIdFacts,
)
from compliance.checks.findings import Code, Finding
from compliance.checks.policy import BUILT_IN
from compliance.checks.rules import evaluate
from tests.compliance.check_facts import AS_OF, SDN, account, payment, subject

P, T, OUT = CheckKind.PAYMENT, CheckKind.TRANSFER, CheckKind.PAYOUT
EVERY = frozenset(CheckKind)
NOTICE = timedelta(days=14)
MOMENT = timedelta(microseconds=1)
CUSTOMER, OWNER = Role.CUSTOMER, Role.OWNER
UN = "UN_CONSOLIDATED"


def about_account(kind: CheckKind, **changes: Any) -> list[Finding]:
    return list(account_findings(account(**changes), kind, AS_OF, NOTICE))


@pytest.mark.parametrize("kind", CheckKind)
def test_an_account_in_good_order(kind: CheckKind) -> None:
    assert about_account(kind) == []
    assert evaluate(payment(kind=kind), BUILT_IN) == ()


def capability(name: str, state: str = "ACTIVE", reason: str = "") -> dict[str, Any]:
    """One capability beside those that are in order."""
    good = [CapabilityFacts(each, "ACTIVE", "") for each in ("card_payments", "transfers")]
    others = [each for each in good if each.name != name]
    return {"capabilities": (*others, CapabilityFacts(name, state, reason))}


@pytest.mark.parametrize(
    ("changes", "kinds", "code"),
    [
        ({"charges_enabled": False}, {P}, Code.CHARGES_DISABLED),
        ({"payouts_enabled": False}, {OUT}, Code.PAYOUTS_DISABLED),
        ({"external_account_errored": True}, {OUT}, Code.EXTERNAL_ACCOUNT_ERRORED),
        (capability("transfers", "INACTIVE"), {T}, Code.TRANSFERS_DISABLED),
        (capability("transfers", "PENDING"), {T}, Code.TRANSFERS_DISABLED),
        ({"capabilities": ()}, {T}, Code.TRANSFERS_DISABLED),
    ],
)
def test_what_the_account_may_not_do(
    changes: dict[str, Any], kinds: set[CheckKind], code: Code
) -> None:
    for kind in CheckKind:
        found = [Finding(code, "", "acct_1")] if kind in kinds else []
        assert about_account(kind, **changes) == found


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("card_payments", ""),
        ("card_payments", "card"),
        ("sepa_debit_payments", "sepa_debit"),
        ("us_bank_account_ach_payments", "us_bank_account"),
        ("bacs_debit_payments", "bacs_debit"),
        ("au_becs_debit_payments", "au_becs_debit"),
        ("acss_debit_payments", "acss_debit"),
    ],
)
@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("ACTIVE", None),
        ("UNREQUESTED", None),
        ("INACTIVE", Code.CHARGES_DISABLED),
        ("PENDING", Code.CHARGES_DISABLED),
        ("DISABLED", Code.CHARGES_DISABLED),
        ("UNRECOGNIZED", Code.DISABLED_REASON_UNKNOWN),
    ],
)
def test_a_charge_needs_the_capability_of_its_payment_method(
    name: str, method: str, state: str, code: Code | None
) -> None:
    facts = account(**capability(name, state))
    found = [] if code is None else [Finding(code, "", f"{name}: {state}")]
    assert list(account_findings(facts, P, AS_OF, NOTICE, payment_method_type=method)) == found
    assert list(account_findings(facts, P, AS_OF, NOTICE, payment_method_type="giropay")) == []
    assert about_account(T, **capability(name, state)) == []
    assert about_account(OUT, **capability(name, state)) == []


@pytest.mark.parametrize(
    ("states", "receives"),
    [
        ({"transfers": "ACTIVE"}, True),
        ({"legacy_payments": "ACTIVE"}, True),
        ({"crypto_transfers": "ACTIVE"}, True),
        ({"transfers": "INACTIVE", "legacy_payments": "ACTIVE"}, True),
        ({"transfers": "INACTIVE"}, False),
        ({"transfers": "PENDING", "legacy_payments": "INACTIVE"}, False),
        ({"transfers": "UNREQUESTED", "card_payments": "ACTIVE"}, False),
        ({}, False),
    ],
)
def test_an_account_receives_transfers_by_any_capability_for_it(
    states: dict[str, str], receives: bool
) -> None:
    facts = account(
        capabilities=tuple(CapabilityFacts(name, state, "") for name, state in states.items())
    )
    found = [] if receives else [Finding(Code.TRANSFERS_DISABLED, "", "acct_1")]
    assert list(account_findings(facts, T, AS_OF, NOTICE)) == found
    assert list(account_findings(facts, P, AS_OF, NOTICE, is_destination=True)) == found
    assert list(account_findings(facts, P, AS_OF, NOTICE)) == []


# https://docs.stripe.com/api/accounts/object#account_object-requirements-disabled_reason
REJECTED = [
    *("fraud", "incomplete_verification", "listed", "other", "platform_fraud", "platform_other"),
    *("platform_terms_of_service", "terms_of_service"),
]


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        *[(f"rejected.{each}", Code.ACCOUNT_REJECTED) for each in REJECTED],
        *[
            (each, Code.ACCOUNT_RESTRICTED)
            for each in ("listed", "other", "platform_paused", "under_review")
        ],
        *[
            (each, None)
            for each in (
                *("", "action_required.requested_capabilities", "requirements.past_due"),
                "requirements.pending_verification",
            )
        ],
        ("rejected.brand_new", Code.DISABLED_REASON_UNKNOWN),
        ("pending.review", Code.DISABLED_REASON_UNKNOWN),
    ],
)
@pytest.mark.parametrize("kind", CheckKind)
def test_why_the_account_is_disabled(reason: str, code: Code | None, kind: CheckKind) -> None:
    found = [] if code is None else [Finding(code, "", reason)]
    assert about_account(kind, disabled_reason=reason) == found


CAPABILITY_REASONS = [
    *("", "other", "paused.inactivity", "pending.onboarding", "pending.review"),
    *("platform_disabled", "platform_paused", "rejected.inactivity", "rejected.other"),
    *("rejected.unsupported_business", "requirements.fields_needed"),
]


@pytest.mark.parametrize("reason", CAPABILITY_REASONS)
@pytest.mark.parametrize("name", ["card_payments", "transfers"])
def test_why_a_capability_is_disabled_is_no_finding_of_its_own(name: str, reason: str) -> None:
    for kind in CheckKind:
        assert about_account(kind, **capability(name, reason=reason)) == []


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("card_payments", {P}),
        ("us_bank_account_ach_payments", {P}),
        ("transfers", {T, OUT}),
        ("tax_reporting_us_1099_k", set()),
    ],
)
def test_a_reason_that_nobody_knows_concerns_what_needs_the_capability(
    name: str, kinds: set[CheckKind]
) -> None:
    for kind in CheckKind:
        found = [Finding(Code.DISABLED_REASON_UNKNOWN, "", f"{name}: brand.new")]
        changes = capability(name, reason="brand.new")
        assert about_account(kind, **changes) == (found if kind in kinds else [])


DUE_SOON = Code.REQUIREMENT_DUE_SOON
PAST_DUE, SOON = "company.tax_id: past due", "company.tax_id"


@pytest.mark.parametrize(
    ("severity", "left", "future", "detail"),
    [
        (4, None, False, PAST_DUE),
        (5, None, False, PAST_DUE),
        (3, None, False, None),
        (3, timedelta(0), False, PAST_DUE),
        (2, timedelta(0), False, PAST_DUE),
        (2, MOMENT, False, SOON),
        (1, timedelta(0), False, SOON),
        (1, -NOTICE, False, SOON),
        (1, timedelta(0), True, PAST_DUE),
        (1, MOMENT, True, SOON),
        (1, None, True, None),
        (3, NOTICE, False, SOON),
        (3, NOTICE + MOMENT, False, None),
    ],
)
@pytest.mark.parametrize("kind", CheckKind)
def test_when_a_requirement_is_due(
    severity: int, left: timedelta | None, future: bool, detail: str | None, kind: CheckKind
) -> None:
    deadline = None if left is None else AS_OF + left
    # One that concerns nobody before it does not hide it.
    other = RequirementFacts("company.vat_id", 4, None, ("odd",), future=False)
    due = RequirementFacts("company.tax_id", severity, deadline, (), future)
    requirements = (due,) if kind is OUT else (other, due)
    found = [] if detail is None else [Finding(DUE_SOON, "", detail)]
    assert about_account(kind, requirements=requirements) == found


@pytest.mark.parametrize(
    ("field", "capabilities", "kinds"),
    [
        ("company.tax_id", (), EVERY),
        ("external_account", (), {OUT}),
        ("external_account", ("card_payments",), {P, OUT}),
        ("company.tax_id", ("odd", "card_payments"), {P, OUT}),
        ("company.tax_id", ("transfers",), {T, OUT}),
        ("company.tax_id", ("odd",), {OUT}),
    ],
)
def test_what_a_requirement_concerns(
    field: str, capabilities: tuple[str, ...], kinds: set[CheckKind]
) -> None:
    due = RequirementFacts(field, 4, None, capabilities, future=False)
    for kind in CheckKind:
        found = [Finding(DUE_SOON, "", f"{field}: past due")] if kind in kinds else []
        assert about_account(kind, requirements=(due,)) == found


TAX_INVALID = Finding(Code.TAX_ID_INVALID, "", "acct_1")


@pytest.mark.parametrize(
    ("verification", "format_", "agrees", "found"),
    [
        ("VERIFIED", "VALID", True, []),
        ("VERIFIED", "VALID", False, [Finding(Code.TAX_NAME_DIFFERS, "", "acct_1")]),
        ("UNSPECIFIED", "VALID", False, []),
        ("UNVERIFIED", "VALID", True, [TAX_INVALID]),
        ("VERIFIED", "INVALID", True, []),
        ("UNSPECIFIED", "INVALID", True, [TAX_INVALID]),
        ("UNVERIFIED", "INVALID", True, [TAX_INVALID]),
        ("PENDING", "VALID", True, [Finding(Code.TAX_ID_UNCONFIRMED, "", "PENDING")]),
        ("UNAVAILABLE", "VALID", True, [Finding(Code.TAX_ID_UNCONFIRMED, "", "UNAVAILABLE")]),
    ],
)
def test_tax_ids_concern_payments(
    verification: str, format_: str, agrees: bool, found: list[Finding]
) -> None:
    tax_ids = (TaxIdFacts(verification, format_, agrees),)
    assert about_account(P, tax_ids=tax_ids) == found
    assert about_account(T, tax_ids=tax_ids) == []
    not_ready = [Finding(Code.TAX_NOT_READY, "", "PENDING")]
    assert about_account(P, tax_settings_state="PENDING") == not_ready
    assert about_account(OUT, tax_settings_state="PENDING") == []


def lists(*each: tuple[str, int, timedelta | None]) -> dict[str, Any]:
    """Lists with their versions and ages."""
    return {
        "lists": tuple(
            ListFacts(name, version, None if age is None else AS_OF - age)
            for name, version, age in each
        )
    }


def screened(*each: tuple[str, int, int]) -> tuple[ScreeningFacts, ...]:
    return tuple(ScreeningFacts(name, version, revision, AS_OF) for name, version, revision in each)


HOUR = timedelta(hours=1)
PENDING = Code.SCREENING_PENDING
FOUND: dict[str, tuple[dict[str, Any], list[Finding]]] = {
    "no merchant": ({"merchant": None}, [Finding(Code.MERCHANT_UNKNOWN, "merchant-1")]),
    "a customer as a merchant": (
        {"merchant": subject(kind="CUSTOMER")},
        [Finding(Code.MERCHANT_UNKNOWN, "merchant-1")],
    ),
    "no customer": ({"customer": None}, [Finding(Code.CUSTOMER_UNKNOWN, "customer-1")]),
    "an owner as a customer": (
        {"customer": subject(CUSTOMER, kind="OWNER")},
        [Finding(Code.CUSTOMER_UNKNOWN, "customer-1")],
    ),
    "a guest": ({"customer_id": "", "customer": None}, []),
    "another account": (
        {"connected_account_id": "acct_2"},
        [
            Finding(Code.SUBJECT_MISMATCH, "merchant-1", "connected account"),
            Finding(Code.SNAPSHOT_MISSING, "merchant-1", "acct_2"),
        ],
    ),
    "its own account": ({"connected_account_id": "acct_1"}, []),
    "another Stripe account": (
        {"merchant": subject(corridor="other")},
        [Finding(Code.SUBJECT_MISMATCH, "merchant-1", "Stripe account")],
    ),
    "no account": ({"merchant": subject(corridor="", connected_account_id="")}, []),
    "another merchant's customer": (
        {"customer": subject(CUSTOMER, parent_subject_id="merchant-2")},
        [Finding(Code.SUBJECT_MISMATCH, "customer-1", "customer of another merchant")],
    ),
    "the merchant's customer": (
        {"customer": subject(CUSTOMER, parent_subject_id="merchant-1")},
        [],
    ),
    "blocked": (
        {
            "merchant": subject(state="BLOCKED"),
            "owners": (subject(OWNER, state="SUSPENDED"),),
            "customer": subject(CUSTOMER, state="CLOSED"),
        },
        [
            Finding(Code.MERCHANT_BLOCKED, "merchant-1", "BLOCKED"),
            Finding(Code.OWNER_BLOCKED, "owner-1", "SUSPENDED"),
            Finding(Code.CUSTOMER_BLOCKED, "customer-1", "CLOSED"),
        ],
    ),
    "an owner who has left": (
        {
            "owners": (
                subject(OWNER, state="CLOSED", kyc_state="REJECTED"),
                subject(OWNER, subject_id="owner-2", state="ACTIVE", kyc_state="REJECTED"),
            )
        },
        [Finding(Code.KYC_REJECTED, "owner-2")],
    ),
    "a rejected merchant": (
        {"merchant": subject(kyc_state="REJECTED")},
        [Finding(Code.KYC_REJECTED, "merchant-1")],
    ),
    "not identified": (
        {"merchant": subject(kyc_state="PENDING")},
        [Finding(Code.KYC_INCOMPLETE, "merchant-1", "PENDING")],
    ),
    "identity has run out": (
        {"merchant": subject(kyc_expire_time=AS_OF)},
        [Finding(Code.KYC_EXPIRED, "merchant-1")],
    ),
    "identity runs out": ({"merchant": subject(kyc_expire_time=AS_OF + MOMENT)}, []),
    "prohibited countries": (
        {"country_codes": ("DE", "IR"), "owners": (subject(OWNER, country_code="KP"),)},
        [
            Finding(Code.COUNTRY_PROHIBITED, "", "IR"),
            Finding(Code.COUNTRY_PROHIBITED, "owner-1", "KP"),
        ],
    ),
    "no list": ({"lists": ()}, [Finding(Code.LIST_MISSING)]),
    "a list that was never loaded": (
        lists((SDN, 7, HOUR), (UN, 0, None)),
        [Finding(Code.LIST_MISSING, "", UN)],
    ),
    "a stale list": (lists((SDN, 7, 48 * HOUR + MOMENT)), [Finding(Code.LIST_STALE, "", SDN)]),
    "a list of the future": (
        lists((SDN, 7, -timedelta(minutes=1) - MOMENT)),
        [Finding(Code.LIST_STALE, "", SDN)],
    ),
    "clocks that differ": (lists((SDN, 7, -timedelta(minutes=1))), []),
    "an aging list": (lists((SDN, 7, 24 * HOUR + MOMENT)), [Finding(Code.LIST_AGING, "", SDN)]),
    "a list of the day": (lists((SDN, 7, 24 * HOUR)), []),
    "too many owners": (
        {"owners_truncated": True},
        [Finding(PENDING, "merchant-1", "too many owners")],
    ),
    "matches": (
        {
            "merchant": subject(confirmed_match_ids=("mat_2", "mat_1"), open_match_ids=("mat_3",)),
            "owners": (subject(OWNER, open_match_ids=("mat_5", "mat_4")),),
            "customer": subject(CUSTOMER, confirmed_match_ids=("mat_6",)),
        },
        [
            Finding(Code.MERCHANT_SANCTIONED, "merchant-1", "mat_1,mat_2"),
            Finding(Code.CUSTOMER_SANCTIONED, "customer-1", "mat_6"),
            Finding(Code.MERCHANT_MATCH_OPEN, "merchant-1", "mat_3"),
            Finding(Code.OWNER_MATCH_OPEN, "owner-1", "mat_4,mat_5"),
        ],
    ),
    "screened against an older list": (
        {"customer": subject(CUSTOMER, screenings=screened((SDN, 6, 1)))},
        [Finding(PENDING, "customer-1", SDN)],
    ),
    "screened against a newer list": (
        {"customer": subject(CUSTOMER, screenings=screened((SDN, 8, 1)))},
        [],
    ),
    "screened before it changed": (
        {"customer": subject(CUSTOMER, profile_revision=2)},
        [Finding(PENDING, "customer-1", SDN)],
    ),
    "screened against another list": (
        {"customer": subject(CUSTOMER, screenings=screened((UN, 7, 1)))},
        [Finding(PENDING, "customer-1", SDN)],
    ),
    "no snapshot": ({"account": None}, [Finding(Code.SNAPSHOT_MISSING, "merchant-1", "acct_1")]),
    "a stale snapshot": (
        {"account": account(fetch_time=AS_OF - timedelta(minutes=15) - MOMENT)},
        [Finding(Code.SNAPSHOT_STALE, "merchant-1", "acct_1")],
    ),
    "a snapshot of a quarter": (
        {"account": account(fetch_time=AS_OF - timedelta(minutes=15))},
        [],
    ),
    "a requirement": (
        {
            "account": account(
                requirements=(
                    RequirementFacts("company.tax_id", 3, AS_OF + NOTICE, (), future=False),
                )
            )
        },
        [Finding(DUE_SOON, "", "company.tax_id")],
    ),
    "a deadline that passed since Stripe was asked": (
        {
            "account": account(
                fetch_time=AS_OF - HOUR / 60,
                requirements=(RequirementFacts("company.tax_id", 3, AS_OF, (), future=False),),
            )
        },
        [
            Finding(Code.SNAPSHOT_STALE, "merchant-1", "acct_1"),
            Finding(DUE_SOON, "", "company.tax_id: past due"),
        ],
    ),
    "its own account, which receives no transfers": (
        {
            "connected_account_id": "acct_1",
            "account": account(**capability("transfers", "PENDING")),
        },
        [Finding(Code.TRANSFERS_DISABLED, "", "acct_1")],
    ),
    "a charge of the platform": ({"account": account(**capability("transfers", "PENDING"))}, []),
    "a debit that the account may not charge": (
        {
            "payment_method_type": "sepa_debit",
            "account": account(**capability("sepa_debit_payments", "INACTIVE")),
        },
        [Finding(Code.CHARGES_DISABLED, "", "sepa_debit_payments: INACTIVE")],
    ),
    "another currency": (
        {"currency_code": "XAU"},
        [Finding(Code.CURRENCY_NOT_COVERED, "", "XAU")],
    ),
    "at the limit of review": ({"amount_minor": 1_000_000}, []),
    "over the limit of review": (
        {"amount_minor": 1_000_001},
        [Finding(Code.AMOUNT_OVER_REVIEW_LIMIT, "", "1000000")],
    ),
    "at the maximum": (
        {"amount_minor": 10_000_000},
        [Finding(Code.AMOUNT_OVER_REVIEW_LIMIT, "", "1000000")],
    ),
    "over the maximum": (
        {"amount_minor": 10_000_001},
        [
            Finding(Code.AMOUNT_OVER_MAXIMUM, "", "10000000"),
            Finding(Code.AMOUNT_OVER_REVIEW_LIMIT, "", "1000000"),
        ],
    ),
    "a guest at the limit": (
        {"customer_id": "", "customer": None, "amount_minor": 100_000},
        [],
    ),
    "a guest over the limit": (
        {"customer_id": "", "customer": None, "amount_minor": 100_001},
        [Finding(Code.PAYER_UNIDENTIFIED, "", "100000")],
    ),
    "a transfer of any size": ({"kind": T, "amount_minor": 10_000_001}, []),
}


@pytest.mark.parametrize("why", FOUND)
def test_what_is_found(why: str) -> None:
    changes, found = FOUND[why]
    assert set(evaluate(payment(**changes), BUILT_IN)) == set(found)
    assert list(evaluate(payment(**changes), BUILT_IN)) == sorted(found)

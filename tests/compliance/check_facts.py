"""Facts for the rules: a payment with nothing against it, and any facts at all for Hypothesis."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from compliance.checks.facts import (
    AccountFacts,
    CapabilityFacts,
    CheckFacts,
    CheckKind,
    ExternalAccountFacts,
    ListFacts,
    RequirementFacts,
    Role,
    ScreeningFacts,
    SubjectFacts,
    TaxIdFacts,
)
from compliance.checks.history import CountedPayment, HistoryFacts, Scope
from compliance.checks.identity import VerificationFacts
from compliance.checks.rates import RateFacts, RateWindow

AS_OF = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SDN = "OFAC_SDN"


def subject(role: Role = Role.MERCHANT, **changes: Any) -> SubjectFacts:
    """A subject in good order, but for the changes."""
    good = SubjectFacts(
        subject_id=f"{role.lower()}-1",
        role=role,
        kind=role.value,
        parent_subject_id="merchant-1" if role is Role.OWNER else "",
        state="ACTIVE",
        kyc_state="VERIFIED" if role is Role.MERCHANT else "NOT_STARTED",
        kyc_expire_time=None,
        country_code="DE",
        corridor="main" if role is Role.MERCHANT else "",
        connected_account_id="acct_1" if role is Role.MERCHANT else "",
        revision=3,
        profile_revision=1,
        update_time=AS_OF - timedelta(days=3),
        screenings=(ScreeningFacts(SDN, 7, 1, AS_OF - timedelta(days=1)),),
        open_match_ids=(),
        confirmed_match_ids=(),
    )
    return replace(good, **changes)


def rates(window: RateWindow | None = None, /, **figures: int) -> RateFacts:
    """A hundred payments, and else nothing, in one window or in all; but for the figures."""
    named = {
        "payments": 100,
        "captured_minor": 100,
        "refunds": 0,
        "refunded_minor": 0,
        "disputes": 0,
        "disputed_minor": 0,
    }
    return RateFacts(
        day="2026-11-22",
        follow_time=AS_OF,
        epoch=0,
        sequence=7,
        **{
            name: tuple(
                figures.get(name, usual) if window in (None, other) else usual
                for other in RateWindow
            )
            for name, usual in named.items()
        },
    )


def account(**changes: Any) -> AccountFacts:
    """A connected account in good order, but for the changes."""
    good = AccountFacts(
        corridor="main",
        connected_account_id="acct_1",
        charges_enabled=True,
        payouts_enabled=True,
        disabled_reason="",
        external_account_errored=False,
        capabilities=(
            CapabilityFacts("card_payments", "ACTIVE", ""),
            CapabilityFacts("transfers", "ACTIVE", ""),
        ),
        requirements=(),
        tax_settings_state="ACTIVE",
        tax_ids=(),
        content_hash="aa",
        fetch_time=AS_OF - timedelta(minutes=5),
    )
    return replace(good, **changes)


def payment(**changes: Any) -> CheckFacts:
    """A payment with nothing against it, but for the changes."""
    good = CheckFacts(
        kind=CheckKind.PAYMENT,
        merchant_id="merchant-1",
        customer_id="customer-1",
        currency_code="EUR",
        amount_minor=1_000,
        corridor="main",
        connected_account_id="",
        country_codes=("DE",),
        merchant=subject(),
        owners=(),
        owners_truncated=False,
        customer=subject(Role.CUSTOMER),
        account=account(),
        lists=(ListFacts(SDN, 7, AS_OF - timedelta(hours=2)),),
        as_of=AS_OF,
    )
    return replace(good, **changes)


def paid(number: int = 0, **changes: Any) -> CountedPayment:
    """A payment as it counts, but for the changes."""
    good = CountedPayment(f"pay-{number}", "m", "c", "card", "EUR", 100, AS_OF)
    return replace(good, **changes)


_words = st.sampled_from(["", "ACTIVE", "BLOCKED", "PENDING", "acct_1", "main", "odd ☃"])
_countries = st.sampled_from(["", "DE", "US", "IR", "KP", "??"])
_times = st.datetimes(
    # Hypothesis wants bounds without a zone and gives times in the one it is told.
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_near = st.integers(-200 * 3600, 3600).map(lambda seconds: AS_OF + timedelta(seconds=seconds))
_any_time = st.one_of(_near, _times)
_ids = st.lists(st.sampled_from(["mat_1", "mat_2"]), max_size=2, unique=True).map(tuple)

_screenings = st.builds(
    ScreeningFacts,
    list=st.sampled_from([SDN, "UN_CONSOLIDATED"]),
    list_version=st.integers(0, 9),
    profile_revision=st.integers(0, 3),
    screen_time=_any_time,
)


verifications = st.builds(
    VerificationFacts,
    verification_id=st.sampled_from(["vfn_1", "vfn_2"]),
    session_id=st.sampled_from(["vs_1", "vs_2"]),
    type=st.sampled_from(["DOCUMENT", "ID_NUMBER"]),
    state=st.sampled_from(["REQUIRES_INPUT", "VERIFIED", "CANCELED"]),
    error_code=st.sampled_from(["", "document_expired"]),
    with_selfie=st.booleans(),
    counts=st.booleans(),
    verify_time=st.none() | _any_time,
    update_time=_any_time,
)


def subjects(role: Role) -> st.SearchStrategy[SubjectFacts]:
    return st.builds(
        SubjectFacts,
        subject_id=st.sampled_from(["merchant-1", "customer-1", "x"]),
        role=st.just(role),
        kind=st.sampled_from(["MERCHANT", "OWNER", "CUSTOMER", "odd"]),
        parent_subject_id=st.sampled_from(["", "merchant-1", "other"]),
        state=st.sampled_from(["ACTIVE", "BLOCKED", "CLOSED", "odd"]),
        kyc_state=st.sampled_from(["NOT_STARTED", "PENDING", "VERIFIED", "REJECTED", "odd"]),
        kyc_expire_time=st.none() | _any_time,
        country_code=_countries,
        corridor=_words,
        connected_account_id=_words,
        revision=st.integers(0, 5),
        profile_revision=st.integers(0, 3),
        update_time=_any_time,
        screenings=st.lists(_screenings, max_size=2).map(tuple),
        open_match_ids=_ids,
        confirmed_match_ids=_ids,
        verifications=st.lists(verifications, max_size=2).map(tuple),
    )


_accounts = st.builds(
    AccountFacts,
    corridor=_words,
    connected_account_id=_words,
    charges_enabled=st.booleans(),
    payouts_enabled=st.booleans(),
    disabled_reason=st.sampled_from(["", "rejected.fraud", "under_review", "brand.new"]),
    external_account_errored=st.booleans(),
    capabilities=st.lists(
        st.builds(
            CapabilityFacts,
            name=st.sampled_from(["card_payments", "transfers", "sepa_debit_payments", "odd"]),
            state=st.sampled_from(["ACTIVE", "INACTIVE", "UNREQUESTED", "UNRECOGNIZED", ""]),
            disabled_reason=st.sampled_from(["", "pending.review", "brand.new"]),
        ),
        max_size=2,
    ).map(tuple),
    requirements=st.lists(
        st.builds(
            RequirementFacts,
            field=st.sampled_from(["external_account", "individual.id_number", "interv_1"]),
            severity=st.integers(1, 4),
            deadline_time=st.none() | _any_time,
            capabilities=st.sampled_from([(), ("card_payments",), ("transfers",)]),
            future=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    tax_settings_state=st.sampled_from(["ACTIVE", "PENDING", "UNSPECIFIED"]),
    tax_ids=st.lists(
        st.builds(
            TaxIdFacts,
            verification=st.sampled_from(
                ["UNSPECIFIED", "PENDING", "VERIFIED", "UNVERIFIED", "UNAVAILABLE"]
            ),
            format=st.sampled_from(["UNSPECIFIED", "VALID", "INVALID"]),
            name_agrees=st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    content_hash=_words,
    fetch_time=_any_time,
    external_accounts=st.lists(
        st.builds(
            ExternalAccountFacts,
            external_account_id=st.sampled_from(["ba_1", "card_1"]),
            currency_code=st.sampled_from(["EUR", "JPY", ""]),
            state=st.sampled_from(["NEW", "ERRORED", "DEACTIVATED", "VERIFICATION_FAILED", "ODD"]),
            is_default=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
)

_figures = st.tuples(*[st.sampled_from([0, 1, 2, 3, 31, 101, 2**40])] * 4)
histories = st.builds(
    HistoryFacts,
    scope=st.sampled_from(Scope),
    counts=_figures,
    currency_counts=_figures,
    amounts_minor=_figures,
    near_counts=_figures,
    other_customers=st.just(()) | _figures,
    last_time=st.none() | _any_time,
)

_rate_figures = st.tuples(*[st.sampled_from([0, 1, 2, 199, 200, 10_000, 2**70])] * len(RateWindow))
any_rates = st.builds(
    RateFacts,
    day=st.sampled_from(["", "2026-11-22"]),
    follow_time=_any_time,
    epoch=st.integers(0, 2),
    sequence=st.integers(0, 9),
    payments=_rate_figures,
    captured_minor=_rate_figures,
    refunds=_rate_figures,
    refunded_minor=_rate_figures,
    disputes=_rate_figures,
    disputed_minor=_rate_figures,
)

any_facts = st.builds(
    CheckFacts,
    kind=st.sampled_from(CheckKind),
    merchant_id=st.sampled_from(["merchant-1", "x"]),
    customer_id=st.sampled_from(["", "customer-1", "x"]),
    currency_code=st.sampled_from(["EUR", "JPY", "XAU", ""]),
    amount_minor=st.integers(-1, 2**53),
    corridor=_words,
    connected_account_id=_words,
    country_codes=st.lists(_countries, max_size=2).map(tuple),
    merchant=st.none() | subjects(Role.MERCHANT),
    owners=st.lists(subjects(Role.OWNER), max_size=2).map(tuple),
    owners_truncated=st.booleans(),
    customer=st.none() | subjects(Role.CUSTOMER),
    account=st.none() | _accounts,
    lists=st.lists(
        st.builds(
            ListFacts,
            list=st.sampled_from([SDN, "UN_CONSOLIDATED"]),
            version=st.integers(0, 9),
            confirm_time=st.none() | _any_time,
        ),
        max_size=2,
    ).map(tuple),
    as_of=st.just(AS_OF) | _any_time,
    payment_method_type=st.sampled_from(["", "card", "sepa_debit", "odd ☃"]),
    history=st.lists(histories, max_size=3).map(tuple),
    rates=st.none() | any_rates,
)

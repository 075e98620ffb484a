"""What a connected account's state at Stripe means for a charge, a transfer and a payout.

Stripe decides when Stripe stops: by `charges_enabled`, `payouts_enabled` and the states of
capabilities. A requirement, also one that is past due, only warns: Stripe lets accounts go on for
days or weeks after, and nobody else knows for how long.

Stripe's words are those of its Python SDK 16.1 (Account.Requirements.disabled_reason and
Capability.Requirements.disabled_reason): two different sets, and both may grow without notice.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from compliance.checks.facts import AccountFacts, CheckKind, RequirementFacts
from compliance.checks.findings import Code, Finding
from compliance.checks.payout_destinations import DOUBTFUL, KNOWN, STOPPED, destinations

# RequirementState of the contract.
EVENTUALLY_DUE, PENDING_VERIFICATION, CURRENTLY_DUE, PAST_DUE = 1, 2, 3, 4

_ACCOUNT_REJECTED = frozenset(
    {
        "rejected.fraud",
        "rejected.incomplete_verification",
        "rejected.listed",
        "rejected.other",
        "rejected.platform_fraud",
        "rejected.platform_other",
        "rejected.platform_terms_of_service",
        "rejected.terms_of_service",
    }
)
_ACCOUNT_RESTRICTED = frozenset({"listed", "other", "platform_paused", "under_review"})
# Said by the requirements and capabilities themselves, which have rules of their own.
_ACCOUNT_EXPLAINED = frozenset(
    {
        "action_required.requested_capabilities",
        "requirements.past_due",
        "requirements.pending_verification",
    }
)
_CAPABILITY_REASONS = frozenset(
    {
        "other",
        "paused.inactivity",
        "pending.onboarding",
        "pending.review",
        "platform_disabled",
        "platform_paused",
        "rejected.inactivity",
        "rejected.other",
        "rejected.unsupported_business",
        "requirements.fields_needed",
    }
)
# A payout destination is missing, or something is wanted for one: that stops payouts alone.
_PAYOUT_ONLY = frozenset({"external_account"})
_PAYOUT_ONLY_IDS = ("ba_", "card_")


# What a charge by a payment method needs of the account, by Stripe's names of both:
# https://docs.stripe.com/connect/account-capabilities#payment-methods
_CAPABILITIES = {"us_bank_account": "us_bank_account_ach_payments"}
DEFAULT_METHOD = "card"
# Any one of them lets an account receive transfers; Stripe's refusal of a destination names all.
_RECEIVING = frozenset({"crypto_transfers", "legacy_payments", "transfers"})
_ACTIVE, _UNREQUESTED = "ACTIVE", "UNREQUESTED"
_STOPPED = frozenset({"DISABLED", "INACTIVE", "PENDING"})


def account_findings(
    account: AccountFacts,
    kind: CheckKind,
    as_of: datetime,
    notice: timedelta,
    *,
    payment_method_type: str = "",
    is_destination: bool = False,
    currency_code: str = "",
) -> Iterator[Finding]:
    """What stands against this kind of movement of money, by what Stripe said.

    `payment_method_type` is Stripe's name of it, empty for a card; `is_destination` if the charge
    sends its money to the account; `currency_code` what a payout is in.
    """
    yield from charging(account, kind, payment_method_type, is_destination=is_destination)
    if kind is CheckKind.PAYOUT:
        yield from _paying_out(account, currency_code)
    yield from disabled_reasons(account, kind)
    yield from due(account, kind, as_of, notice, matters)


def charging(
    account: AccountFacts, kind: CheckKind, payment_method_type: str, *, is_destination: bool
) -> Iterator[Finding]:
    """What stands against charges and transfers."""
    if kind is CheckKind.PAYMENT:
        yield from _charging(account, payment_method_type or DEFAULT_METHOD)
        yield from _tax(account)
    if kind is CheckKind.TRANSFER or (kind is CheckKind.PAYMENT and is_destination):
        yield from _receiving(account)


def missed_deadline(account: AccountFacts, as_of: datetime) -> datetime | None:
    """The latest deadline that passed since Stripe was asked, which may have changed its mind."""
    deadlines = (
        item.deadline_time
        for item in account.requirements
        if item.deadline_time is not None
        and is_past_due(item, as_of)
        and account.fetch_time < item.deadline_time <= as_of
    )
    return max(deadlines, default=None)


def _charging(account: AccountFacts, payment_method_type: str) -> Iterator[Finding]:
    """Charges need the capability of their payment method, if the account asks for it.

    An account that does not ask for it is paid by transfers alone. If one of card payments and
    transfers is inactive, Stripe disables both:
    https://docs.stripe.com/connect/account-capabilities#multiple-capabilities
    """
    if not account.charges_enabled:
        yield Finding(Code.CHARGES_DISABLED, "", account.connected_account_id)
    needed = _CAPABILITIES.get(payment_method_type, f"{payment_method_type}_payments")
    for capability in account.capabilities:
        if capability.name != needed or capability.state in (_ACTIVE, _UNREQUESTED):
            continue
        known = capability.state in _STOPPED
        code = Code.CHARGES_DISABLED if known else Code.DISABLED_REASON_UNKNOWN
        yield Finding(code, "", f"{needed}: {capability.state}")


def _receiving(account: AccountFacts) -> Iterator[Finding]:
    states = {item.state for item in account.capabilities if item.name in _RECEIVING}
    if _ACTIVE not in states:
        yield Finding(Code.TRANSFERS_DISABLED, "", account.connected_account_id)


def _paying_out(account: AccountFacts, currency_code: str) -> Iterator[Finding]:
    if not account.payouts_enabled:
        yield Finding(Code.PAYOUTS_DISABLED, "", account.connected_account_id)
    if not account.external_accounts and account.external_account_errored:
        yield Finding(Code.EXTERNAL_ACCOUNT_ERRORED, "", account.connected_account_id)
    for external in destinations(account.external_accounts, currency_code):
        detail = f"{external.external_account_id}: {external.state}"
        if external.state in STOPPED:
            yield Finding(Code.EXTERNAL_ACCOUNT_ERRORED, "", detail)
        elif external.state in DOUBTFUL:
            yield Finding(Code.REQUIREMENT_DUE_SOON, "", detail)
        elif external.state not in KNOWN:
            yield Finding(Code.DISABLED_REASON_UNKNOWN, "", detail)


def disabled_reasons(account: AccountFacts, kind: CheckKind) -> Iterator[Finding]:
    reason = account.disabled_reason
    if reason in _ACCOUNT_REJECTED:
        yield Finding(Code.ACCOUNT_REJECTED, "", reason)
    elif reason in _ACCOUNT_RESTRICTED:
        yield Finding(Code.ACCOUNT_RESTRICTED, "", reason)
    elif reason and reason not in _ACCOUNT_EXPLAINED:
        yield Finding(Code.DISABLED_REASON_UNKNOWN, "", reason)
    for capability in account.capabilities:
        unknown = (
            capability.disabled_reason and capability.disabled_reason not in _CAPABILITY_REASONS
        )
        if unknown and concerns(capability.name, kind):
            detail = f"{capability.name}: {capability.disabled_reason}"
            yield Finding(Code.DISABLED_REASON_UNKNOWN, "", detail)


def due(
    account: AccountFacts,
    kind: CheckKind,
    as_of: datetime,
    notice: timedelta,
    is_concerned: Callable[[RequirementFacts, CheckKind], bool],
) -> Iterator[Finding]:
    """What Stripe wants soon, or wanted already, of what `is_concerned` says."""
    for requirement in account.requirements:
        if not is_concerned(requirement, kind):
            continue
        if is_past_due(requirement, as_of):
            yield Finding(Code.REQUIREMENT_DUE_SOON, "", f"{requirement.field}: past due")
        elif requirement.deadline_time and requirement.deadline_time - as_of <= notice:
            yield Finding(Code.REQUIREMENT_DUE_SOON, "", requirement.field)


def is_past_due(requirement: RequirementFacts, as_of: datetime) -> bool:
    """Past due by Stripe's word, or since: a deadline needs fields handed in *and* verified.

    A future requirement's deadline is when it begins to count, possibly past due at once.
    """
    if requirement.severity >= PAST_DUE:
        return True
    counts = requirement.severity >= PENDING_VERIFICATION or requirement.future
    return counts and requirement.deadline_time is not None and requirement.deadline_time <= as_of


def matters(requirement: RequirementFacts, kind: CheckKind) -> bool:
    """Whether this kind of movement waits for the requirement."""
    if kind is CheckKind.PAYOUT:
        return True
    if requirement.capabilities:
        return any(concerns(name, kind) for name in requirement.capabilities)
    first = requirement.field.partition(".")[0]
    return first not in _PAYOUT_ONLY and not first.startswith(_PAYOUT_ONLY_IDS)


def concerns(capability: str, kind: CheckKind) -> bool:
    """Whether a capability is needed for this: charges need the payment methods' ones."""
    if kind is CheckKind.PAYMENT:
        return capability.endswith("_payments")
    return capability == "transfers"


def _tax(account: AccountFacts) -> Iterator[Finding]:
    if account.tax_settings_state != "ACTIVE":
        yield Finding(Code.TAX_NOT_READY, "", account.tax_settings_state)
    for tax_id in account.tax_ids:
        verified = tax_id.verification == "VERIFIED"
        # A registry that knows the number is right, whatever our check of its form says.
        if tax_id.verification == "UNVERIFIED" or (tax_id.format == "INVALID" and not verified):
            yield Finding(Code.TAX_ID_INVALID, "", account.connected_account_id)
        if tax_id.verification in ("PENDING", "UNAVAILABLE"):
            yield Finding(Code.TAX_ID_UNCONFIRMED, "", tax_id.verification)
        if verified and not tax_id.name_agrees:
            yield Finding(Code.TAX_NAME_DIFFERS, "", account.connected_account_id)

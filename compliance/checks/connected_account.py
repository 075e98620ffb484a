"""What a connected account's state at Stripe means for a charge, a transfer and a payout.

Stripe's words are those of its Python SDK 16.1 (Account.Requirements.disabled_reason and
Capability.Requirements.disabled_reason): two different sets, and both may grow without notice.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from compliance.checks.facts import AccountFacts, CheckKind, RequirementFacts
from compliance.checks.findings import Code, Finding

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
# A payout destination is missing: that stops payouts and nothing else.
_PAYOUT_ONLY_FIELDS = frozenset({"external_account"})


def account_findings(
    account: AccountFacts, kind: CheckKind, as_of: datetime, notice: timedelta
) -> Iterator[Finding]:
    """What stands against this kind of movement of money, by what Stripe said."""
    yield from _permission(account, kind)
    yield from _disabled_reasons(account, kind)
    yield from _requirements(account, kind, as_of, notice)
    if kind is CheckKind.PAYMENT:
        yield from _tax(account)


def _permission(account: AccountFacts, kind: CheckKind) -> Iterator[Finding]:
    about = account.connected_account_id
    if kind is CheckKind.PAYMENT and not account.charges_enabled:
        yield Finding(Code.CHARGES_DISABLED, "", about)
    if kind is CheckKind.TRANSFER:
        states = {capability.name: capability.state for capability in account.capabilities}
        if states.get("transfers") != "ACTIVE":
            yield Finding(Code.TRANSFERS_DISABLED, "", about)
    if kind is CheckKind.PAYOUT:
        if not account.payouts_enabled:
            yield Finding(Code.PAYOUTS_DISABLED, "", about)
        if account.external_account_errored:
            yield Finding(Code.EXTERNAL_ACCOUNT_ERRORED, "", about)


def _disabled_reasons(account: AccountFacts, kind: CheckKind) -> Iterator[Finding]:
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
        if unknown and _concerns(capability.name, kind):
            detail = f"{capability.name}: {capability.disabled_reason}"
            yield Finding(Code.DISABLED_REASON_UNKNOWN, "", detail)


def _requirements(
    account: AccountFacts, kind: CheckKind, as_of: datetime, notice: timedelta
) -> Iterator[Finding]:
    for requirement in account.requirements:
        if not _matters(requirement, kind):
            continue
        if _is_past_due(requirement, as_of):
            yield Finding(Code.REQUIREMENTS_PAST_DUE, "", requirement.field)
        elif requirement.deadline_time and requirement.deadline_time - as_of <= notice:
            yield Finding(Code.REQUIREMENT_DUE_SOON, "", requirement.field)


def _is_past_due(requirement: RequirementFacts, as_of: datetime) -> bool:
    """Past due by Stripe's word, or since: a deadline needs fields handed in *and* verified.

    A future requirement's deadline is when it begins to count, possibly past due at once.
    """
    if requirement.severity >= PAST_DUE:
        return True
    counts = requirement.severity >= PENDING_VERIFICATION or requirement.future
    return counts and requirement.deadline_time is not None and requirement.deadline_time <= as_of


def _matters(requirement: RequirementFacts, kind: CheckKind) -> bool:
    if kind is CheckKind.PAYOUT:
        return True
    if requirement.capabilities:
        return any(_concerns(name, kind) for name in requirement.capabilities)
    return requirement.field not in _PAYOUT_ONLY_FIELDS


def _concerns(capability: str, kind: CheckKind) -> bool:
    """Whether a capability is needed for this: charges need the payment methods' ones."""
    if kind is CheckKind.PAYMENT:
        return capability.endswith("_payments")
    return capability == "transfers"


def _tax(account: AccountFacts) -> Iterator[Finding]:
    if account.tax_settings_state != "ACTIVE":
        yield Finding(Code.TAX_NOT_READY, "", account.tax_settings_state)
    for tax_id in account.tax_ids:
        if tax_id.format == "INVALID" or tax_id.verification == "UNVERIFIED":
            yield Finding(Code.TAX_ID_INVALID, "", account.connected_account_id)
        if tax_id.verification in ("PENDING", "UNAVAILABLE"):
            yield Finding(Code.TAX_ID_UNCONFIRMED, "", tax_id.verification)
        if tax_id.verification == "VERIFIED" and not tax_id.name_agrees:
            yield Finding(Code.TAX_NAME_DIFFERS, "", account.connected_account_id)

"""The rules of earlier releases, by which their decisions are replayed. Nothing here may change.

Records before number 2 say no number; they were decided by number 1. Number 3 asks which external
account a payout goes to, and number 4 how often a merchant's payments are disputed and refunded.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from compliance.checks import rules
from compliance.checks.ages import is_too_old
from compliance.checks.connected_account import (
    charging,
    concerns,
    disabled_reasons,
    due,
    is_past_due,
)
from compliance.checks.facts import AccountFacts, CheckFacts, CheckKind, RequirementFacts
from compliance.checks.findings import Code, Finding
from compliance.checks.history_rules import history_is_within_limits
from compliance.checks.policy import Policy
from compliance.checks.rules import (
    RULES,
    RULES_VERSION,
    Rule,
    must_be_asked_again,
)


def countries_are_permitted_1(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Knew no dates: a country was prohibited, or not."""
    for country in facts.country_codes:
        if country in policy.prohibited_country_codes:
            yield Finding(Code.COUNTRY_PROHIBITED, "", country)
    for subject in facts.subjects:
        if subject.country_code in policy.prohibited_country_codes:
            yield Finding(Code.COUNTRY_PROHIBITED, subject.subject_id, subject.country_code)


def account_is_in_order_1(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Stopped at a requirement that was past due, and asked for no capability of a charge."""
    expected = facts.expected_account_id
    if not expected:
        return
    account = facts.account
    if account is None or account.connected_account_id != expected:
        yield Finding(Code.SNAPSHOT_MISSING, facts.merchant_id, expected)
        return
    if is_too_old(account.fetch_time, facts.as_of, policy.snapshot_max_age):
        yield Finding(Code.SNAPSHOT_STALE, facts.merchant_id, expected)
    yield from _permission_1(account, facts.kind)
    yield from disabled_reasons(account, facts.kind)
    yield from _requirements_1(account, facts.kind, facts.as_of, policy.requirement_notice)
    if facts.kind is CheckKind.PAYMENT:
        yield from _tax_1(account)


def _permission_1(account: AccountFacts, kind: CheckKind) -> Iterator[Finding]:
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


def _requirements_1(
    account: AccountFacts, kind: CheckKind, as_of: datetime, notice: timedelta
) -> Iterator[Finding]:
    for requirement in account.requirements:
        if not matters_2(requirement, kind):
            continue
        if is_past_due(requirement, as_of):
            yield Finding(Code.REQUIREMENTS_PAST_DUE, "", requirement.field)
        elif requirement.deadline_time and requirement.deadline_time - as_of <= notice:
            yield Finding(Code.REQUIREMENT_DUE_SOON, "", requirement.field)


def _tax_1(account: AccountFacts) -> Iterator[Finding]:
    if account.tax_settings_state != "ACTIVE":
        yield Finding(Code.TAX_NOT_READY, "", account.tax_settings_state)
    for tax_id in account.tax_ids:
        if tax_id.format == "INVALID" or tax_id.verification == "UNVERIFIED":
            yield Finding(Code.TAX_ID_INVALID, "", account.connected_account_id)
        if tax_id.verification in ("PENDING", "UNAVAILABLE"):
            yield Finding(Code.TAX_ID_UNCONFIRMED, "", tax_id.verification)
        if tax_id.verification == "VERIFIED" and not tax_id.name_agrees:
            yield Finding(Code.TAX_NAME_DIFFERS, "", account.connected_account_id)


RULES_1: tuple[Rule, ...] = (
    rules.subjects_are_known,
    rules.subjects_belong_together,
    rules.subjects_take_part,
    rules.merchant_is_identified,
    countries_are_permitted_1,
    rules.lists_are_fresh,
    rules.subjects_are_screened,
    account_is_in_order_1,
    rules.amount_is_within_limits,
)


def account_is_in_order_2(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Knew no currencies of bank accounts: one that was errored stopped every payout."""
    expected = facts.expected_account_id
    if not expected:
        return
    account = facts.account
    if account is None or account.connected_account_id != expected:
        yield Finding(Code.SNAPSHOT_MISSING, facts.merchant_id, expected)
        return
    if must_be_asked_again(account, facts.as_of, policy):
        yield Finding(Code.SNAPSHOT_STALE, facts.merchant_id, expected)
    yield from charging(
        account,
        facts.kind,
        facts.payment_method_type,
        is_destination=bool(facts.connected_account_id),
    )
    if facts.kind is CheckKind.PAYOUT:
        if not account.payouts_enabled:
            yield Finding(Code.PAYOUTS_DISABLED, "", account.connected_account_id)
        if account.external_account_errored:
            yield Finding(Code.EXTERNAL_ACCOUNT_ERRORED, "", account.connected_account_id)
    yield from disabled_reasons(account, facts.kind)
    yield from due(account, facts.kind, facts.as_of, policy.requirement_notice, matters_2)


def matters_2(requirement: RequirementFacts, kind: CheckKind) -> bool:
    """Knew no requirements of bank accounts themselves."""
    if kind is CheckKind.PAYOUT:
        return True
    if requirement.capabilities:
        return any(concerns(name, kind) for name in requirement.capabilities)
    return requirement.field != "external_account"


# Looked at nothing that happened before.
RULES_2: tuple[Rule, ...] = (
    rules.subjects_are_known,
    rules.subjects_belong_together,
    rules.subjects_take_part,
    rules.merchant_is_identified,
    rules.countries_are_permitted,
    rules.lists_are_fresh,
    rules.subjects_are_screened,
    account_is_in_order_2,
    rules.amount_is_within_limits,
    rules.operators_rules_hold,
    rules.case_was_not_refused,
)
# Knew no rates.
RULES_3: tuple[Rule, ...] = (
    rules.subjects_are_known,
    rules.subjects_belong_together,
    rules.subjects_take_part,
    rules.merchant_is_identified,
    rules.countries_are_permitted,
    rules.lists_are_fresh,
    rules.subjects_are_screened,
    rules.account_is_in_order,
    rules.amount_is_within_limits,
    history_is_within_limits,
    rules.operators_rules_hold,
    rules.case_was_not_refused,
)
_BY_VERSION: dict[int, Sequence[Rule]] = {
    1: RULES_1,
    2: RULES_2,
    3: RULES_3,
    RULES_VERSION: RULES,
}


def rules_of(version: int) -> Sequence[Rule]:
    """The rules of a number; those of now for one that a later release gave."""
    return _BY_VERSION.get(version, RULES)

"""The rules: from facts and policy to findings. Pure, total and monotone.

Each rule looks at one side of the facts and yields what it finds; the verdict is the worst
finding's. No rule looks at another's findings, so one more finding never makes a verdict better.
Age is counted against `as_of`; a limit holds up to and including its value.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from compliance.checks.ages import is_too_old
from compliance.checks.connected_account import account_findings, missed_deadline
from compliance.checks.expressions import ExpressionError, holds, values_of
from compliance.checks.facts import AccountFacts, CheckFacts, CheckKind, Role, SubjectFacts
from compliance.checks.findings import Code, Finding, Verdict
from compliance.checks.history_rules import history_is_within_limits
from compliance.checks.identity_rules import identities_are_verified
from compliance.checks.policy import Policy
from compliance.checks.rate_rules import rates_are_within_limits
from compliance.checks.rulings import TOO_MANY_OWNERS, Ruling, is_covered

Rule = Callable[[CheckFacts, Policy], Iterator[Finding]]

_BLOCKED = {
    Role.MERCHANT: Code.MERCHANT_BLOCKED,
    Role.OWNER: Code.OWNER_BLOCKED,
    Role.CUSTOMER: Code.CUSTOMER_BLOCKED,
}
_SANCTIONED = {
    Role.MERCHANT: Code.MERCHANT_SANCTIONED,
    Role.OWNER: Code.OWNER_SANCTIONED,
    Role.CUSTOMER: Code.CUSTOMER_SANCTIONED,
}
_MATCH_OPEN = {
    Role.MERCHANT: Code.MERCHANT_MATCH_OPEN,
    Role.OWNER: Code.OWNER_MATCH_OPEN,
    Role.CUSTOMER: Code.CUSTOMER_MATCH_OPEN,
}
_OPERATORS = {"REVIEW": Code.POLICY_RULE_REVIEW, "DENY": Code.POLICY_RULE_DENIED}


def evaluate(
    facts: CheckFacts, policy: Policy, rules: Sequence[Rule] | None = None
) -> tuple[Finding, ...]:
    """Everything that the rules find, the worst first, each finding once.

    Without `rules` it is those of now. What a person approved is found all the same, and said to be
    approved.
    """
    chosen = RULES if rules is None else rules
    found = {finding for rule in chosen for finding in rule(facts, policy)}
    if facts.ruling is not None:
        movement, participants = facts.movement, facts.participants
        found = {
            replace(
                finding,
                approved=is_covered(finding, facts.ruling, movement, participants, policy.version),
            )
            for finding in found
        }
    return tuple(sorted(found, key=lambda finding: finding.precedence))


def verdict_of(findings: tuple[Finding, ...]) -> Verdict:
    """The worst verdict of the findings; ALLOW if there are none."""
    return max((finding.verdict for finding in findings), default=Verdict.ALLOW)


def must_be_asked_again(account: AccountFacts, as_of: datetime, policy: Policy) -> bool:
    """Whether what Stripe said is too old, or from before a deadline that passed since."""
    return (
        is_too_old(account.fetch_time, as_of, policy.snapshot_max_age)
        or missed_deadline(account, as_of) is not None
    )


def subjects_are_known(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """Who is unknown, or is not what it is asked for as, waits for a person."""
    if facts.merchant is None or facts.merchant.kind != Role.MERCHANT:
        yield Finding(Code.MERCHANT_UNKNOWN, facts.merchant_id)
    if facts.customer_id and (facts.customer is None or facts.customer.kind != Role.CUSTOMER):
        yield Finding(Code.CUSTOMER_UNKNOWN, facts.customer_id)


def subjects_belong_together(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """The account is the merchant's; the customer is the merchant's or everybody's."""
    merchant, customer = facts.merchant, facts.customer
    if merchant is not None:
        if facts.connected_account_id not in ("", merchant.connected_account_id):
            yield Finding(Code.SUBJECT_MISMATCH, merchant.subject_id, "connected account")
        if merchant.connected_account_id and merchant.corridor != facts.corridor:
            yield Finding(Code.SUBJECT_MISMATCH, merchant.subject_id, "Stripe account")
    if customer is not None and customer.parent_subject_id not in ("", facts.merchant_id):
        yield Finding(Code.SUBJECT_MISMATCH, customer.subject_id, "customer of another merchant")


def subjects_take_part(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """Who is blocked, closed or was rejected takes no part. A closed owner has left."""
    for subject in facts.subjects:
        closed_owner = subject.role is Role.OWNER and subject.state == "CLOSED"
        if closed_owner:
            continue
        if subject.state != "ACTIVE":
            yield Finding(_BLOCKED[subject.role], subject.subject_id, subject.state)
        if subject.kyc_state == "REJECTED":
            yield Finding(Code.KYC_REJECTED, subject.subject_id)


def merchant_is_identified(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """The merchant's identity is proven, and the proof has not run out."""
    merchant = facts.merchant
    if merchant is None:
        return
    if merchant.kyc_state not in ("VERIFIED", "REJECTED"):
        yield Finding(Code.KYC_INCOMPLETE, merchant.subject_id, merchant.kyc_state)
    expire_time = merchant.kyc_expire_time
    if expire_time is not None and expire_time <= facts.as_of:
        yield Finding(Code.KYC_EXPIRED, merchant.subject_id)


def countries_are_permitted(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """No country of the request or of a subject is prohibited at the time."""
    for country in facts.country_codes:
        if policy.prohibits(country, facts.as_of):
            yield Finding(Code.COUNTRY_PROHIBITED, "", country)
    for subject in facts.subjects:
        if policy.prohibits(subject.country_code, facts.as_of):
            yield Finding(Code.COUNTRY_PROHIBITED, subject.subject_id, subject.country_code)


def lists_are_fresh(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Every required list was loaded, and not too long ago."""
    if not facts.lists:
        yield Finding(Code.LIST_MISSING)
    for item in facts.lists:
        if item.confirm_time is None:
            yield Finding(Code.LIST_MISSING, "", item.list)
        elif is_too_old(item.confirm_time, facts.as_of, policy.list_max_age):
            yield Finding(Code.LIST_STALE, "", item.list)
        elif is_too_old(item.confirm_time, facts.as_of, policy.list_warn_age):
            yield Finding(Code.LIST_AGING, "", item.list)


def subjects_are_screened(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """Every subject as it is now was compared with every list in use, and nothing is open."""
    if facts.owners_truncated:
        yield Finding(Code.SCREENING_PENDING, facts.merchant_id, TOO_MANY_OWNERS)
    for subject in facts.subjects:
        if subject.confirmed_match_ids:
            yield Finding(
                _SANCTIONED[subject.role],
                subject.subject_id,
                ",".join(sorted(subject.confirmed_match_ids)),
            )
        if subject.open_match_ids:
            yield Finding(
                _MATCH_OPEN[subject.role],
                subject.subject_id,
                ",".join(sorted(subject.open_match_ids)),
            )
        for item in facts.lists:
            if item.confirm_time is not None and not _is_screened(subject, item.list, item.version):
                yield Finding(Code.SCREENING_PENDING, subject.subject_id, item.list)
        if not all(screening.is_comparable for screening in subject.screenings):
            yield Finding(Code.NAME_NOT_COMPARABLE, subject.subject_id)


def _is_screened(subject: SubjectFacts, list_name: str, version: int) -> bool:
    return any(
        screening.list == list_name
        and screening.list_version >= version
        and screening.profile_revision == subject.profile_revision
        for screening in subject.screenings
    )


def account_is_in_order(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """What Stripe says of the connected account permits this kind of movement, and is fresh."""
    expected = facts.expected_account_id
    if not expected:
        return
    account = facts.account
    if account is None or account.connected_account_id != expected:
        yield Finding(Code.SNAPSHOT_MISSING, facts.merchant_id, expected)
        return
    if must_be_asked_again(account, facts.as_of, policy):
        yield Finding(Code.SNAPSHOT_STALE, facts.merchant_id, expected)
    yield from account_findings(
        account,
        facts.kind,
        facts.as_of,
        policy.requirement_notice,
        payment_method_type=facts.payment_method_type,
        is_destination=bool(facts.connected_account_id),
        currency_code=facts.currency_code,
    )


def amount_is_within_limits(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """The amount of a payment is within the limits of its currency."""
    if facts.kind is not CheckKind.PAYMENT:
        return
    limits = policy.limits_of(facts.currency_code)
    if limits is None:
        yield Finding(Code.CURRENCY_NOT_COVERED, "", facts.currency_code)
        return
    if facts.amount_minor > limits.deny_over_minor:
        yield Finding(Code.AMOUNT_OVER_MAXIMUM, "", f"{limits.deny_over_minor}")
    if facts.amount_minor > limits.review_over_minor:
        yield Finding(Code.AMOUNT_OVER_REVIEW_LIMIT, "", f"{limits.review_over_minor}")
    if not facts.customer_id and facts.amount_minor > limits.guest_review_over_minor:
        yield Finding(Code.PAYER_UNIDENTIFIED, "", f"{limits.guest_review_over_minor}")


def operators_rules_hold(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """What the policy's own rules say; one that ends with an error is for a person to look at."""
    if not policy.rules:
        return
    values = values_of(facts)
    for rule in policy.rules:
        try:
            found = holds(rule.expression, values)
        except ExpressionError:
            # Its words are the engine's, which may change: what is stored is which rule it was.
            yield Finding(Code.POLICY_RULE_BROKEN, "", rule.name)
            continue
        if found:
            yield Finding(_OPERATORS[rule.verdict], "", rule.name)


def case_was_not_refused(facts: CheckFacts, _policy: Policy) -> Iterator[Finding]:
    """What a person refused, or nobody decided in time, does not happen, however it changes."""
    ruling = facts.ruling
    if ruling is not None and ruling.ruling is Ruling.REFUSED:
        yield Finding(Code.CASE_REFUSED, "", ruling.case_id)
    if ruling is not None and ruling.ruling is Ruling.EXPIRED:
        yield Finding(Code.CASE_EXPIRED, "", ruling.case_id)


# What is found of the same facts by the same policy never changes under one number: a rule that
# finds something else is a new number, and what it found before goes to `earlier_rules`.
RULES_VERSION = 4
RULES: tuple[Rule, ...] = (
    subjects_are_known,
    subjects_belong_together,
    subjects_take_part,
    merchant_is_identified,
    countries_are_permitted,
    lists_are_fresh,
    subjects_are_screened,
    account_is_in_order,
    amount_is_within_limits,
    history_is_within_limits,
    rates_are_within_limits,
    identities_are_verified,
    operators_rules_hold,
    case_was_not_refused,
)

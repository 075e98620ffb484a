"""The rules of earlier releases, by which their decisions are replayed. Nothing here may change.

Records before number 2 say no number; they were decided by number 1.
"""

from collections.abc import Iterator, Sequence

from compliance.checks import rules
from compliance.checks.facts import CheckFacts
from compliance.checks.findings import Code, Finding
from compliance.checks.policy import Policy
from compliance.checks.rules import RULES, RULES_VERSION, Rule


def countries_are_permitted_1(facts: CheckFacts, policy: Policy) -> Iterator[Finding]:
    """Knew no dates: a country was prohibited, or not."""
    for country in facts.country_codes:
        if country in policy.prohibited_country_codes:
            yield Finding(Code.COUNTRY_PROHIBITED, "", country)
    for subject in facts.subjects:
        if subject.country_code in policy.prohibited_country_codes:
            yield Finding(Code.COUNTRY_PROHIBITED, subject.subject_id, subject.country_code)


RULES_1: tuple[Rule, ...] = (
    rules.subjects_are_known,
    rules.subjects_belong_together,
    rules.subjects_take_part,
    rules.merchant_is_identified,
    countries_are_permitted_1,
    rules.lists_are_fresh,
    rules.subjects_are_screened,
    rules.account_is_in_order,
    rules.amount_is_within_limits,
)
_BY_VERSION: dict[int, Sequence[Rule]] = {1: RULES_1, RULES_VERSION: RULES}


def rules_of(version: int) -> Sequence[Rule]:
    """The rules of a number; those of now for one that a later release gave."""
    return _BY_VERSION.get(version, RULES)

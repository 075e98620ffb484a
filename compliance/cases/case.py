"""What may become of a case: pure rules, from a case and what happened to what is written down.

A movement has one open case, however often it is checked. When it is found otherwise than before,
the case has a new revision, and whoever approved the one before has approved nothing of this one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from compliance.checks.facts import CheckFacts
from compliance.checks.findings import Finding, Verdict
from compliance.checks.policy import Policy
from compliance.checks.rulings import (
    OF_A_POLICY_VERSION,
    Ruling,
    RulingFacts,
    Scope,
    is_as_seen,
    is_same,
)

# Half of what a built-in policy lets pass at all: near 50,000 EUR.
FOUR_EYES_TIMES_REVIEW_LIMIT = 5


class CaseState(StrEnum):
    """Where a case is. All but OPEN are for good."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    # What it was about is gone, or has become a denial or another movement.
    CLEARED = "CLEARED"
    SUPERSEDED = "SUPERSEDED"


class CaseEventKind(StrEnum):
    """What happened to a case."""

    OPENED = "OPENED"
    CHANGED = "CHANGED"
    ASSIGNED = "ASSIGNED"
    NOTED = "NOTED"
    APPROVED_ONCE = "APPROVED_ONCE"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    CLEARED = "CLEARED"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True)
class ReviewCase:
    """A case as it is stored; `ordinal` is 0 before it is."""

    case_id: str
    state: CaseState
    scope: Scope
    revision: int
    decision_id: str
    corridor: str
    check_time: datetime
    open_time: datetime
    expire_time: datetime
    assignee: str = ""
    first_approver: str = ""
    close_time: datetime | None = None
    closed_by: str = ""
    close_note: str = ""
    ruling: RulingFacts | None = None
    ordinal: int = 0


@dataclass(frozen=True)
class CaseChange:
    """A case as it is now, and what happened; `event` is None where nothing is worth telling."""

    case: ReviewCase
    event: CaseEventKind | None
    client: str = ""
    note: str = ""
    # Whether the scope is a new one.
    is_new_scope: bool = False


@dataclass(frozen=True)
class Checked:
    """What a check, or a look at the same facts, has found."""

    verdict: Verdict
    scope: Scope
    as_of: datetime
    corridor: str = ""
    # The decision that is in the log; empty for a look.
    decision_id: str = ""
    # The ruling that was known then; empty for none.
    ruling_case_id: str = ""
    # Which case was looked at; empty for a check.
    looked_case_id: str = ""


def scope_of(facts: CheckFacts, findings: Iterable[Finding], policy_version: str) -> Scope:
    """What a case about these findings is about, which were found by that policy."""
    reviewed = tuple(
        replace(found, approved=False) for found in findings if found.alone is Verdict.REVIEW
    )
    by_its_rules = any(found.code in OF_A_POLICY_VERSION for found in reviewed)
    version = policy_version if by_its_rules else ""
    return Scope(facts.movement, facts.participants, reviewed, version)


def after_check(
    open_case: ReviewCase | None,
    ruling_case_id: str,
    checked: Checked,
    new_case_id: str,
    open_for: timedelta,
) -> tuple[CaseChange, ...]:
    """What a check changes; `ruling_case_id` is the last decided case of the movement by now."""
    if open_case is None:
        # A case that was decided while the check was under way is not opened anew: whoever asks
        # again is answered by what was decided. Looks open none.
        if not checked.decision_id:
            return ()
        if checked.verdict is not Verdict.REVIEW or checked.ruling_case_id != ruling_case_id:
            return ()
        return (_opened(checked, new_case_id, open_for),)
    if checked.as_of < open_case.check_time:
        return ()
    if checked.looked_case_id not in ("", open_case.case_id):
        # It was decided meanwhile, and this is a later one of the movement.
        return ()
    if checked.verdict is Verdict.ALLOW:
        note = "nothing stands against it any more"
        return (_closed(open_case, CaseState.CLEARED, checked.as_of, note=note),)
    if checked.verdict is Verdict.DENY:
        note = "it is denied by now"
        return (_closed(open_case, CaseState.SUPERSEDED, checked.as_of, note=note),)
    if open_case.scope.movement != checked.scope.movement:
        note = "another movement under the same id"
        old = _closed(open_case, CaseState.SUPERSEDED, checked.as_of, note=note)
        return (old, _opened(checked, new_case_id, open_for))
    seen = open_case
    if checked.decision_id:
        seen = replace(
            open_case,
            check_time=checked.as_of,
            decision_id=checked.decision_id,
            corridor=checked.corridor,
            # The same movement, with the card as it is known by now.
            scope=replace(open_case.scope, movement=checked.scope.movement),
        )
    elif not all(is_as_seen(found, open_case.scope.findings) for found in checked.scope.findings):
        # A look fetches no evidence: what it finds besides is left to a check.
        return ()
    if is_same(checked.scope, open_case.scope):
        return (CaseChange(seen, None),) if checked.decision_id else ()
    changed = replace(seen, scope=checked.scope, revision=open_case.revision + 1, first_approver="")
    return (CaseChange(changed, CaseEventKind.CHANGED, is_new_scope=True),)


def assigned(case: ReviewCase, assignee: str, client: str, note: str) -> CaseChange:
    """The case is somebody's, or with an empty name nobody's."""
    return CaseChange(replace(case, assignee=assignee), CaseEventKind.ASSIGNED, client, note)


def approved_once(case: ReviewCase, client: str, reason: str) -> CaseChange:
    """The first of two has approved it."""
    return CaseChange(
        replace(case, first_approver=client), CaseEventKind.APPROVED_ONCE, client, reason
    )


def approved(case: ReviewCase, client: str, reason: str, now: datetime) -> CaseChange:
    """The movement may happen, as far as the case says."""
    return _closed(case, CaseState.APPROVED, now, client, reason)


def refused(case: ReviewCase, client: str, reason: str, now: datetime) -> CaseChange:
    """The movement does not happen."""
    return _closed(case, CaseState.REFUSED, now, client, reason)


def overdue(case: ReviewCase, now: datetime) -> CaseChange:
    """The end of a case whose time is over: nobody decided it, or nobody asks about it any more.

    Whoever does ask again opens another one.
    """
    if case.expire_time <= now:
        return _closed(case, CaseState.EXPIRED, now, note="nobody decided it in time")
    return _closed(case, CaseState.CLEARED, now, note="nobody has asked about it any more")


def needs_two(scope: Scope, limits: Mapping[str, int]) -> bool:
    """Whether two people have to approve: over the currency's limit in minor units, and always
    where the currency has none."""
    limit = limits.get(scope.movement.currency_code)
    return limit is None or scope.movement.amount_minor > limit


def four_eyes_limits(policy: Policy, given: Mapping[str, int]) -> dict[str, int]:
    """The largest amounts that one person may approve: those given, else by the policy's review
    limits."""
    by_policy = {
        limits.currency_code: FOUR_EYES_TIMES_REVIEW_LIMIT * limits.review_over_minor
        for limits in policy.limits
    }
    return {**by_policy, **given}


def _opened(checked: Checked, case_id: str, open_for: timedelta) -> CaseChange:
    case = ReviewCase(
        case_id=case_id,
        state=CaseState.OPEN,
        scope=checked.scope,
        revision=1,
        decision_id=checked.decision_id,
        corridor=checked.corridor,
        check_time=checked.as_of,
        open_time=checked.as_of,
        expire_time=checked.as_of + open_for,
    )
    return CaseChange(case, CaseEventKind.OPENED, is_new_scope=True)


def _closed(
    case: ReviewCase, state: CaseState, now: datetime, client: str = "", note: str = ""
) -> CaseChange:
    ruling = None
    if state in Ruling.__members__:
        deciders = tuple(name for name in (case.first_approver, client) if name)
        if state is not CaseState.APPROVED:
            deciders = (client,) if client else ()
        ruling = RulingFacts(case.case_id, Ruling(state), now, deciders, case.scope)
    after = replace(
        case, state=state, close_time=now, closed_by=client, close_note=note, ruling=ruling
    )
    return CaseChange(after, CaseEventKind(state), client, note)

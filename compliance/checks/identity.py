"""What checks know of verifications by Stripe Identity, and what a policy wants of them. Pure.

Facts say that somebody was verified, when and how; never who that is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class VerificationFacts:
    """One verification of a subject; the words are those of the contract's enums.

    `counts` is whether it proves who the subject is: it is verified, and what was collected is
    still at Stripe. `error_code` is Stripe's, of the last attempt.
    """

    verification_id: str
    session_id: str
    type: str
    state: str
    error_code: str
    with_selfie: bool
    counts: bool
    verify_time: datetime | None
    update_time: datetime


@dataclass(frozen=True)
class VerificationRequirement:
    """Who has to be verified, and how long ago at most: `subject_kind` is a Role, `type` one that
    counts, empty for any. It is asked for over `over_percent` of the currency's review limit, and
    what lacks it has the outcome, a word of Verdict."""

    subject_kind: str
    max_age: timedelta
    outcome: str
    over_percent: int = 0
    type: str = ""

    @property
    def name(self) -> str:
        """What is wanted, for operators: "CUSTOMER DOCUMENT within 365 days over 50 %"."""
        words = (self.subject_kind, self.type, f"within {self.max_age.days} days")
        over = f"over {self.over_percent} %" if self.over_percent else ""
        return " ".join(word for word in (*words, over) if word)


def proofs(
    verifications: Iterable[VerificationFacts], type_wanted: str = ""
) -> tuple[tuple[datetime, VerificationFacts], ...]:
    """Those that count, of a type if one is wanted, with their times, the newest first."""
    found = [
        (one.verify_time, one)
        for one in verifications
        if one.counts and one.verify_time is not None and type_wanted in ("", one.type)
    ]
    return tuple(sorted(found, key=lambda pair: pair[0], reverse=True))

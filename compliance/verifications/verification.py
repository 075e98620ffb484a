"""A verification as it is kept, and what checks go by. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from compliance.checks.identity import VerificationFacts


@dataclass(frozen=True)
class Verification:
    """One check of a subject's identity; the words are those of the contract's enums."""

    verification_id: str
    subject_id: str
    type: str
    state: str
    error_code: str
    redaction: str
    with_selfie: bool
    stripe_session_id: str
    verify_time: datetime | None
    create_time: datetime
    update_time: datetime
    # The gateway's change that this is from.
    sequence: int

    @property
    def counts(self) -> bool:
        """Whether it proves who the subject is: not without what was collected."""
        return self.state == "VERIFIED" and not self.redaction and self.verify_time is not None

    @property
    def waits_for_person(self) -> bool:
        """Whether there is somewhere for the person to go."""
        return self.state == "REQUIRES_INPUT" and not self.redaction

    def to_facts(self) -> VerificationFacts:
        """What checks see of it."""
        return VerificationFacts(
            verification_id=self.verification_id,
            session_id=self.stripe_session_id,
            type=self.type,
            state=self.state,
            error_code=self.error_code,
            with_selfie=self.with_selfie,
            counts=self.counts,
            verify_time=self.verify_time,
            update_time=self.update_time,
        )


def identity_of(verifications: Iterable[Verification]) -> tuple[VerificationFacts, ...]:
    """What checks go by of a subject: of each type the newest that counts, and the last attempt."""
    known = sorted(verifications, key=lambda one: (one.create_time, one.verification_id))
    chosen: dict[str, Verification] = {}
    newest: dict[str, Verification] = {}
    for one in known:
        if one.counts and (one.type not in newest or _time(one) >= _time(newest[one.type])):
            newest[one.type] = one
    for one in (*newest.values(), *known[-1:]):
        chosen[one.verification_id] = one
    return tuple(chosen[name].to_facts() for name in sorted(chosen))


def _time(verification: Verification) -> datetime:
    assert verification.verify_time is not None, "it counts"
    return verification.verify_time

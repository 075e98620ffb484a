"""What came back from the outside world for an operation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gateway.payments.payment import ComplianceRecord
from gateway.rails.outcome import Outcome, OutcomeClass

# 409 or 400 about the key itself: the request with this key is under way or was another one.
IDEMPOTENCY_ERROR = "idempotency_error"


@dataclass(frozen=True, slots=True)
class RailReply:
    """Stripe's answer, and where it was asked for, the object as it stands now."""

    outcome: Outcome
    # The PaymentIntent as it was read after a refusal, or when finding out.
    intent: Mapping[str, Any] | None = None
    # It was looked for, and Stripe has no trace of it.
    nothing_found: bool = False

    @property
    def outcome_class(self) -> OutcomeClass:
        """The class of the outcome; a quarrel about the key leaves it UNKNOWN."""
        failure = self.outcome.failure
        if (
            self.outcome.outcome_class is OutcomeClass.REJECTED
            and failure is not None
            and failure.type == IDEMPOTENCY_ERROR
        ):
            return OutcomeClass.UNKNOWN
        return self.outcome.outcome_class

    @property
    def code(self) -> str:
        """Stripe's code of a failure; empty without one."""
        return self.outcome.failure.code if self.outcome.failure is not None else ""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Nobody was asked: the operation's deadline passed before it was ever sent."""


@dataclass(frozen=True, slots=True)
class CheckReply:
    """The answer of the compliance service; `record` is None when it could not be reached."""

    record: ComplianceRecord | None
    retry_after: timedelta | None = None


Reply = RailReply | CheckReply | GivenUp

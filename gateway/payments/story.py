"""A payment's story: what one process has written of it since it made it.

As long as every commit point of the payment was this process's own, an answer can be told from it
and nothing has to be read: what was committed last is what is known. The first sign that anybody
else had a hand in it ends the story, and answers are read again.
"""

from dataclasses import dataclass, field
from datetime import datetime

from gateway.bookkeeping.facts import Fact
from gateway.payments.operation import Operation
from gateway.payments.payment import Payment
from gateway.payments.states import PaymentState
from gateway.payments.writes import NewPayment, Progress


@dataclass(slots=True)
class Story:
    """A payment with its operations, in order, and the facts that were reported, with the time."""

    payment: Payment
    operations: dict[str, Operation]
    facts: list[tuple[Fact, datetime]] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def beginning_with(cls, new: NewPayment) -> "Story":
        """The story of a payment that was just made."""
        return cls(new.change.after, {new.operation.id: new.operation})

    def goes_on(self, progress: Progress) -> None:
        """The next commit point, which was written as it was decided."""
        if progress.changes:
            self.payment = progress.changes[-1].after
        self.operations[progress.operation.id] = progress.operation
        if progress.follow_up is not None:
            self.operations[progress.follow_up.id] = progress.follow_up
        self.facts += [(fact, progress.now) for fact in progress.facts]

    def end(self) -> None:
        """Somebody else had a hand in it."""
        self.ended = True

    @property
    def can_be_told(self) -> bool:
        """Whether an answer needs nothing but this. A place in line changes with the others."""
        return not self.ended and self.payment.state is not PaymentState.QUEUED

"""Write-through snapshots: what this process has written of a payment, so that it need not be read.

As long as every commit point of the payment was this process's own, an answer can be given from its
snapshot: what was committed last is what is known. The first sign that anybody else had a hand in
it makes the snapshot stale, and answers are read again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from gateway.bookkeeping.facts import Fact
from gateway.operations.operation import Operation
from gateway.payments.domain.payment import Payment
from gateway.payments.domain.states import PaymentState
from gateway.payments.store.group_commit import PaymentCommitter, commit_span
from gateway.payments.store.writes import NewPayment, Progress, Writes


@dataclass(slots=True)
class PaymentSnapshot:
    """A payment with its operations, in order, and the facts that were reported, with the time."""

    payment: Payment
    operations: dict[str, Operation]
    facts: list[tuple[Fact, datetime]] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def of_new(cls, new: NewPayment) -> "PaymentSnapshot":
        """The snapshot of a payment that was just made."""
        return cls(new.change.after, {new.operation.id: new.operation})

    def apply(self, progress: Progress) -> None:
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
    def is_current(self) -> bool:
        """Whether an answer needs nothing but this. The queue position changes with the others."""
        return not self.ended and self.payment.state is not PaymentState.QUEUED


# A few kilobytes each. News of a charge comes within seconds, mostly.
MAX_RECENT = 2_000


class RecentPayments:
    """The latest of them, by their PaymentIntent."""

    def __init__(self) -> None:
        self._payments: OrderedDict[str, Payment] = OrderedDict()

    def __len__(self) -> int:
        return len(self._payments)

    def remember(self, payment: Payment) -> None:
        """The payment was written like this; the one that was written longest ago makes room."""
        if not payment.payment_intent_id:
            return
        self._payments[payment.payment_intent_id] = payment
        self._payments.move_to_end(payment.payment_intent_id)
        if len(self._payments) > MAX_RECENT:
            self._payments.popitem(last=False)

    def of_intent(self, payment_intent_id: str) -> Payment | None:
        """The payment that a PaymentIntent belongs to, if it is here."""
        return self._payments.get(payment_intent_id)


class PaymentWriter:
    """Writes commit points of payments by group commit, and keeps what was written last."""

    def __init__(self, committer: PaymentCommitter) -> None:
        self.committer = committer
        self.recent = RecentPayments()

    async def write(self, part: Writes) -> bool:
        """Whether it was written as it was decided; False if it must be decided anew."""
        with commit_span():
            written = await self.committer.submit(part)
        if written and part.changes:
            self.recent.remember(part.changes[-1].after)
        return written

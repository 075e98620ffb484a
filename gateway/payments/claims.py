"""An operation that is ours to run, and the bounds within which it is."""

from dataclasses import dataclass
from datetime import timedelta

from gateway.payments.operation import Operation, Step
from gateway.payments.payment import Payment
from gateway.payments.story import Story

# Finding out asks several sources one after the other, page by page. Were it cut off after the time
# of one call, it would begin anew each time, and a payment with much traffic around it would stay
# undecided for ever.
FIND_OUT_CALLS = 10


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of one call to the outside and of the lease under which it is made."""

    call_seconds: float = 30.0
    lease: timedelta = timedelta(seconds=45)

    def __post_init__(self) -> None:
        if self.lease.total_seconds() <= self.call_seconds:
            raise ValueError("a lease must outlast the call that is made under it")

    def seconds_of(self, step: Step) -> float:
        """How long the outside may be asked in one step."""
        return self.call_seconds * (FIND_OUT_CALLS if step is Step.FIND_OUT else 1)

    @property
    def find_out_lease(self) -> timedelta:
        """The lease under which it is found out what became of an operation."""
        return self.lease + timedelta(seconds=self.seconds_of(Step.FIND_OUT) - self.call_seconds)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation whose lease we hold. `begun` says that the commit before the call is done."""

    operation: Operation
    payment: Payment | None = None
    begun: bool = False
    story: Story | None = None

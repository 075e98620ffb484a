"""An operation that is ours to run, and the bounds within which it is."""

from dataclasses import dataclass
from datetime import timedelta

from gateway.payments.operation import Operation
from gateway.payments.payment import Payment
from gateway.payments.story import Story


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Bounds of one call to the outside and of the lease under which it is made."""

    call_seconds: float = 30.0
    lease: timedelta = timedelta(seconds=45)

    def __post_init__(self) -> None:
        if self.lease.total_seconds() <= self.call_seconds:
            raise ValueError("a lease must outlast the call that is made under it")


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation whose lease we hold. `begun` says that the commit before the call is done."""

    operation: Operation
    payment: Payment | None = None
    begun: bool = False
    story: Story | None = None

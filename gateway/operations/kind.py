"""What a kind of operation is: what to send, how to look an outcome up, how to apply it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.operations.operation import (
    Operation,
    OperationKind,
    OperationState,
)
from gateway.stripe_client.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Claimed:
    """An operation whose lease we hold. `begun` says that the commit before the call is done.

    `subject` is what it is asked for, if that is at hand; `snapshot` is what the kind's writer
    keeps of it between one commit point and the next.
    """

    operation: Operation
    subject: Any = None
    begun: bool = False
    snapshot: Any = None


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that the outside was asked for, and what it said; not written down yet.

    `reply` is None if there was nothing left to ask, which is written down.
    """

    operation: Operation
    subject: Any
    reply: Any
    resend: bool = False
    snapshot: Any = None


@dataclass(frozen=True, slots=True)
class ApplyContext:
    """What applying an outcome needs besides what is written down."""

    now: datetime
    # Uniform in [0, 1).
    jitter: float
    # Whether this attempt may have been sent before.
    resend: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of an operation: as it is then, still to be saved, and what follows from it.

    A follow-up that is RUNNING is gone on with at once, by whoever has applied this.
    """

    operation: Operation
    subject: Any = None
    follow_up: Operation | None = None
    # Called once it is committed.
    announce: Callable[[], None] | None = None
    # What the outside said, for whoever waits; None if nobody had to be asked.
    reply: Any = None

    @property
    def goes_on(self) -> bool:
        """Whether the follow-up is ours to go on with at once."""
        return self.follow_up is not None and self.follow_up.state is OperationState.RUNNING


Lease = Callable[[Operation], Operation]


class Writer(Protocol):
    """Applies outcomes in another way than by a transaction for each."""

    async def write(self, asked: Asked, context: ApplyContext, lease: Lease, /) -> Applied | None:
        """Applies it to the subject as it was written last, under fencing, a follow-up of ours
        under `lease`; None if that does not stand any more: then the subject is locked and the
        outcome applied anew."""
        ...


class Kind(Protocol):
    """What one kind of operation does."""

    @property
    def writer(self) -> Writer | None:
        """How outcomes are written; None for a transaction with the subject locked."""
        ...

    async def load(self, connection: AsyncConnection, operation: Operation, /) -> Any:
        """What the operation is asked for, as it stands."""
        ...

    async def lock(self, connection: AsyncConnection, operation: Operation, /) -> Any:
        """The same, locked until the transaction ends."""
        ...

    def known(self, subject: Any, operation: Operation, /) -> OperationState | None:
        """How the operation ended if its outcome is known already, for example from an event."""
        ...

    async def send(self, subject: Any, operation: Operation, resend: bool, /) -> Any:
        """Asks, with the operation's key and parameters: an `Outcome`, or a reply of its own.
        `resend` says that this attempt may have been sent before."""
        ...

    async def complete(self, subject: Any, operation: Operation, outcome: Outcome, /) -> Any:
        """The reply to be applied after an `Outcome`; reads what it needs besides."""
        ...

    async def resolve(self, subject: Any, operation: Operation, now: datetime, /) -> Any:
        """What became of an operation that must not be sent again, as a reply; only reads."""
        ...

    async def apply(
        self,
        connection: AsyncConnection,
        subject: Any,
        operation: Operation,
        reply: Any,
        context: ApplyContext,
        /,
    ) -> Applied:
        """Writes what came of it to its subject, which is locked. The operation itself and what
        follows are for the runner to write. A `reply` may be `GivenUp`."""
        ...


class PlainKind:
    """What most kinds have in common."""

    writer: Writer | None = None

    async def lock(self, connection: AsyncConnection, operation: Operation) -> Any:
        """The subject; for a kind without one to be locked."""
        return await self.load(connection, operation)

    async def load(self, _connection: AsyncConnection, operation: Operation) -> Any:
        """The subject's id; for a kind that keeps nothing of its subject."""
        return operation.subject_id

    def known(self, _subject: Any, _operation: Operation) -> OperationState | None:
        """No event tells of it."""
        return None

    async def complete(self, _subject: Any, _operation: Operation, outcome: Outcome) -> Any:
        """An outcome says all."""
        return outcome


Kinds = Mapping[OperationKind, Kind]

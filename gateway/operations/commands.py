"""Requests that set an operation in motion: written down once with it, run, and answered in time,
the same ever after."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import ERRORS, database_behind
from gateway.identity import RequestIdentity
from gateway.ids import RequestMetadata
from gateway.operations import store
from gateway.operations.gate import Gate
from gateway.operations.kind import Claimed
from gateway.operations.operation import Operation, OperationState, decided
from gateway.operations.requests import RequestRecord, known_request, record_of
from gateway.operations.runner import Runner
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.clock import Clock
from runtime.deadline import remaining
from runtime.errors import ServiceError
from runtime.idempotency import RequestIds, RequestTable, fingerprint_of, method_of
from runtime.notifications import Notifier

# Time kept for writing the answer before the caller's deadline.
ANSWER_SECONDS = 0.25
# Another process may decide; it is looked for this often.
POLL_SECONDS = 0.2
RETRY_DELAY = timedelta(seconds=1)
_ID_KEYS = {"dsp": "dispute_id", "pyo": "payout_id", "vfn": "verification_id"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused before anybody is asked; kept with its request_id."""

    reason: str
    message: str
    metadata: Mapping[str, str]
    code: str = grpc.StatusCode.FAILED_PRECONDITION.name

    @classmethod
    def of(cls, error: ServiceError) -> Self:
        """The same as a refusal that is kept."""
        return cls(error.reason, error.message, dict(error.metadata), error.code.name)

    @property
    def kept(self) -> dict[str, Any]:
        """As it is written down with the request."""
        return {**asdict(self), "metadata": dict(self.metadata)}

    @property
    def error(self) -> ServiceError:
        """As the caller is told."""
        return ERRORS.error(
            grpc.StatusCode[self.code],
            ErrorReason.Value(f"ERROR_REASON_{self.reason}"),
            self.message,
            metadata=self.metadata,
        )


@dataclass(frozen=True, slots=True)
class Start:
    """What a request sets in motion; no operation if nothing is left to be asked."""

    subject_id: str
    operation: Operation | None = None


# Decides in the transaction that writes the request down, given the id of the operation that it may
# begin and the time; raises what is not to be kept.
Rule = Callable[[AsyncConnection, str, datetime], Awaitable[Start | Refusal]]
# Whether enough is decided about a subject for the caller to be answered.
Answerable = Callable[[AsyncConnection, str], Awaitable[bool]]
# How an operation on a subject ended, if what is known of the subject says so.
Known = Callable[[Operation], OperationState | None]


@dataclass(frozen=True, slots=True)
class Done:
    """What a request led to: the operation as it stands, perhaps still open."""

    subject_id: str
    operation: Operation | None
    # The message that the request is answered with, where that is kept.
    answer: bytes | None = None
    # What Stripe said just now, if it was this call that asked.
    outcome: Outcome | None = None


class Commands:
    """Takes requests. Raises ServiceError as error_reason.proto says."""

    def __init__(
        self,
        engine: AsyncEngine,
        runner: Runner,
        clock: Clock,
        answer_seconds: float,
        request_ids: RequestIds,
        identity: RequestIdentity,
        gate: Gate,
        table: Table,
    ) -> None:
        self._engine = engine
        self._runner = runner
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._table = table
        self._identity = identity
        self._gate = gate
        self._requests = RequestTable(request_ids, table)

    def metadata_of(self, request: Message) -> RequestMetadata:
        """What Stripe is to keep of a request in the metadata of what it makes."""
        carried = self._identity.metadata_of(request)
        # Whole, as it is kept here.
        return replace(carried, fingerprint=fingerprint_of(request).hex())

    def operation_id(self, request: Message) -> str:
        """The id of the operation that a request begins, or has begun."""
        return self._identity.of("op", request)

    async def run(
        self,
        request: Message,
        subject_id: str,
        rule: Rule,
        *,
        personal: Sequence[str] = (),
        answerable: Answerable | None = None,
    ) -> Done:
        """Starts what `rule` says, or repeats the answer about what the request started.

        `subject_id` is what the request names, or empty. `personal` fields are compared but not
        kept. `answerable` says when to answer: without it, when the operation has ended.
        """
        until = self._until()
        known, operation = await self._begun(request, subject_id, rule, personal)
        if operation is not None and operation.lease_until is not None:
            self._runner.start(Claimed(operation, begun=True))
        if known.operation_id is None:
            return Done(known.subject_id, None)
        return Done(known.subject_id, await self._wait(known, until, answerable))

    async def try_once(
        self, request: Message, subject_id: str, rule: Rule, *, personal: Sequence[str] = ()
    ) -> Done:
        """The same for requests whose callers rather repeat them than wait: one that is left open
        when it was tried is answered then. A worker goes on with it, or the same request does, at
        once. What was answered before is answered again."""
        until = self._until()
        known, operation = await self._begun(request, subject_id, rule, personal)
        if known.answer is not None or known.operation_id is None:
            return Done(known.subject_id, None, known.answer)
        if operation is None:
            run = await self._runner.resume(known.operation_id)
        elif operation.lease_until is not None:
            run = self._runner.start(Claimed(operation, begun=True))
        else:
            run = None
        outcome: Outcome | None = None
        if run is None:
            await self._wait(known, until, None)
        else:
            await asyncio.wait({run}, timeout=max(0.0, until - asyncio.get_running_loop().time()))
            applied = run.result() if run.done() and not run.cancelled() else None
            outcome = applied.reply if applied and isinstance(applied.reply, Outcome) else None
        async with self._engine.connect() as connection:
            stands = await store.get(connection, known.operation_id)
            again = await known_request(connection, self._table, known.request_id)
        if again is None:
            # Requests are never deleted.
            raise database_behind()
        return Done(known.subject_id, stands, again.answer, outcome)

    async def find(self, request: Message, *, personal: Sequence[str] = ()) -> Done | None:
        """What the request led to before; None if it is new."""
        async with self._engine.connect() as connection:
            known = await self._find(connection, request, personal)
            if known is None:
                return None
            if known.refusal is not None:
                raise Refusal(**known.refusal).error
            operation: Operation | None = None
            if known.operation_id is not None:
                operation = await store.get(connection, known.operation_id)
        return Done(known.subject_id, operation, known.answer)

    async def answer(self, request: Message, message: Message) -> None:
        """Keeps what a request is answered with; the first one stands."""
        async with self._engine.begin() as connection:
            await self._requests.answer(connection, request, message)

    async def _begun(
        self, request: Message, subject_id: str, rule: Rule, personal: Sequence[str]
    ) -> tuple[RequestRecord, Operation | None]:
        """The request, and the operation that it began just now. Raises what it was refused for."""
        self._gate.check()
        begun: tuple[RequestRecord, Operation | None] | None = None
        while begun is None:
            begun = await self._begin(request, subject_id, rule, personal)
        if begun[0].refusal is not None:
            raise Refusal(**begun[0].refusal).error
        return begun

    async def _begin(
        self, request: Message, subject_id: str, rule: Rule, personal: Sequence[str]
    ) -> tuple[RequestRecord, Operation | None] | None:
        """The request as it is written down, and the operation that it began just now.

        None if another commit took its id at the same moment: the next look finds that one.
        """
        async with self._engine.connect() as connection:
            known = await self._find(connection, request, personal)
            if known is not None:
                return known, None
            now = self._clock.now()
            started = await rule(connection, self.operation_id(request), now)
            record = _record(request, subject_id, started, now)
            if not await self._requests.begin(
                connection,
                request,
                personal=personal,
                subject_id=record.subject_id,
                operation_id=record.operation_id,
                refusal=record.refusal,
                create_time=record.create_time,
            ):
                await connection.rollback()
                return None
            operation: Operation | None = None
            if isinstance(started, Start) and started.operation is not None:
                operation = started.operation
                if await store.open_operation_of(connection, operation.subject_id) is None:
                    operation = self._runner.begin(operation, now)
                await store.add(connection, operation)
            await connection.commit()
        return record, operation

    async def _find(
        self, connection: AsyncConnection, request: Message, personal: Sequence[str]
    ) -> RequestRecord | None:
        row = await self._requests.find(connection, request, personal=personal)
        return record_of(row) if row is not None else None

    async def _wait(
        self, known: RequestRecord, until: float, answerable: Answerable | None
    ) -> Operation:
        """The operation once it is decided, or as it stands when the time is up."""
        assert known.operation_id is not None, "somebody waits for it"
        async with self._engine.connect() as connection:
            subject_id = (await store.get(connection, known.operation_id)).subject_id
        with self._runner.notifiers.listening(subject_id) as notifier:
            while True:
                token = notifier.token()
                async with self._engine.connect() as connection:
                    operation = await store.get(connection, known.operation_id)
                    done = (
                        await answerable(connection, known.subject_id)
                        if answerable is not None
                        else not operation.open
                    )
                left = until - asyncio.get_running_loop().time()
                if done or left <= 0:
                    return operation
                await Notifier.wait(token, min(left, POLL_SECONDS))

    def _until(self) -> float:
        left = remaining()
        seconds = self._answer_seconds
        if left is not None:
            seconds = min(seconds, max(0.0, left - ANSWER_SECONDS))
        return asyncio.get_running_loop().time() + seconds


async def refuse_if_busy(
    connection: AsyncConnection, subject_id: str, known: Known, now: datetime
) -> None:
    """Raises OPERATION_IN_PROGRESS if something is asked for it already and its outcome is not
    known. One whose outcome an event has told ends here, whoever still waits for Stripe's answer:
    the caller has locked the subject."""
    busy = await store.open_operation_of(connection, subject_id)
    if busy is None:
        return
    state = known(busy)
    if state is not None:
        await store.end_known(connection, decided(busy, state, now))
        return
    raise ERRORS.error(
        grpc.StatusCode.ABORTED,
        ErrorReason.ERROR_REASON_OPERATION_IN_PROGRESS,
        "another operation is not resolved yet; repeat the call",
        metadata={
            _ID_KEYS[subject_id.partition("_")[0]]: subject_id,
            "operation_id": busy.id,
            "operation_kind": busy.kind,
            "operation_state": busy.state,
        },
        retry_delay=RETRY_DELAY,
    )


def outcome_of(done: Done) -> None:
    """Raises what a request is told whose operation did not succeed, or is not decided yet."""
    operation = done.operation
    if operation is None or operation.state is OperationState.SUCCEEDED:
        return
    if done.outcome is not None and not done.outcome.succeeded:
        raise call_failed(operation.corridor, done.outcome)
    if operation.open:
        raise ERRORS.error(
            grpc.StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN,
            "Stripe's answer is not known yet; repeat the call with the same request_id",
            metadata={"corridor": operation.corridor},
            retry_delay=RETRY_DELAY,
        )
    raise ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STRIPE_REJECTED,
        "Stripe refused the request",
        metadata={
            "stripe_code": operation.failure_code,
            "stripe_type": operation.failure_type,
            "stripe_param": operation.failure_param,
            "stripe_request_id": operation.failure_request_id,
        },
    )


def _record(
    request: Any, subject_id: str, started: Start | Refusal, now: datetime
) -> RequestRecord:
    record = RequestRecord(request.request_id, method_of(request), subject_id, now)
    if isinstance(started, Refusal):
        return replace(record, refusal=started.kept)
    operation = started.operation
    return replace(
        record,
        subject_id=started.subject_id,
        operation_id=operation.id if operation is not None else None,
    )

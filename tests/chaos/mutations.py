"""Defects that are put into the gateways' processes from outside, to show that the judge sees them.

Each replaces one attribute by one that breaks one promise. What is called an accident here is no
defect: it makes happen, at a sure moment, what chance brings otherwise, and must do no harm.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import update

import gateway.bookkeeping.store
import gateway.operations.runner
import gateway.payments.domain.authorization_outcome
import gateway.routing_service.learner
import gateway.routing_service.lessons
import gateway.routing_service.record
import gateway.webhooks_in.receiver
from gateway.bookkeeping.ledger_requests import ledger_item
from gateway.bookkeeping.store import BookingStore
from gateway.bookkeeping.worker import BookkeepingWorker
from gateway.identity import RequestIdentity
from gateway.ids import derived_id
from gateway.operations import store as operation_store
from gateway.operations.operation import Operation, OperationKind, OperationState, Step
from gateway.operations.store import OPERATION, operation_row
from gateway.payments.domain.decision import StripeReply
from gateway.payments.domain.failover import fail_over
from gateway.payments.domain.payment import FailureCode, PaymentFailure, take
from gateway.payments.domain.states import Transition
from gateway.payments.stripe.dependencies import Dependencies
from gateway.recovery.guard import RestoreGuard
from gateway.routing.attribution import CallResult, Ending
from gateway.stripe_client.http_client import StripeHttpClient
from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass
from gateway.webhooks_in.buffer import PostgresBuffer
from runtime.loops import Supervisor

MUTATION_VARIABLE = "CHAOS_MUTATIONS"
# A folder in which an accident waits for the test's signal.
STAGE_VARIABLE = "CHAOS_STAGE"
SIGNAL_FILE = "go-on"
LOOK_SECONDS = 0.02
HELD_UP_MINOR = 77_77
KEY_HEADER = "idempotency-key"


@dataclass(frozen=True)
class Mutation:
    """A defect, or an accident."""

    name: str
    install: Callable[[], None]


def _send_with(change: Callable[[str], str | None]) -> None:
    """Has every request to Stripe go out with another idempotency key, or without one."""
    original = StripeHttpClient.request_async

    async def request(
        self: StripeHttpClient,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
    ) -> Any:
        changed = {
            name: change(value) if name.lower() == KEY_HEADER else value
            for name, value in headers.items()
        }
        kept = {name: value for name, value in changed.items() if value is not None}
        return await original(self, method, url, kept, post_data)

    _put(StripeHttpClient, "request_async", request)


def _drop_the_key() -> None:
    _send_with(lambda _: None)


def _resend_with_a_new_key() -> None:
    _send_with(lambda key: f"{key}-{secrets.token_hex(4)}")


def _skip_fencing() -> None:
    """Whoever comes back late writes all the same."""
    _save_unfenced(set(OperationKind))


def _skip_fencing_of_a_kind() -> None:
    """The same, but of one kind of operation alone."""
    _save_unfenced({OperationKind.AUTHORIZE})


def _save_unfenced(kinds: Collection[OperationKind]) -> None:
    original = operation_store.save

    async def save(connection: Any, operation: Operation) -> None:
        if operation.kind not in kinds:
            await original(connection, operation)
            return
        row = operation_row(operation)
        await connection.execute(
            update(OPERATION).where(OPERATION.c.id == operation.id).values(row)
        )

    _put(operation_store, "save", save)


def _acknowledge_before_storing() -> None:
    """Webhooks are answered first and stored a minute later."""
    original = PostgresBuffer.store
    tasks: set[asyncio.Task[None]] = set()

    async def store(self: PostgresBuffer, event: Any) -> bool:
        async def later() -> None:
            await asyncio.sleep(60)
            await original(self, event)

        task = asyncio.create_task(later())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return True

    _put(PostgresBuffer, "store", store)


def _accept_forgeries() -> None:
    _put(gateway.webhooks_in.receiver, "find_signature_problem", lambda *_: None)


def _void_while_unknown() -> None:
    """A charge of unknown outcome is called failed, and its hold is released."""

    def failed(so_far: Any, reply: StripeReply, given: Any) -> Any:
        change = take(
            so_far.payment,
            Transition.FAILED,
            given.now,
            failure=PaymentFailure(FailureCode.STRIPE_REJECTED),
            hold_id="",
        )
        return so_far.then(change).ended(OperationState.FAILED, given.now, reply.code)

    _put(gateway.payments.domain.authorization_outcome, "unknown", failed)


def _fail_over_while_unknown() -> None:
    """A charge of unknown outcome is made through another corridor."""
    unknown = gateway.payments.domain.authorization_outcome.unknown

    def elsewhere(so_far: Any, reply: StripeReply, given: Any) -> Any:
        return fail_over(so_far, "UNKNOWN", given) or unknown(so_far, reply, given)

    _put(gateway.payments.domain.authorization_outcome, "unknown", elsewhere)


def _rebook_with_a_new_request_id() -> None:
    def anew(fact: Any, *, revision: int, **more: Any) -> Any:
        return ledger_item(fact, revision=revision + secrets.randbelow(10**6), **more)

    _put(gateway.bookkeeping.store, "ledger_item", anew)


def _lose_a_loop_silently() -> None:
    """Bookkeeping meets what nobody foresaw, and nobody sees that it has ended."""

    async def fail(*_: Any) -> int:
        raise AssertionError("nobody foresaw that")

    def overlook(self: Supervisor, task: asyncio.Task[None]) -> None:
        self._loops.pop(task, None)

    _put(BookkeepingWorker, "run_once", fail)
    _put(Supervisor, "_done", overlook)


def _forget_jobs() -> None:
    """Nobody goes on with the operations of a process that died."""

    async def claim(*_: Any) -> Sequence[Any]:
        return []

    _put(operation_store, "claim", claim)


def _resend_past_the_horizon() -> None:
    _put(gateway.operations.runner, "next_step", lambda *_: Step.SEND)


def _record_another_propensity() -> None:
    """What is recorded is how likely routing was to choose it, as if all payments followed it."""

    def alone(decision: Any, place: int, _share: float) -> float:
        return float(decision.scores[place].propensity)

    _put(gateway.routing_service.record, "propensity_of", alone)


def _learn_while_unknown() -> None:
    """A charge that has not come back is learnt from as a failure of its corridor, once for all."""
    original = gateway.routing_service.lessons.result_of
    begun = Transition.AUTHORIZATION_STARTED.value

    def result_of(transition: str, payment: Any, corridor: str, hop: int = 0) -> Any:
        if transition == begun and payment.corridor == corridor:
            return CallResult(Ending.UNKNOWN)
        return original(transition, payment, corridor, hop)

    looked_at = gateway.routing_service.learner.LOOKED_AT | {begun}
    _put(gateway.routing_service.lessons, "result_of", result_of)
    _put(gateway.routing_service.learner, "LOOKED_AT", looked_at)


def _share_keys_between_corridors() -> None:
    """A charge has the same key in whatever corridor it is tried."""
    original = Operation.idempotency_key.fget  # type: ignore[attr-defined]

    def key(self: Operation) -> str:
        if self.kind is OperationKind.AUTHORIZE:
            return f"{self.subject_id}-{self.attempt}"
        return str(original(self))

    _put(Operation, "idempotency_key", property(key))


def _hold_up_the_first_byte() -> None:
    """Accident: a charge of `HELD_UP_MINOR` is held up before its first byte goes out, until the
    test says so; then it ends as never sent."""
    original = Dependencies.send
    signal = Path(os.environ[STAGE_VARIABLE]) / SIGNAL_FILE
    held_up: list[str] = []

    async def send(self: Dependencies, payment: Any, operation: Operation, *, resend: bool) -> Any:
        first = operation.kind is OperationKind.AUTHORIZE and not (resend or held_up)
        if not first or payment.amount_minor != HELD_UP_MINOR:
            return await original(self, payment, operation, resend=resend)
        held_up.append(operation.id)
        await asyncio.to_thread(_wait_for, signal)
        return Outcome(OutcomeClass.NOT_SENT, not_sent_reason=NotSentReason.BREAKER_OPEN)

    _put(Dependencies, "send", send)


def _wait_for(signal: Path) -> None:
    while not signal.exists():
        time.sleep(LOOK_SECONDS)


def _lose_what_the_ledger_said() -> None:
    """Accident: what came of the process's first bookings is not written down."""
    original = BookingStore.finish
    lost: list[int] = []

    async def finish(self: BookingStore, outcomes: Sequence[Any], **more: Any) -> Any:
        if outcomes and not lost:
            lost.append(len(outcomes))
            raise OSError("the connection to the database is gone")
        return await original(self, outcomes, **more)

    _put(BookingStore, "finish", finish)


def _draw_ids_at_random() -> None:
    """Defect: ids, and with them keys and bytes, are another each time."""

    def named(_self: RequestIdentity, prefix: str, *_what: str) -> str:
        return derived_id(prefix, secrets.token_hex(16))

    _put(RequestIdentity, "named", named)


def _blind_the_guard() -> None:
    """Accident: the database is put back, and clients ask again before anybody has noticed."""

    async def look(_self: RestoreGuard) -> bool:
        return False

    # A gateway reads Stripe's newest events when it starts, which may be before clients ask again.
    async def write_lost(_self: RestoreGuard, *_what: object) -> None:
        return

    _put(RestoreGuard, "_round", look)
    _put(RestoreGuard, "write_lost", write_lost)


def _give_each_try_its_key() -> None:
    """Accident: a charge that is begun anew has another key, as when Stripe has forgotten the one
    before, so that nothing but fencing keeps it from being made twice."""

    def key(self: Operation) -> str:
        return f"{self.id}-{self.attempt}"

    _put(Operation, "idempotency_key", property(key))


def _put(owner: Any, name: str, value: Any) -> None:
    """Replaces what is there: a defect in something that is gone would show nothing."""
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, value)


MUTATIONS: Mapping[str, Mutation] = {
    mutation.name: mutation
    for mutation in (
        Mutation("drop_the_key", _drop_the_key),
        Mutation("resend_with_a_new_key", _resend_with_a_new_key),
        Mutation("skip_fencing", _skip_fencing),
        Mutation("skip_fencing_of_a_kind", _skip_fencing_of_a_kind),
        Mutation("acknowledge_before_storing", _acknowledge_before_storing),
        Mutation("accept_forgeries", _accept_forgeries),
        Mutation("void_while_unknown", _void_while_unknown),
        Mutation("fail_over_while_unknown", _fail_over_while_unknown),
        Mutation("rebook_with_a_new_request_id", _rebook_with_a_new_request_id),
        Mutation("forget_jobs", _forget_jobs),
        Mutation("lose_a_loop_silently", _lose_a_loop_silently),
        Mutation("resend_past_the_horizon", _resend_past_the_horizon),
        Mutation("draw_ids_at_random", _draw_ids_at_random),
        Mutation("record_another_propensity", _record_another_propensity),
        Mutation("learn_while_unknown", _learn_while_unknown),
        Mutation("share_keys_between_corridors", _share_keys_between_corridors),
        Mutation("accident_before_anybody_looks", _blind_the_guard),
        Mutation("accident_of_a_forgotten_key", _give_each_try_its_key),
        Mutation("accident_before_the_first_byte", _hold_up_the_first_byte),
        Mutation("accident_after_booking", _lose_what_the_ledger_said),
    )
}

"""The clients: each makes its payment and asks again with the same request_id until answered."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp
import grpc
from google.protobuf.duration_pb2 import Duration

from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1 import refund_pb2 as refund
from gateway.v1.money_pb2 import Money
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from runtime.errors import from_rpc_error
from sandbox.twin_admin import DisputeOutcome, TwinAdminError
from tests.chaos.evidence import FINAL_STATES, Answer
from tests.chaos.judge import STICKY
from tests.chaos.patience import Patience
from tests.chaos.plan import PATIENCE, PlannedPayment, Step
from tests.chaos.progress import Progress
from tests.chaos.twin import SteeredTwin

CALL_SECONDS = 8.0
RETRY_SECONDS = (0.1, 0.7)
# A client that is told when to come again does so, but at the latest after this.
MAX_ASKED_SECONDS = 3.0
# Pauses grow up to this many times their first.
MAX_GROWTH = 4.0
WAIT_SECONDS = 0.2
# How often a client looks at a payment that is not decided before it goes on with its life.
FOLLOW_TRIES = 20
# Over before the last horizon.
DECLINE_RETRY = payment.DeclineRetry(max_attempts=3, within=Duration(seconds=7 * 86_400))
# Errors that say: repeat the same request.
REPEATED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNKNOWN,
}


class UnexpectedAnswerError(AssertionError):
    """An answer that no client should ever get."""


class Customers:
    """All clients of a run. `answers` is everything they were told."""

    def __init__(
        self,
        channels: Sequence[grpc.aio.Channel],
        twin: SteeredTwin,
        progress: Progress,
        *,
        merchant: str,
        blocked_merchant: str,
        customer: str,
    ) -> None:
        self.answers: list[Answer] = []
        self.errors: Counter[str] = Counter()
        self._stubs = [PaymentServiceStub(channel) for channel in channels]
        self._twin = twin
        self._progress = progress
        self._merchant = merchant
        self._blocked_merchant = blocked_merchant
        self._customer = customer

    async def play(self, payments: Sequence[PlannedPayment], at_once: int) -> None:
        """Makes all payments in their order, so many at a time."""
        waiting = iter(payments)

        async def one_after_another() -> None:
            for planned in waiting:
                self._progress.begin(planned.number)
                await _Client(self, planned).run()
                self._progress.end()

        async with asyncio.TaskGroup() as clients:
            for _ in range(at_once):
                clients.create_task(one_after_another())

    def create_request(self, planned: PlannedPayment) -> pb.CreatePaymentRequest:
        """The request of a planned payment, the same whenever it is asked for."""
        queues = planned.queue_seconds is not None
        request = pb.CreatePaymentRequest(
            request_id=planned.request_id,
            merchant_id=self._blocked_merchant if planned.blocked else self._merchant,
            customer_id=self._customer,
            amount=Money(currency_code=planned.currency, minor_units=planned.amount_minor),
            payment_method=payment.PaymentMethod(token=f"pm_card_{planned.card}"),
            capture_method=payment.CAPTURE_METHOD_MANUAL
            if planned.manual
            else payment.CAPTURE_METHOD_AUTOMATIC,
            off_session=planned.off_session,
            unavailable_policy=payment.UNAVAILABLE_POLICY_QUEUE
            if queues
            else payment.UNAVAILABLE_POLICY_FAIL_FAST,
            corridor=planned.corridor,
            stay_in_corridor=not planned.roams,
        )
        if planned.retries:
            request.decline_retry.CopyFrom(DECLINE_RETRY)
        if planned.queue_seconds is not None:
            request.queue_timeout.CopyFrom(Duration(seconds=planned.queue_seconds))
        return request

    async def ask(self, random: Random, request: Any, patience: Patience) -> Any:
        """Sends a request until it is decided; None if the client's patience ended before."""
        name = type(request).__name__.removesuffix("Request")
        for attempt in patience.attempts():
            stub = random.choice(self._stubs)
            try:
                response = await getattr(stub, name)(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                received = from_rpc_error(error)
                self.errors[f"{name} {received.reason or error.code().name}"] += 1
                if received.reason in STICKY:
                    patience.not_in_vain()
                    self.answers.append(
                        Answer(request.request_id, name, reason=received.reason or "")
                    )
                    return None
                if error.code() not in REPEATED:
                    raise UnexpectedAnswerError(
                        f"{name} {request} was answered {error.code()} {error.details()}"
                    ) from error
                pause = random.uniform(*RETRY_SECONDS) * min(MAX_GROWTH, 1.4**attempt)
                asked = received.retry_delay or timedelta(0)
                await asyncio.sleep(max(pause, min(asked.total_seconds(), MAX_ASKED_SECONDS)))
                continue
            patience.not_in_vain()
            self._note(request, name, response)
            return response
        return None

    async def read(self, random: Random, payment_id: str) -> payment.Payment | None:
        """GetPayment; None if nobody answers."""
        read = await self.ask(
            random, pb.GetPaymentRequest(payment_id=payment_id), Patience(PATIENCE)
        )
        return read.payment if read is not None else None

    async def authenticate(self, intent_id: str, *, passed: bool) -> None:
        """What the customer does at the bank; too late if the payment has gone on since."""
        try:
            await self._twin.authenticate(intent_id, passed=passed)
        except TwinAdminError:
            self.errors["authentication came too late"] += 1

    async def decide_disputes(self, intent_id: str, outcome: DisputeOutcome) -> None:
        """What the bank decides; nothing if Stripe cannot be asked or there is no dispute."""
        try:
            await self._twin.decide_disputes(intent_id, outcome)
        except (TwinAdminError, aiohttp.ClientError):
            self.errors["no dispute to decide"] += 1

    def _note(self, request: Any, name: str, response: Any) -> None:
        shown = response.payment
        answered = Answer(
            request_id=getattr(request, "request_id", "") or shown.request_id,
            method=name,
            payment_id=shown.id,
            state=_last_word(shown),
            captured_minor=shown.amount_captured.minor_units,
        )
        if isinstance(response, pb.RefundPaymentResponse):
            answered = Answer(
                request_id=request.request_id,
                method=name,
                payment_id=shown.id,
                refund_id=response.refund.id,
                refund_state=refund.RefundState.Name(response.refund.state),
            )
        self.answers.append(answered)


class _Client:
    """One payment's client."""

    def __init__(self, customers: Customers, planned: PlannedPayment) -> None:
        self._customers = customers
        self._planned = planned
        self._random = Random(planned.request_id)
        self._patience = Patience(planned.tries)
        self._payment_id = ""

    async def run(self) -> None:
        """The whole life of the payment, as far as its client takes part."""
        planned = self._planned
        made = await self._ask(self._customers.create_request(planned))
        if made is None:
            return
        self._payment_id = made.payment.id
        shown = made.payment
        for number, step in enumerate(planned.steps, start=1):
            shown = await self._follow(shown)
            if shown is None or not await self._take(step, number, shown):
                return
            shown = await self._read()
            if shown is None:
                return
        await self._follow(shown)

    async def _take(self, step: Step, number: int, shown: payment.Payment) -> bool:
        """Does one step where it makes sense; whether there is more to do."""
        state = shown.state
        request_id = f"{self._planned.request_id}.{number}"
        match step.action:
            case "authenticate" | "fail_authentication":
                if state == payment.PAYMENT_STATE_REQUIRES_ACTION:
                    passed = step.action == "authenticate"
                    await self._customers.authenticate(shown.payment_intent_id, passed=passed)
            case "win_dispute" | "lose_dispute":
                await self._customers.decide_disputes(
                    shown.payment_intent_id, "win" if step.action == "win_dispute" else "lose"
                )
            case "confirm":
                await self._ask(
                    pb.ConfirmPaymentRequest(request_id=request_id, payment_id=self._payment_id)
                )
            case "cancel":
                await self._ask(
                    pb.CancelPaymentRequest(request_id=request_id, payment_id=self._payment_id)
                )
            case "capture":
                await self._ask(
                    pb.CapturePaymentRequest(
                        request_id=request_id,
                        payment_id=self._payment_id,
                        amount=self._money(step.amount_minor),
                    )
                )
            case "refund":
                await self._ask(
                    pb.RefundPaymentRequest(
                        request_id=request_id,
                        payment_id=self._payment_id,
                        amount=self._money(step.amount_minor),
                    )
                )
        return state not in (payment.PAYMENT_STATE_BLOCKED, payment.PAYMENT_STATE_DECLINED)

    async def _follow(self, shown: payment.Payment | None) -> payment.Payment | None:
        """Reads until nothing is under way, for as long as the client has patience."""
        for look in range(min(FOLLOW_TRIES, self._planned.tries)):
            if shown is None or shown.state not in _UNDER_WAY:
                return shown
            await asyncio.sleep(WAIT_SECONDS * min(MAX_GROWTH, 1.4**look))
            shown = await self._read()
        return shown

    async def _read(self) -> payment.Payment | None:
        read = await self._ask(pb.GetPaymentRequest(payment_id=self._payment_id))
        return read.payment if read is not None else None

    async def _ask(self, request: Any) -> Any:
        return await self._customers.ask(self._random, request, self._patience)

    def _money(self, minor: int | None) -> Money | None:
        if minor is None:
            return None
        return Money(currency_code=self._planned.currency, minor_units=minor)


_UNDER_WAY = frozenset(
    {
        payment.PAYMENT_STATE_RECEIVED,
        payment.PAYMENT_STATE_COMPLIANCE_CHECKED,
        payment.PAYMENT_STATE_QUEUED,
        payment.PAYMENT_STATE_AUTHORIZING,
        payment.PAYMENT_STATE_CAPTURING,
        payment.PAYMENT_STATE_CANCELING,
    }
)


def state_name(shown: payment.Payment) -> str:
    """The state without its prefix."""
    return payment.PaymentState.Name(shown.state).removeprefix("PAYMENT_STATE_")


def _last_word(shown: payment.Payment) -> str:
    """The state, unless it says that the same request may begin anew."""
    name = state_name(shown)
    may_begin_anew = shown.failure.code in ("rail_unavailable", "compliance_unavailable")
    return "" if name in FINAL_STATES and may_begin_anew else name

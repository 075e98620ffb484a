"""What all clients share: each asks again with the same request_id until it is answered."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp
import grpc
from google.protobuf.duration_pb2 import Duration

from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1 import refund_pb2 as refund
from gateway.v1.customer_service_pb2_grpc import CustomerServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from money.v1.money_pb2 import Money
from runtime.errors import from_rpc_error
from sandbox.twin_admin import DisputeOutcome, TwinAdminError
from tests.chaos import saving
from tests.chaos.evidence import FINAL_STATES, Answer
from tests.chaos.judge import STICKY
from tests.chaos.patience import Patience
from tests.chaos.plan import PATIENCE, PlannedPayment
from tests.chaos.twin import ChaosTwin

CALL_SECONDS = 8.0
RETRY_SECONDS = (0.1, 0.7)
# A client that is told when to come again does so, but at the latest after this.
MAX_ASKED_SECONDS = 3.0
# Pauses grow up to this many times their first.
MAX_GROWTH = 4.0
# Over before the last horizon.
DECLINE_RETRY = payment.DeclineRetry(max_attempts=3, window=Duration(seconds=7 * 86_400))
# Errors that say: repeat the same request.
REPEATED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNKNOWN,
}


# Of payments that never got as far as Stripe, customers and cards: docs/operations.md.
LOST = {"PAYMENT_NOT_FOUND", "CUSTOMER_NOT_FOUND", "SETUP_NOT_FOUND", "INVALID_CUSTOMER_STATE"}


class UnexpectedAnswerError(AssertionError):
    """An answer that no client should ever get."""


class Customers:
    """All clients of a run. `answers` is everything they were told, `may_use` the corridors that
    each request lets its payment use."""

    def __init__(
        self,
        channels: Sequence[grpc.aio.Channel],
        twin: ChaosTwin,
        *,
        merchant: str,
        blocked_merchant: str,
        customer: str,
        savers: Mapping[str, str],
        restores: Callable[[], int] = lambda: 0,
    ) -> None:
        """`restores` tells how often the gateway's database was put back so far."""
        self.answers: list[Answer] = []
        self.errors: Counter[str] = Counter()
        self.may_use: dict[str, tuple[str, ...]] = {}
        self._stubs = [PaymentServiceStub(channel) for channel in channels]
        self._customer_stubs = [CustomerServiceStub(channel) for channel in channels]
        self._twin = twin
        self._restores = restores
        self._merchant = merchant
        self._blocked_merchant = blocked_merchant
        self._customer = customer
        # Whose card it is where it is saved, and what was saved, by the payment's request_id.
        self._savers = savers
        self._saved: dict[str, payment.PaymentMethod] = {}

    def create_request(self, planned: PlannedPayment) -> pb.CreatePaymentRequest:
        """The request of a planned payment, the same whenever it is asked for."""
        self.may_use[planned.request_id] = planned.may_use
        queues = planned.queue_seconds is not None
        request = pb.CreatePaymentRequest(
            request_id=planned.request_id,
            merchant_id=self._blocked_merchant if planned.blocked else self._merchant,
            customer_id=""
            if planned.reviewed
            else self._savers.get(planned.request_id, self._customer),
            amount=Money(currency_code=planned.currency, minor_units=planned.amount_minor),
            payment_method=self._saved.get(planned.request_id)
            or payment.PaymentMethod(token=f"pm_card_{planned.card}"),
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
        before = self._restores()
        for attempt in patience.attempts():
            stub = random.choice(
                self._customer_stubs if isinstance(request, saving.REQUESTS) else self._stubs
            )
            try:
                response = await getattr(stub, name)(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                received = from_rpc_error(error)
                self.errors[f"{name} {received.reason or error.code().name}"] += 1
                if received.reason in STICKY:
                    patience.not_in_vain()
                    self.answers.append(
                        Answer(
                            request.request_id,
                            name,
                            reason=received.reason or "",
                            restores=before,
                        )
                    )
                    return None
                if received.reason in LOST and self._restores():
                    # It is lost with the database; a client of ours leaves it there.
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
            self._note(request, name, response, before)
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

    async def save_card(self, planned: PlannedPayment, ask: Callable[[Any], Any]) -> bool:
        """Whether the payment's card is saved now, to be charged from then on."""

        async def authenticate(setup_id: str) -> None:
            await self.authenticate(setup_id, passed=True)

        customer_id = self._savers[planned.request_id]
        saved = await saving.save_card(planned, customer_id, ask, authenticate)
        if saved is not None:
            self._saved[planned.request_id] = saved
        return saved is not None

    def _note(self, request: Any, name: str, response: Any, restores: int) -> None:
        if isinstance(request, saving.REQUESTS):
            return
        shown = response.payment
        answered = Answer(
            request_id=getattr(request, "request_id", "") or shown.request_id,
            method=name,
            payment_id=shown.id,
            state=_last_word(shown),
            captured_minor=shown.amount_captured.minor_units,
            restores=restores,
        )
        if isinstance(response, pb.RefundPaymentResponse):
            answered = Answer(
                request_id=request.request_id,
                method=name,
                payment_id=shown.id,
                refund_id=response.refund.id,
                refund_state=refund.RefundState.Name(response.refund.state),
                restores=restores,
            )
        self.answers.append(answered)


def state_name(shown: payment.Payment) -> str:
    """The state without its prefix."""
    return payment.PaymentState.Name(shown.state).removeprefix("PAYMENT_STATE_")


def _last_word(shown: payment.Payment) -> str:
    """The state, unless the same request may begin anew or the customer may come back."""
    name = state_name(shown)
    goes_on = (
        shown.failure.code in ("corridor_unavailable", "compliance_unavailable")
        or shown.decline.authentication_required
    )
    return "" if name in FINAL_STATES and goes_on else name

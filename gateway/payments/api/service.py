"""PaymentService: check, call, answer."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import Cursor
from gateway.errors import ERRORS, corridor_not_found, invalid_page_token
from gateway.identity import RequestIdentity
from gateway.payments.api.messages import (
    amount_of,
    cause_of,
    fee_of,
    new_payment,
    taking_back_of,
    without_default_fee,
    without_default_taking_back,
)
from gateway.payments.api.reading import PaymentReader, snapshot_message
from gateway.payments.api.watch import Feed
from gateway.payments.commands import Payments
from gateway.payments.domain.commands import (
    start_cancel,
    start_capture,
    start_confirm,
    start_refund,
)
from gateway.payments.domain.states import PaymentState
from gateway.payments.errors import corridor_takes_less
from gateway.payments.rendering import payment_message
from gateway.payments.requests import Command
from gateway.payments.store import payments as store
from gateway.payments.store.payments import PaymentFilter
from gateway.stripe_client.client import StripeClient
from gateway.v1 import payment_pb2, payment_service_pb2_grpc
from gateway.v1 import payment_service_pb2 as pb
from runtime.clock import Clock
from runtime.idempotency import RequestIds
from runtime.notifications import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
# A watcher looks by itself this often, in case a notification was lost.
WATCH_POLL_SECONDS = 1.0
_STATE_PREFIX = "PAYMENT_STATE_"


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Takes payments."""

    def __init__(
        self,
        payments: Payments,
        reader: PaymentReader,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        feed: Feed,
        request_ids: RequestIds,
        identity: RequestIdentity,
        clock: Clock,
    ) -> None:
        self._payments = payments
        self._reader = reader
        self._engine = engine
        self._stripe = stripe_client
        self._feed = feed
        self._request_ids = request_ids
        self._identity = identity
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def CreatePayment(
        self, request: pb.CreatePaymentRequest, _context: Any
    ) -> pb.CreatePaymentResponse:
        corridor = request.corridor or self._stripe.default_corridor
        for name in (corridor, *(other.corridor for other in request.alternatives)):
            if name not in self._stripe.corridors:
                raise corridor_not_found(name)
        currency, country = request.amount.currency_code, request.billing_country_code
        if not self._stripe.terms[corridor].take(currency, country):
            raise corridor_takes_less(corridor)
        payment = new_payment(request, corridor, self._identity, self._clock.now())
        done = await self._payments.create(
            Command(request.request_id, request, self._request_ids), payment
        )
        if done.snapshot is not None:
            return pb.CreatePaymentResponse(payment=snapshot_message(done.snapshot))
        return pb.CreatePaymentResponse(payment=await self._reader.changed(done.payment_id))

    async def ConfirmPayment(
        self, request: pb.ConfirmPaymentRequest, _context: Any
    ) -> pb.ConfirmPaymentResponse:
        command = Command(request.request_id, request, self._request_ids)
        done = await self._payments.command(
            command,
            request.payment_id,
            lambda payment, context: start_confirm(payment, context, request.return_url),
        )
        return pb.ConfirmPaymentResponse(payment=await self._reader.changed(done.payment_id))

    async def CapturePayment(
        self, request: pb.CapturePaymentRequest, _context: Any
    ) -> pb.CapturePaymentResponse:
        done = await self._payments.command(
            Command(request.request_id, request, self._request_ids, without_default_fee),
            request.payment_id,
            lambda payment, context: start_capture(
                payment, amount_of(request), context, fee_of(request)
            ),
        )
        return pb.CapturePaymentResponse(payment=await self._reader.changed(done.payment_id))

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, _context: Any
    ) -> pb.CancelPaymentResponse:
        command = Command(request.request_id, request, self._request_ids)
        done = await self._payments.command(command, request.payment_id, start_cancel)
        return pb.CancelPaymentResponse(payment=await self._reader.changed(done.payment_id))

    async def RefundPayment(
        self, request: pb.RefundPaymentRequest, _context: Any
    ) -> pb.RefundPaymentResponse:
        amount, cause = amount_of(request), cause_of(request.reason)
        done = await self._payments.command(
            Command(request.request_id, request, self._request_ids, without_default_taking_back),
            request.payment_id,
            lambda payment, context: start_refund(
                payment, amount, cause, request.request_id, context, taking_back_of(request)
            ),
        )
        assert done.refund_id is not None, "a refund was made"
        payment = await self._reader.changed(done.payment_id)
        refund = await self._reader.read_refund(done.refund_id, payment)
        return pb.RefundPaymentResponse(refund=refund, payment=payment)

    async def GetPayment(
        self, request: pb.GetPaymentRequest, _context: Any
    ) -> pb.GetPaymentResponse:
        return pb.GetPaymentResponse(payment=await self._reader.read(request.payment_id))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, _context: Any
    ) -> pb.ListPaymentsResponse:
        after = _position(self._page_tokens.decode(request))
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        async with self._engine.connect() as connection:
            found = await store.list_payments(connection, _filter_of(request), after, size + 1)
        response = pb.ListPaymentsResponse(
            payments=[payment_message(payment) for payment in found[:size]]
        )
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = self._page_tokens.encode(
                request, [last.create_time.isoformat(), last.id]
            )
        return response

    async def WatchPayments(
        self, request: pb.WatchPaymentsRequest, _context: Any
    ) -> AsyncIterator[pb.WatchPaymentsResponse]:
        sequence = request.after_sequence
        await self._feed.check(Cursor(request.epoch, sequence))
        transitions = frozenset(request.transitions)
        while True:
            token = self._feed.news.token()
            changes, seen = await self._feed.after(
                sequence, request.merchant_id, request.payment_id, transitions
            )
            for change in changes:
                yield change
            if seen == sequence:
                await Notifier.wait(token, WATCH_POLL_SECONDS)
            sequence = seen


def _position(position: Sequence[str | int] | None) -> tuple[datetime, str] | None:
    if position is None:
        return None
    try:
        time, payment_id = position
        return datetime.fromisoformat(str(time)), str(payment_id)
    except ValueError:
        raise invalid_page_token() from None


def _filter_of(request: pb.ListPaymentsRequest) -> PaymentFilter:
    state: PaymentState | None = None
    if request.state:
        name = payment_pb2.PaymentState.Name(request.state)
        state = PaymentState(name.removeprefix(_STATE_PREFIX))
    return PaymentFilter(
        merchant_id=request.merchant_id,
        customer_id=request.customer_id,
        state=state,
        create_time_from=_time(request, "start_create_time"),
        create_time_to=_time(request, "end_create_time"),
    )


def _time(request: pb.ListPaymentsRequest, name: str) -> datetime | None:
    if not request.HasField(name):  # type: ignore[arg-type]
        return None
    value: Timestamp = getattr(request, name)
    return value.ToDatetime(tzinfo=UTC)

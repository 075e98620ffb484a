"""A client of PaymentService, as a shop would write it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.corridor_pb2 import CorridorMode
from gateway.v1.corridor_service_pb2 import SetCorridorModeRequest
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from gateway.v1.payment_pb2 import Payment, PaymentMethod, PaymentState
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from money.v1.money_pb2 import Money
from runtime.errors import ReceivedError, from_rpc_error

WAIT_SECONDS = 40.0
_numbers = itertools.count(1)


class RefusedError(Exception):
    """A call that failed, with its details."""

    def __init__(self, error: ReceivedError) -> None:
        super().__init__(f"{error.code.name} {error.reason}: {error.message}")
        self.error = error


async def refused(call: Awaitable[Any]) -> str:
    """The reason for which a call is refused."""
    with pytest.raises(RefusedError) as error:
        await call
    return str(error.value.error.reason)


class Shop:
    """Calls a gateway and waits for what it shows."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.stub = PaymentServiceStub(channel)

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator["Shop"]:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield cls(channel)

    async def create(self, timeout: float | None = None, **fields: Any) -> Payment:
        request = create_request(**fields)
        answer: pb.CreatePaymentResponse = await self.call("CreatePayment", request, timeout)
        return answer.payment

    async def confirm(self, payment: Payment, request_id: str | None = None) -> Payment:
        request = pb.ConfirmPaymentRequest(request_id=request_id or fresh(), payment_id=payment.id)
        answer: pb.ConfirmPaymentResponse = await self.call("ConfirmPayment", request)
        return answer.payment

    async def capture(
        self, payment: Payment, minor_units: int | None = None, request_id: str | None = None
    ) -> Payment:
        request = pb.CapturePaymentRequest(request_id=request_id or fresh(), payment_id=payment.id)
        if minor_units is not None:
            request.amount.CopyFrom(euros(minor_units))
        answer: pb.CapturePaymentResponse = await self.call("CapturePayment", request)
        return answer.payment

    async def cancel(self, payment: Payment, request_id: str | None = None) -> Payment:
        request = pb.CancelPaymentRequest(request_id=request_id or fresh(), payment_id=payment.id)
        answer: pb.CancelPaymentResponse = await self.call("CancelPayment", request)
        return answer.payment

    async def refund(
        self, payment: Payment, minor_units: int | None = None, request_id: str | None = None
    ) -> pb.RefundPaymentResponse:
        request = pb.RefundPaymentRequest(request_id=request_id or fresh(), payment_id=payment.id)
        if minor_units is not None:
            request.amount.CopyFrom(euros(minor_units))
        answer: pb.RefundPaymentResponse = await self.call("RefundPayment", request)
        return answer

    async def get(self, payment_id: str) -> Payment:
        request = pb.GetPaymentRequest(payment_id=payment_id)
        answer: pb.GetPaymentResponse = await self.call("GetPayment", request)
        return answer.payment

    async def close_corridor(self) -> None:
        """From now on nothing is sent to Stripe, and it is known that nothing is."""
        await self.set_mode("default", CorridorMode.CORRIDOR_MODE_CLOSED)

    async def open_corridor(self) -> None:
        """Ends what `close_corridor` began."""
        await self.set_mode("default", CorridorMode.CORRIDOR_MODE_OPEN)

    async def set_mode(self, corridor: str, mode: "CorridorMode.ValueType") -> None:
        """What operators allow on a corridor."""
        await CorridorServiceStub(self.channel).SetCorridorMode(
            SetCorridorModeRequest(
                request_id=fresh(), corridor=corridor, mode=mode, reason="a test"
            )
        )

    async def call(self, method: str, request: Any, timeout: float | None = None) -> Any:
        try:
            return await getattr(self.stub, method)(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(from_rpc_error(error)) from error

    async def watch_until(
        self, payment_id: str, *states: "PaymentState.ValueType", seconds: float = WAIT_SECONDS
    ) -> list[pb.WatchPaymentsResponse]:
        """The changes of a payment, up to the first that brings it into one of the states."""
        seen: list[pb.WatchPaymentsResponse] = []
        stream = self.stub.WatchPayments(pb.WatchPaymentsRequest(payment_id=payment_id))
        async with asyncio.timeout(seconds):
            async for event in stream:
                seen.append(event)
                if event.payment.state in states:
                    break
        stream.cancel()
        return seen

    async def events(self, payment_id: str) -> AsyncIterator[pb.WatchPaymentsResponse]:
        """The changes of a payment, from the first on; for at most WAIT_SECONDS."""
        stream = self.stub.WatchPayments(pb.WatchPaymentsRequest(payment_id=payment_id))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                async for event in stream:
                    yield event
        finally:
            stream.cancel()

    async def watch_for(self, payment_id: str, transition: str) -> pb.WatchPaymentsResponse:
        """The first change of a payment by this name."""
        stream = self.stub.WatchPayments(pb.WatchPaymentsRequest(payment_id=payment_id))
        async with asyncio.timeout(WAIT_SECONDS):
            async for event in stream:
                if event.transition == transition:
                    stream.cancel()
                    return event
        raise AssertionError("the stream ended")


def fresh() -> str:
    """A request_id that was not used before."""
    return f"req-{next(_numbers)}"


def euros(minor_units: int) -> Money:
    """An amount in EUR."""
    return Money(currency_code="EUR", minor_units=minor_units)


def create_request(**fields: Any) -> pb.CreatePaymentRequest:
    """A charge of 20.00 EUR on a card that works, but for what is context."""
    return pb.CreatePaymentRequest(
        **{
            "request_id": fresh(),
            "merchant_id": "m_1",
            "customer_id": "c_1",
            "amount": euros(2000),
            "payment_method": PaymentMethod(token="pm_card_visa"),
            **fields,
        }
    )

"""A gateway that tells how payments end: a gRPC server over the real stubs, as a test says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc

from gateway.errors import ERRORS
from gateway.v1 import dispute_pb2, dispute_service_pb2, payment_pb2
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.dispute_service_pb2_grpc import (
    DisputeServiceServicer,
    add_DisputeServiceServicer_to_server,
)
from gateway.v1.error_reason_pb2 import ErrorReason
from gateway.v1.payment_service_pb2_grpc import (
    PaymentServiceServicer,
    add_PaymentServiceServicer_to_server,
)
from money.v1.money_pb2 import Money
from runtime.clock import Clock
from runtime.notifier import Notifier
from tests.compliance.merchant_server import abort

SUCCEEDED = payment_pb2.PAYMENT_STATE_SUCCEEDED


@dataclass
class FakePayments(PaymentServiceServicer, DisputeServiceServicer):
    """What compliance calls of a gateway about payments; the rest is not answered."""

    clock: Clock
    feed: list[pb.WatchPaymentsResponse] = field(default_factory=list)
    disputes: dict[str, list[dispute_pb2.Dispute]] = field(default_factory=dict)
    # From where the feed was asked for, and the payments whose disputes were.
    watches: list[tuple[int, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    epoch: int = 0
    # The last sequence that a gateway has which was restored; None for one that was not.
    kept: int | None = None
    # So many changes are told once more when the feed is asked for anew.
    resends: int = 0
    is_refused: bool = False
    disputes_are_away: bool = False
    _payments: dict[str, payment_pb2.Payment] = field(default_factory=dict)
    _news: Notifier = field(default_factory=Notifier)

    def captured(
        self, payment_id: str, merchant_id: str, minor: int = 1_000, currency: str = "EUR"
    ) -> None:
        """A payment succeeds."""
        zero = Money(currency_code=currency)
        amount = Money(currency_code=currency, minor_units=minor)
        self._payments[payment_id] = payment_pb2.Payment(
            id=payment_id,
            merchant_id=merchant_id,
            state=SUCCEEDED,
            amount=amount,
            amount_captured=amount,
            amount_refunded=zero,
        )
        self._tell(payment_id, "captured")

    def refunded(self, payment_id: str, minor: int) -> None:
        """Stripe makes a refund, or takes one back where `minor` is negative."""
        self._payments[payment_id].amount_refunded.minor_units += minor
        self._tell(payment_id, "refund_succeeded" if minor > 0 else "refund_failed")

    def disputed(
        self,
        payment_id: str,
        dispute_id: str = "",
        state: str = "NEEDS_RESPONSE",
        opened: datetime | None = None,
    ) -> None:
        """Stripe opens a dispute of the whole payment, or says what became of one."""
        dispute_id = dispute_id or f"dsp_{payment_id}"
        payment = self._payments[payment_id]
        known = self.disputes.setdefault(payment_id, [])
        found = next((dispute for dispute in known if dispute.id == dispute_id), None)
        transition = "dispute_updated"
        if found is None:
            found = dispute_pb2.Dispute(
                id=dispute_id,
                payment_id=payment_id,
                merchant_id=payment.merchant_id,
                amount=payment.amount,
            )
            found.effective_time.FromDatetime(opened or self.clock.now())
            known.append(found)
            transition = "dispute_opened"
        found.state = dispute_pb2.DisputeState.Value(f"DISPUTE_STATE_{state}")
        self._tell(payment_id, transition)

    def tell_unreadable(self, payment_id: str) -> None:
        """The gateway cannot read a change."""
        payment = self._payments[payment_id]
        bare = payment_pb2.Payment(id=payment_id, merchant_id=payment.merchant_id)
        self._append(pb.WatchPaymentsResponse(transition="refund_succeeded", payment=bare))

    def _tell(self, payment_id: str, transition: str) -> None:
        told = pb.WatchPaymentsResponse(transition=transition, payment=self._payments[payment_id])
        told.record_time.FromDatetime(self.clock.now())
        self._append(told)

    def _append(self, told: pb.WatchPaymentsResponse) -> None:
        told.epoch = self.epoch
        told.sequence = len(self.feed) + 1
        self.feed.append(told)
        self._news.notify()

    async def WatchPayments(self, request: pb.WatchPaymentsRequest, context: Any) -> Any:
        self.watches.append((request.epoch, request.after_sequence))
        if self.is_refused:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for this client")
        kept = self.kept
        if kept is not None and request.epoch < self.epoch and request.after_sequence > kept:
            error = ERRORS.error(
                grpc.StatusCode.OUT_OF_RANGE,
                ErrorReason.ERROR_REASON_CURSOR_OUTDATED,
                "of changes that were lost",
                metadata={"epoch": str(request.epoch), "after_sequence": str(kept)},
            )
            await abort(context, error)
        sequence = max(0, request.after_sequence - self.resends)
        while True:
            token = self._news.token()
            for told in self.feed[sequence:]:
                sequence = told.sequence
                if told.transition in request.transitions:
                    yield told
            await Notifier.wait(token, 30)

    async def ListDisputes(
        self, request: dispute_service_pb2.ListDisputesRequest, context: Any
    ) -> Any:
        if self.disputes_are_away:
            await context.abort(grpc.StatusCode.INTERNAL, "somewhere else")
        self.asked.append(request.payment_id)
        return dispute_service_pb2.ListDisputesResponse(
            disputes=self.disputes.get(request.payment_id, [])
        )


def add_payments(payments: FakePayments, server: grpc.aio.Server) -> None:
    """Adds what they serve to a server."""
    add_PaymentServiceServicer_to_server(payments, server)
    add_DisputeServiceServicer_to_server(payments, server)


@asynccontextmanager
async def serve_payments(payments: FakePayments) -> AsyncIterator[str]:
    """Serves them alone on a free loopback port; yields the address."""
    server = grpc.aio.server()
    add_payments(payments, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)

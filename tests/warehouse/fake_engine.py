"""An engine that says what a test has it say: a gRPC server over the real stubs, with feeds that go
on, histories that a restore cuts off, and lists in pages."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc

from compliance.v1 import decision_pb2, decision_service_pb2_grpc
from compliance.v1 import decision_service_pb2 as decision_pb
from gateway.epochs import FIRST, Cursor, Epoch, Epochs, check_cursor
from gateway.v1 import balance_transaction_service_pb2 as balance_pb
from gateway.v1 import (
    balance_transaction_service_pb2_grpc,
    billing_service_pb2_grpc,
    dispute_pb2,
    dispute_service_pb2_grpc,
    payment_pb2,
    payment_service_pb2_grpc,
    payout_pb2,
    payout_service_pb2_grpc,
    report_pb2,
    report_service_pb2_grpc,
    sigma_pb2,
    sigma_service_pb2_grpc,
)
from gateway.v1 import billing_service_pb2 as billing_pb
from gateway.v1 import dispute_service_pb2 as dispute_pb
from gateway.v1 import payment_service_pb2 as payment_pb
from gateway.v1 import payout_service_pb2 as payout_pb
from gateway.v1 import report_service_pb2 as report_pb
from gateway.v1 import sigma_service_pb2 as sigma_pb
from reconciliation.errors import cursor_outdated
from reconciliation.v1 import reconciliation_pb2, reconciliation_service_pb2_grpc
from reconciliation.v1 import reconciliation_service_pb2 as break_pb
from runtime.errors import ServiceError
from runtime.notifier import Notifier
from tests.compliance.merchant_server import abort
from tests.waiting import WAIT_SECONDS

FIRST_HASH = b"\0" * 32


@dataclass
class History:
    """A feed of the gateway's: messages in epochs."""

    messages: list[Any] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        return self.epochs[-1].number if self.epochs else FIRST

    def restore(self, kept: int, epoch: int, keeps_epochs: int | None = None) -> None:
        """The database is as it was after so many messages, and an epoch begins."""
        del self.messages[kept:]
        if keeps_epochs is not None:
            del self.epochs[keeps_epochs:]
        self.epochs.append(Epoch(epoch, kept))

    def check(self, epoch: int, sequence: int) -> None:
        if sequence:
            check_cursor(Epochs(self.epochs, len(self.messages)), Cursor(epoch, sequence))


@dataclass
class FakeEngine(
    payment_service_pb2_grpc.PaymentServiceServicer,
    balance_transaction_service_pb2_grpc.BalanceTransactionServiceServicer,
    billing_service_pb2_grpc.BillingServiceServicer,
    dispute_service_pb2_grpc.DisputeServiceServicer,
    payout_service_pb2_grpc.PayoutServiceServicer,
    report_service_pb2_grpc.ReportServiceServicer,
    sigma_service_pb2_grpc.SigmaServiceServicer,
    reconciliation_service_pb2_grpc.ReconciliationServiceServicer,
    decision_service_pb2_grpc.DecisionServiceServicer,
):
    """All that a warehouse asks of the services beside the ledger."""

    now: datetime
    payments: History = field(default_factory=History)
    moved: History = field(default_factory=History)
    billed: History = field(default_factory=History)
    paid_out: History = field(default_factory=History)
    queried: History = field(default_factory=History)
    # What a file is read as, by the id of its run or report; what is an error is answered.
    contents: dict[str, bytes | ServiceError] = field(default_factory=dict)
    reports: list[report_pb2.Report] = field(default_factory=list)
    read_files: list[str] = field(default_factory=list)
    # As GetPayment answers them.
    as_they_are: dict[str, payment_pb2.Payment] = field(default_factory=dict)
    disputes: list[dispute_pb2.Dispute] = field(default_factory=list)
    payouts: list[payout_pb2.Payout] = field(default_factory=list)
    events: list[reconciliation_pb2.BreakEvent] = field(default_factory=list)
    breaks: dict[int, reconciliation_pb2.Break] = field(default_factory=dict)
    matches: list[reconciliation_pb2.Match] = field(default_factory=list)
    decisions: list[decision_pb2.Decision] = field(default_factory=list)
    # How many items a page of a list has, whatever is asked for.
    page_items: int = 2
    asked: list[str] = field(default_factory=list)
    # So many messages are told once more, and those at these places of a feed are not told.
    resends: int = 0
    leaves_out: frozenset[int] = frozenset()
    _news: Notifier = field(default_factory=Notifier)

    def change_payment(self, transition: str, payment: payment_pb2.Payment) -> None:
        """A payment changes; its operations and refunds are not in the feed."""
        self.as_they_are[payment.id] = payment
        told = payment_pb2.Payment()
        told.CopyFrom(payment)
        for name in ("operations", "refunds"):
            told.ClearField(name)
        message = payment_pb.WatchPaymentsResponse(
            sequence=len(self.payments.messages) + 1,
            epoch=self.payments.epoch,
            transition=transition,
            payment=told,
        )
        message.record_time.FromDatetime(self.now)
        self.payments.messages.append(message)
        self._news.notify()

    def move(self, moved: Any) -> None:
        """A balance transaction changes."""
        moved.sequence = len(self.moved.messages) + 1
        moved.record_time.FromDatetime(self.now)
        self.moved.messages.append(
            balance_pb.WatchBalanceTransactionsResponse(
                balance_transaction=moved, epoch=self.moved.epoch
            )
        )
        self._news.notify()

    def bill(self, **changed: Any) -> None:
        """Something of Billing changes; it is called as the feed's field is."""
        message = billing_pb.WatchBillingResponse(
            sequence=len(self.billed.messages) + 1, epoch=self.billed.epoch, **changed
        )
        message.record_time.FromDatetime(self.now)
        self.billed.messages.append(message)
        self._news.notify()

    def pay_out(self, payout: payout_pb2.Payout) -> None:
        """A payout changes."""
        told = payout_pb2.Payout()
        told.CopyFrom(payout)
        message = payout_pb.WatchPayoutsResponse(
            sequence=len(self.paid_out.messages) + 1, epoch=self.paid_out.epoch, payout=told
        )
        message.record_time.FromDatetime(self.now)
        self.paid_out.messages.append(message)
        self._news.notify()

    def query(self, run: sigma_pb2.SigmaRun) -> None:
        """A run of a query becomes known, or its file."""
        message = sigma_pb.WatchSigmaRunsResponse(
            sequence=len(self.queried.messages) + 1, epoch=self.queried.epoch, run=run
        )
        message.record_time.FromDatetime(self.now)
        self.queried.messages.append(message)
        self._news.notify()

    def break_event(self, told: reconciliation_pb2.Break, kind: str, **more: Any) -> None:
        """Something happens to a break, which is then as it is told."""
        event = reconciliation_pb2.BreakEvent(
            sequence=len(self.events) + 1,
            break_id=told.break_id,
            kind=reconciliation_pb2.BreakEventKind.Value(f"BREAK_EVENT_KIND_{kind}"),
            **more,
        )
        event.record_time.FromDatetime(self.now)
        self.events.append(event)
        self.breaks[told.break_id] = told
        self._news.notify()

    def decide(self, **told: Any) -> None:
        """Compliance decides."""
        before = self.decisions[-1].hash if self.decisions else FIRST_HASH
        number = len(self.decisions) + 1
        decision = decision_pb2.Decision(
            id=f"dec_{number}", sequence=number, previous_hash=before, **told
        )
        decision.record_time.FromDatetime(self.now)
        decision.hash = hashlib.sha256(before + decision.SerializeToString()).digest()
        self.decisions.append(decision)

    async def WatchPayments(self, request: Any, context: Any) -> Any:
        async for message in self._watch(self.payments, request, context):
            yield message

    async def WatchBalanceTransactions(self, request: Any, context: Any) -> Any:
        async for message in self._watch(self.moved, request, context):
            yield message

    async def WatchBilling(self, request: Any, context: Any) -> Any:
        async for message in self._watch(self.billed, request, context):
            yield message

    async def WatchPayouts(self, request: Any, context: Any) -> Any:
        async for message in self._watch(self.paid_out, request, context):
            yield message

    async def WatchSigmaRuns(self, request: Any, context: Any) -> Any:
        async for message in self._watch(self.queried, request, context):
            yield message

    async def ReadSigmaFile(self, request: Any, context: Any) -> Any:
        content = await self._content(request.run_id, context)
        for begin in range(0, len(content), 7):
            yield sigma_pb.ReadSigmaFileResponse(content=content[begin : begin + 7])

    async def ReadReportFile(self, request: Any, context: Any) -> Any:
        content = await self._content(request.report_id, context)
        yield report_pb.ReadReportFileResponse(content=content)
        yield report_pb.ReadReportFileResponse(sha256=hashlib.sha256(content).hexdigest())

    async def ListReports(self, request: Any, context: Any) -> Any:
        assert request.only_ready
        items, token = self._page(self.reports, request)
        return report_pb.ListReportsResponse(reports=items, next_page_token=token)

    async def _content(self, key: str, context: Any) -> bytes:
        self.read_files.append(key)
        content = self.contents[key]
        if isinstance(content, ServiceError):
            await abort(context, content)
        assert isinstance(content, bytes)
        return content

    async def _watch(self, history: History, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            history.check(request.epoch, request.after_sequence)
        except ServiceError as error:
            await abort(context, error)
        sequence = request.after_sequence
        while True:
            token = self._news.token()
            for message in history.messages[sequence:]:
                sequence += 1
                for _ in range(1 + self.resends):
                    if sequence not in self.leaves_out:
                        yield message
            await Notifier.wait(token, WAIT_SECONDS)

    async def WatchBreaks(self, request: Any, context: Any) -> Any:
        sequence = request.after_sequence
        if sequence > len(self.events):
            await abort(context, cursor_outdated(len(self.events)))
        while True:
            token = self._news.token()
            for event in self.events[sequence:]:
                sequence += 1
                yield break_pb.WatchBreaksResponse(
                    event=event, reconciliation_break=self.breaks[event.break_id]
                )
            await Notifier.wait(token, WAIT_SECONDS)

    async def GetPayment(self, request: Any, context: Any) -> Any:
        self.asked.append(request.payment_id)
        if request.payment_id not in self.as_they_are:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such payment")
        return payment_pb.GetPaymentResponse(payment=self.as_they_are[request.payment_id])

    async def ListDisputes(self, request: Any, context: Any) -> Any:
        items, token = self._page(self.disputes[::-1], request)
        return dispute_pb.ListDisputesResponse(disputes=items, next_page_token=token)

    async def ListPayouts(self, request: Any, context: Any) -> Any:
        items, token = self._page(self.payouts[::-1], request)
        return payout_pb.ListPayoutsResponse(payouts=items, next_page_token=token)

    async def ListMatches(self, request: Any, context: Any) -> Any:
        assert request.include_revoked
        items, token = self._page(self.matches, request)
        return break_pb.ListMatchesResponse(matches=items, next_page_token=token)

    async def ListDecisions(self, request: Any, context: Any) -> Any:
        below = int(request.page_token or len(self.decisions) + 1)
        older = [each for each in self.decisions[::-1] if each.sequence < below]
        page = older[: self.page_items]
        more = len(older) > len(page)
        return decision_pb.ListDecisionsResponse(
            decisions=page, next_page_token=str(page[-1].sequence) if more else ""
        )

    def _page(self, items: Sequence[Any], request: Any) -> tuple[Sequence[Any], str]:
        begin = int(request.page_token or 0)
        end = begin + self.page_items
        return items[begin:end], str(end) if end < len(items) else ""


@dataclass(frozen=True)
class ServedEngine:
    """A fake and where it answers."""

    engine: FakeEngine
    address: str
    channel: grpc.aio.Channel


@asynccontextmanager
async def serving_engine(now: datetime) -> AsyncIterator[ServedEngine]:
    """Serves a fake on a free port."""
    engine = FakeEngine(now)  # type: ignore[abstract]
    server = grpc.aio.server()
    for add in (
        payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
        balance_transaction_service_pb2_grpc.add_BalanceTransactionServiceServicer_to_server,
        billing_service_pb2_grpc.add_BillingServiceServicer_to_server,
        dispute_service_pb2_grpc.add_DisputeServiceServicer_to_server,
        payout_service_pb2_grpc.add_PayoutServiceServicer_to_server,
        report_service_pb2_grpc.add_ReportServiceServicer_to_server,
        sigma_service_pb2_grpc.add_SigmaServiceServicer_to_server,
        reconciliation_service_pb2_grpc.add_ReconciliationServiceServicer_to_server,
        decision_service_pb2_grpc.add_DecisionServiceServicer_to_server,
    ):
        add(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    address = f"127.0.0.1:{port}"
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield ServedEngine(engine, address, channel)
    finally:
        await server.stop(None)

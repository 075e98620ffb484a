"""BillingService: check, call, answer."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from sqlalchemy import Row

from gateway.billing.billing import BillingKind
from gateway.billing.store import BillingStore, Filters
from gateway.epochs import Cursor
from gateway.errors import ERRORS
from gateway.numbering import watch
from gateway.payments.rendering import stamp
from gateway.v1 import billing_pb2, billing_service_pb2_grpc
from gateway.v1 import billing_service_pb2 as pb
from runtime.notifier import Notifier
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
_MESSAGES: dict[str, type[Message]] = {
    BillingKind.INVOICE: billing_pb2.Invoice,
    BillingKind.INVOICE_PAYMENT: billing_pb2.InvoicePayment,
    BillingKind.CREDIT_NOTE: billing_pb2.CreditNote,
    BillingKind.SUBSCRIPTION: billing_pb2.Subscription,
}


class BillingServicer(billing_service_pb2_grpc.BillingServiceServicer):
    """What Stripe Billing has of the platform."""

    def __init__(self, store: BillingStore, notifier: Notifier) -> None:
        self._store = store
        self._notifier = notifier
        self._page_tokens = PageTokens(ERRORS)

    async def ListInvoices(
        self, request: pb.ListInvoicesRequest, _context: Any
    ) -> pb.ListInvoicesResponse:
        found, token = await self._page(BillingKind.INVOICE, request)
        return pb.ListInvoicesResponse(invoices=found, next_page_token=token)

    async def ListSubscriptions(
        self, request: pb.ListSubscriptionsRequest, _context: Any
    ) -> pb.ListSubscriptionsResponse:
        found, token = await self._page(BillingKind.SUBSCRIPTION, request)
        return pb.ListSubscriptionsResponse(subscriptions=found, next_page_token=token)

    async def WatchBilling(
        self, request: pb.WatchBillingRequest, _context: Any
    ) -> AsyncIterator[pb.WatchBillingResponse]:
        cursor = Cursor(request.epoch, request.after_sequence)
        async for row, epoch in watch(self._store, self._notifier, cursor):
            # The fields of what changed are called as the kinds are.
            changed: dict[str, Any] = {row.kind: _message(row)}
            yield pb.WatchBillingResponse(
                sequence=row.sequence, epoch=epoch, record_time=stamp(row.record_time), **changed
            )

    async def _page(self, kind: BillingKind, request: Any) -> tuple[Sequence[Any], str]:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        filters = Filters(
            corridor=request.corridor, customer_id=request.customer_id, status=request.status
        )
        after = int(position[0]) if position else 0
        found = await self._store.page(kind, filters, after, size + 1)
        page = found[:size]
        token = ""
        if len(found) > size:
            token = self._page_tokens.encode(request, [page[-1].first_sequence])
        return [_message(row) for row in page], token


def _message(row: Row[Any]) -> Any:
    """What was kept, in the form that it is kept in. A later release may have kept more."""
    message = ParseDict(row.content, _MESSAGES[row.kind](), ignore_unknown_fields=True)
    return _in_corridor(message, row.corridor)


def _in_corridor(message: Any, corridor: str) -> Any:
    message.corridor = corridor
    return message

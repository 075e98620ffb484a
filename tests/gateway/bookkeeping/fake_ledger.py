"""A ledger service in memory behind a real gRPC socket, which can be told to misbehave.

It keeps what the real one promises about request ids and batches, and nothing of balances: those
are tested with the real one in test_booking_in_ledger.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from ledger.v1.account_pb2 import (
    BatchCreateAccountsRequest,
    BatchCreateAccountsResponse,
    CreateAccountRequest,
    CreateAccountResponse,
)
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.ledger_pb2 import CreateLedgerRequest, CreateLedgerResponse
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsRequest,
    BatchCreateTransactionsResponse,
    BatchItem,
    BatchItemResult,
    ItemFailure,
)
from ledger.v1.transaction_pb2 import Transaction

Context = grpc.aio.ServicerContext[Any, Any]


class FakeLedger:
    """One process's worth of ledgers. Its memory outlives the server that serves it."""

    METHODS: ClassVar[dict[str, tuple[type[Message], type[Message]]]] = {
        "CreateLedger": (CreateLedgerRequest, CreateLedgerResponse),
        "BatchCreateAccounts": (BatchCreateAccountsRequest, BatchCreateAccountsResponse),
        "CreateAccount": (CreateAccountRequest, CreateAccountResponse),
        "BatchCreateTransactions": (
            BatchCreateTransactionsRequest,
            BatchCreateTransactionsResponse,
        ),
    }

    def __init__(self) -> None:
        self.ledgers: set[str] = set()
        self.accounts: dict[str, bytes] = {}
        self.log: list[BatchItem] = []
        self.results: dict[str, tuple[bytes, BatchItemResult]] = {}
        self.calls: list[str] = []
        # Faults, to be set by tests.
        self.lost_answers = 0
        self.failures: deque[grpc.StatusCode] = deque()
        self.refused: set[str] = set()
        self.breaks_on: set[str] = set()
        self.before_booking: Callable[[], Awaitable[None]] | None = None

    @property
    def request_ids(self) -> list[str]:
        """The request ids of all transactions, in the order of the log."""
        return [item.request_id for item in self.log]

    async def CreateLedger(
        self, request: CreateLedgerRequest, context: Context
    ) -> CreateLedgerResponse:
        self.calls.append("CreateLedger")
        self.ledgers.add(request.name)
        return CreateLedgerResponse()

    async def BatchCreateAccounts(
        self, request: BatchCreateAccountsRequest, context: Context
    ) -> BatchCreateAccountsResponse:
        self.calls.append("BatchCreateAccounts")
        await self._require_ledger(request.ledger, context)
        for account in request.accounts:
            if self.accounts.get(account.name, request.request_id.encode()) != (
                request.request_id.encode()
            ):
                await _fail(context, grpc.StatusCode.ALREADY_EXISTS, "ACCOUNT_ALREADY_EXISTS")
        for account in request.accounts:
            self.accounts[account.name] = request.request_id.encode()
        return BatchCreateAccountsResponse()

    async def CreateAccount(
        self, request: CreateAccountRequest, context: Context
    ) -> CreateAccountResponse:
        self.calls.append("CreateAccount")
        if request.account.name in self.accounts:
            await _fail(context, grpc.StatusCode.ALREADY_EXISTS, "ACCOUNT_ALREADY_EXISTS")
        self.accounts[request.account.name] = request.request_id.encode()
        return CreateAccountResponse()

    async def BatchCreateTransactions(
        self, request: BatchCreateTransactionsRequest, context: Context
    ) -> BatchCreateTransactionsResponse:
        self.calls.append("BatchCreateTransactions")
        await self._require_ledger(request.ledger, context)
        if self.failures:
            await _fail(context, self.failures.popleft(), "")
        if any(item.request_id in self.breaks_on for item in request.items):
            await _fail(context, grpc.StatusCode.INTERNAL, "INTERNAL")
        if self.before_booking is not None:
            await self.before_booking()
        results = [self._book(item) for item in request.items]
        if self.lost_answers:
            self.lost_answers -= 1
            await _fail(context, grpc.StatusCode.UNAVAILABLE, "")
        return BatchCreateTransactionsResponse(results=results)

    def _book(self, item: BatchItem) -> BatchItemResult:
        body = item.SerializeToString(deterministic=True)
        if item.request_id in self.results:
            known_body, result = self.results[item.request_id]
            if known_body == body:
                return result
            return _refusal(ErrorReason.ERROR_REASON_REQUEST_ID_REUSED)
        if item.request_id in self.refused:
            result = _refusal(ErrorReason.ERROR_REASON_CEILING_BREACHED)
        elif any(entry.account not in self.accounts for entry in item.create.entries):
            result = _refusal(ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND)
        else:
            self.log.append(item)
            result = BatchItemResult(transaction=Transaction(sequence=len(self.log)))
        self.results[item.request_id] = (body, result)
        return result

    async def _require_ledger(self, ledger: str, context: Context) -> None:
        if ledger not in self.ledgers:
            await _fail(context, grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")


def _refusal(reason: ErrorReason.ValueType) -> BatchItemResult:
    return BatchItemResult(failure=ItemFailure(reason=reason, message="refused by the test"))


async def _fail(context: Context, code: grpc.StatusCode, reason: str) -> None:
    status = status_pb2.Status(code=code.value[0], message="told to by the test")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="ledger"))
    await context.abort_with_status(rpc_status.to_status(status))


@asynccontextmanager
async def served(ledger: FakeLedger, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serves the ledger; gives the address, with which it can be served again later."""
    server = grpc.aio.server()
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            getattr(ledger, name),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )
        for name, (request, response) in FakeLedger.METHODS.items()
    }
    server.add_registered_method_handlers("ledger.v1.LedgerService", handlers)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)

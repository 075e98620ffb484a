"""Sends batches to a ledger, so that sending one again never books anything twice.

Each transaction has its own request_id, and each call one made from all that it says: a call that
is sent again, because its answer was lost or because the command was killed, finds its answer.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict

from ledger.load.batches import Batch
from ledger.load.given import AnyGiven, Given, Source
from ledger.load.jsonl import KEYS
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.ledger_pb2 import GetLedgerRequest
from ledger.v1.transaction_pb2 import TRANSACTION_VIEW_SUMMARY, TransactionKey
from ledger.v1.transaction_reads_pb2 import GetTransactionRequest
from runtime.command_failures import PASSING_CODES, CommandError, of_call
from runtime.errors import REASON_PREFIX, ReceivedError, from_rpc_error
from runtime.json_numbers import exact
from runtime.progress import Progress

if TYPE_CHECKING:
    from ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

CALL_TIMEOUT_SECONDS = 60.0
# Together long enough for a service to be restarted.
RETRY_DELAYS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)
ID_HEX_DIGITS = 40

Answer = TypeVar("Answer")
# A line of the rejected file.
Report = dict[str, Any]


class RefusedError(CommandError):
    """A call that the ledger answered with no."""

    def __init__(self, message: str, received: ReceivedError) -> None:
        super().__init__(message)
        self.received = received


@dataclass
class Sent:
    """What became of a batch: what was refused, and the last transaction made, if any."""

    refused: list[Report] = field(default_factory=list)
    request_id: str = ""


class Sender:
    """Calls one ledger."""

    def __init__(
        self, stub: "LedgerServiceAsyncStub", address: str, ledger: str, progress: Progress
    ) -> None:
        self._stub = stub
        self._address = address
        self.ledger = ledger
        self._progress = progress

    async def check_ledger(self) -> None:
        """Raises `CommandError` unless there is such a ledger; does not wait for one to come."""
        try:
            await self._stub.GetLedger(GetLedgerRequest(name=self.ledger))
        except grpc.RpcError as error:
            raise of_call(error, self._address) from error

    async def has(self, request_id: str) -> bool:
        """Whether the ledger has a transaction with this request_id."""
        key = TransactionKey(request_id=request_id)
        try:
            await self._call(
                self._stub.GetTransaction, GetTransactionRequest(ledger=self.ledger, key=key)
            )
        except RefusedError as error:
            if error.received.reason == "TRANSACTION_NOT_FOUND":
                return False
            raise
        return True

    async def send(self, source: Source, batch: Batch) -> Sent:
        """Makes a batch's accounts, then its transactions."""
        sent = Sent()
        if batch.accounts:
            sent.refused.extend(await self._send_accounts(source, batch.accounts))
        if batch.items:
            await self._send_items(source, batch.items, sent)
        return sent

    async def _send_items(
        self, source: Source, items: Sequence[Given[mutations.BatchItem]], sent: Sent
    ) -> None:
        request = mutations.BatchCreateTransactionsRequest(
            ledger=self.ledger,
            mode=mutations.BATCH_MODE_INDEPENDENT,
            items=[given.message for given in items],
            view=TRANSACTION_VIEW_SUMMARY,
        )
        request.request_id = _id_of(request)
        try:
            answer = await self._call(self._stub.BatchCreateTransactions, request)
        except RefusedError as error:
            # Of what posts and reversals are about only the ledger knows how large it is.
            if error.received.reason != "BATCH_TOO_LARGE" or len(items) == 1:
                raise
            half = len(items) // 2
            await self._send_items(source, items[:half], sent)
            await self._send_items(source, items[half:], sent)
            return
        for given, result in zip(items, answer.results, strict=True):
            if result.HasField("failure"):
                failure = result.failure
                reason = ErrorReason.Name(failure.reason).removeprefix(REASON_PREFIX)
                report = _report(source, given, reason, failure.message, failure.metadata)
                sent.refused.append(report)
            else:
                sent.request_id = given.message.request_id

    async def _send_accounts(
        self, source: Source, wanted: Sequence[Given[accounts.AccountInput]]
    ) -> list[Report]:
        """Makes accounts, all at once if none of them is there already."""
        request = accounts.BatchCreateAccountsRequest(
            ledger=self.ledger, accounts=[given.message for given in wanted]
        )
        request.request_id = _id_of(request)
        try:
            await self._call(self._stub.BatchCreateAccounts, request)
        except RefusedError as error:
            if error.received.reason != "ACCOUNT_ALREADY_EXISTS":
                raise
        else:
            return []
        reports = [await self._send_account(source, given) for given in wanted]
        return [report for report in reports if report is not None]

    async def _send_account(
        self, source: Source, given: Given[accounts.AccountInput]
    ) -> Report | None:
        """Makes one account; one that is there and is the same is as good as made."""
        request = accounts.CreateAccountRequest(ledger=self.ledger, account=given.message)
        request.request_id = _id_of(request)
        try:
            await self._call(self._stub.CreateAccount, request)
        except RefusedError as error:
            received = error.received
            if received.reason != "ACCOUNT_ALREADY_EXISTS":
                raise
            if not await self._is_there(given.message):
                return _report(source, given, received.reason, received.message, received.metadata)
        return None

    async def _is_there(self, wanted: accounts.AccountInput) -> bool:
        """Whether the account of that name is the one that is wanted."""
        request = accounts.GetAccountRequest(ledger=self.ledger, name=wanted.name)
        found = (await self._call(self._stub.GetAccount, request)).account
        there = accounts.AccountInput(
            name=found.name,
            currency_code=found.currency_code,
            normal_balance=found.normal_balance,
            limits=found.limits,
            metadata=found.metadata,
        )
        # No limits and none of the limits are the same.
        there.limits.SetInParent()
        asked = accounts.AccountInput()
        asked.CopyFrom(wanted)
        asked.limits.SetInParent()
        return there == asked

    async def _call(self, method: Callable[..., Awaitable[Answer]], request: Any) -> Answer:
        """Calls until there is an answer; raises `RefusedError` for one that says no."""
        for delay in (*RETRY_DELAYS_SECONDS, None):
            try:
                return await method(request, timeout=CALL_TIMEOUT_SECONDS)
            except grpc.RpcError as error:
                received = from_rpc_error(error)
                failure = of_call(error, self._address)
                if received.code not in PASSING_CODES:
                    raise RefusedError(failure.message, received) from error
                if delay is None:
                    raise failure from error
                self._progress.say(f"{failure.message}; trying again")
                await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")


def _id_of(request: Any) -> str:
    """A request_id that the same request always has and no other one."""
    encoded = request.SerializeToString(deterministic=True)
    kind = request.DESCRIPTOR.name.encode()
    return f"load:{sha256(kind + b'/' + encoded).hexdigest()[:ID_HEX_DIGITS]}"


def _report(
    source: Source, given: AnyGiven, reason: str, message: str, metadata: Mapping[str, str]
) -> Report:
    unit, number = source.locate(given.place)
    report: Report = {unit: number}
    if isinstance(given.message, mutations.BatchItem):
        report["request_id"] = given.message.request_id
    report |= {"reason": reason, "message": message, "metadata": dict(sorted(metadata.items()))}
    if given.original:
        # proto3 JSON takes strings alike, so that a corrected line has the amount that was meant.
        report["input"] = json.loads(given.original, parse_int=lambda digits: exact(int(digits)))
    else:
        report["input"] = _line(given.message)
    return report


def _line(message: accounts.AccountInput | mutations.BatchItem) -> Report:
    """An account or item as a line of the JSON Lines form."""
    value: Report = MessageToDict(message, preserving_proto_field_name=True)
    if isinstance(message, accounts.AccountInput):
        return {"account": value}
    return {KEYS.get(key, key): part for key, part in value.items()}

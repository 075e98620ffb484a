"""The gateway's books in the ledger service, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from gateway.bookkeeping.ledger_requests import LedgerItem, account_request, accounts_request, batch
from gateway.bookkeeping.mapping import AccountGroup
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.ledger_pb2 import CreateLedgerRequest
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_mutations_pb2 import BatchItemResult, ItemFailure
from ledger.v1.transaction_pb2 import TRANSACTION_STATE_VOIDED, TransactionKey
from ledger.v1.transaction_reads_pb2 import GetTransactionRequest, GetTransactionResponse
from runtime.errors import ReceivedError, from_rpc_error

# Account groups known to exist; beyond it the oldest are asked for again, which changes nothing.
MAX_KNOWN_GROUPS = 50_000
MAX_MESSAGE_CHARACTERS = 500
# The only fields that two bookings of one fact may differ in: an answer and a webhook about one
# thing may be a second apart (facts.Fact), what a fact builds on was named by its sequence before
# it was by its request id, and an attempt may take nothing for another reason the second time.
_MAY_DIFFER = frozenset(
    {
        *("effective_time.seconds", "effective_time.nanos"),
        *("pending.sequence", "pending.request_id"),
        *("original.sequence", "original.request_id"),
        "metadata[reason]",
    }
)

# A hold that ended otherwise.
_OVER = frozenset(
    {
        ErrorReason.ERROR_REASON_HOLD_ALREADY_POSTED,
        ErrorReason.ERROR_REASON_HOLD_ALREADY_VOIDED,
        ErrorReason.ERROR_REASON_HOLD_EXPIRED,
    }
)
# The sequence of a fact for which there was nothing left to do: transactions count from 1.
NOTHING_LEFT = 0

# Codes with which the ledger has decided, or would decide the same way for ever.
_DECIDED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
}
# Codes that may be one item's fault: its neighbours are tried without it.
_SUSPICIOUS = _DECIDED | {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Booked:
    """The ledger has the fact, at this sequence; at NOTHING_LEFT if it needs none."""

    sequence: int
    # A hold that the ledger had already, and has had released since.
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The ledger decided against the fact; asking again with the same request id is useless."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The ledger answered neither yes nor no to this fact; another attempt may."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """The ledger keeps a refusal under the fact's request id that was not about the fact: it was
    asked while it had lost what the fact builds on, or for something that was written otherwise.
    Under that id nothing will ever be booked, so the fact is asked for under the next one."""

    reason: str
    message: str
    # Whether the ledger does not have what it said it has.
    is_behind: bool


Outcome = Booked | Refused | Postponed | Renewed


class LedgerUnavailableError(ConnectionError):
    """The ledger cannot be used now; whether it booked anything is not known.

    One of the errors that say that a dependency is away: loops wait for that to pass.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the ledger is unavailable: {reason}")
        self.reason = reason


class LedgerBehindError(LedgerUnavailableError):
    """The ledger has not any more what it told us that it has: nothing is booked until people
    have `python -m gateway rebook` compare the two."""


class LedgerBooks:
    """One ledger in the ledger service, made with its accounts when first needed."""

    def __init__(self, channel: grpc.aio.Channel, ledger: str) -> None:
        self._stub = LedgerServiceStub(channel)
        self._ledger = ledger
        self._ledger_known = False
        self._known_groups: dict[AccountGroup, None] = {}

    @property
    def ledger(self) -> str:
        """The ledger's name."""
        return self._ledger

    async def book(self, items: Sequence[LedgerItem]) -> list[Outcome]:
        """Books facts that do not depend on each other; one outcome each, in their order.

        Raises LedgerUnavailableError; repeating the call later is safe.
        """
        try:
            await self._ensure_accounts(items)
            response = await self._stub.BatchCreateTransactions(batch(self._ledger, items))
        except grpc.aio.AioRpcError as error:
            return await self._after_failure(from_rpc_error(error), items)
        if len(response.results) != len(items):
            raise LedgerUnavailableError("answered with another number of results")
        return [
            await self._outcome(item, result)
            for item, result in zip(items, response.results, strict=True)
        ]

    async def _outcome(self, item: LedgerItem, result: BatchItemResult) -> Outcome:
        """What became of one item. A fact that the ledger has from another report of it is booked:
        a gateway that was restored learns of it anew, maybe from another source."""
        if result.WhichOneof("result") == "transaction":
            return Booked(result.transaction.sequence)
        refused = _refused(result.failure)
        match result.failure.reason:
            case ErrorReason.ERROR_REASON_REQUEST_ID_REUSED:
                known = await self._known(TransactionKey(request_id=item.operation.request_id))
                if known is None:
                    return Renewed(refused.reason, refused.message, is_behind=False)
                if not _is_same_fact(result.failure):
                    return refused
                return Booked(
                    known.transaction.sequence,
                    is_void=item.operation.WhichOneof("operation") == "create"
                    and known.standing.state == TRANSACTION_STATE_VOIDED,
                )
            case ErrorReason.ERROR_REASON_TRANSACTION_NOT_FOUND:
                is_behind = await self._known(_required(item)) is None
                if is_behind and item.may_be_over:
                    return Booked(NOTHING_LEFT)
                return Renewed(refused.reason, refused.message, is_behind=is_behind)
            case ErrorReason.ERROR_REASON_ACCOUNT_NOT_FOUND:
                # They were made before.
                self._known_groups.clear()
                return Renewed(refused.reason, refused.message, is_behind=True)
            case reason if reason in _OVER and item.may_be_over:
                return Booked(NOTHING_LEFT)
        return refused

    async def _known(self, key: TransactionKey) -> GetTransactionResponse | None:
        """What the ledger has under a key; None if it has nothing."""
        try:
            return await self._stub.GetTransaction(
                GetTransactionRequest(ledger=self._ledger, key=key)
            )
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.reason == "TRANSACTION_NOT_FOUND":
                return None
            raise LedgerUnavailableError(failure.reason or failure.code.name) from error

    async def _after_failure(
        self, failure: ReceivedError, items: Sequence[LedgerItem]
    ) -> list[Outcome]:
        """The call failed as a whole: one item may be to blame, or the ledger."""
        if failure.reason == "LEDGER_NOT_FOUND":
            self._ledger_known = False
            self._known_groups.clear()
            raise LedgerUnavailableError(failure.reason)
        if failure.code not in _SUSPICIOUS:
            raise LedgerUnavailableError(failure.reason or failure.code.name)
        if len(items) > 1:
            return [(await self.book([item]))[0] for item in items]
        reason = failure.reason or failure.code.name
        if failure.code in _DECIDED:
            return [Refused(reason, _shorten(failure.message))]
        return [Postponed(reason, _shorten(failure.message))]

    async def _ensure_accounts(self, items: Sequence[LedgerItem]) -> None:
        wanted = {group: None for item in items for group in item.account_groups}
        missing = [group for group in wanted if group not in self._known_groups]
        if missing and not self._ledger_known:
            await self._ensure_ledger()
        answers = await asyncio.gather(
            *(self._ensure_group(group) for group in missing), return_exceptions=True
        )
        for group, answer in zip(missing, answers, strict=True):
            if answer is not None:
                raise answer
            self._known_groups[group] = None
        while len(self._known_groups) > MAX_KNOWN_GROUPS:
            del self._known_groups[next(iter(self._known_groups))]

    async def _ensure_ledger(self) -> None:
        request = CreateLedgerRequest(request_id=f"ledger.{self._ledger}", name=self._ledger)
        try:
            await self._stub.CreateLedger(request)
        except grpc.aio.AioRpcError as error:
            # Somebody made it for us, with a display name perhaps.
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        self._ledger_known = True

    async def _ensure_group(self, group: AccountGroup) -> None:
        try:
            await self._stub.BatchCreateAccounts(accounts_request(self._ledger, group))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        else:
            return
        # An earlier release of the chart, or people, made some of them. An account that is there
        # with another currency makes the ledger refuse the entry itself.
        for account in group:
            try:
                await self._stub.CreateAccount(account_request(self._ledger, account))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise


def _required(item: LedgerItem) -> TransactionKey:
    """The transaction that an item posts, voids or reverses."""
    operation = item.operation
    match operation.WhichOneof("operation"):
        case "post":
            return operation.post.pending
        case "void":
            return operation.void.pending
    assert operation.HasField("reversal"), "what is created needs no other transaction"
    return operation.reversal.original


def _is_same_fact(failure: ItemFailure) -> bool:
    """Whether what the ledger has under a request id is the same fact, booked otherwise."""
    named = failure.metadata["differing_fields"].split(",")
    # Not all of many differences are named.
    all_named = failure.metadata["differing_field_count"] == str(len(named))
    return all_named and _MAY_DIFFER.issuperset(named)


def _refused(failure: ItemFailure) -> Refused:
    known = failure.reason in ErrorReason.values()
    reason = ErrorReason.Name(failure.reason) if known else f"REASON_{failure.reason}"
    return Refused(reason.removeprefix("ERROR_REASON_"), _shorten(failure.message))


def _shorten(message: str) -> str:
    return message[:MAX_MESSAGE_CHARACTERS]

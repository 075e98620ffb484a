"""Clients of two replicas that may die at any moment: each asks, and asks again until answered."""

import asyncio
import time
from collections.abc import Sequence
from random import Random
from typing import Any

import grpc

from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.errors import from_rpc_error
from tests.ledger.client import credit, debit, draft, key, parts
from tests.ledger.killing.history import Call, History
from tests.ledger.naive.moments import stamp
from tests.ledger.stateful.calls import call

CALL_SECONDS = 5.0
RETRY_SECONDS = 0.05
# Longer than any outage of a test.
MAX_ATTEMPTS = 1_200
REMEMBERED = 200
# What a call ends with when a process or a connection dies, or the database is away: no outcome.
UNDECIDED = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNKNOWN,
}
WALLETS = tuple(f"wallets/{number}" for number in range(6))
MAX_HOLD_US = 3_000_000


class Client:
    """One of many who use a ledger at once; `number` and the history's seed fix what it asks."""

    def __init__(self, number: int, seed: int, ledger: str, stubs: Sequence[Any]) -> None:
        self._random = Random(seed * 1_000 + number)
        self._name = f"client-{number}"
        self._ledger = ledger
        self._stubs = stubs
        self._asked = 0
        # Of this client and its fellows: holds that may be open, transactions, requests.
        self._holds: list[int] = []
        self._posted: list[int] = []
        self._requests: list[Any] = []

    async def run(self, history: History, stop: asyncio.Event) -> None:
        """Asks one thing after the other until told to stop; the last one is answered too."""
        while not stop.is_set():
            request = self._next_request()
            made = Call(request, time.monotonic())
            history.calls.append(made)
            made.answer = await self._answered(request)
            made.answered = time.monotonic()
            self._remember(made)

    async def _answered(self, request: Any) -> Any:
        for _ in range(MAX_ATTEMPTS):
            stub = Bounded(self._random.choice(self._stubs))
            answer = await call(stub, request)
            if getattr(answer, "code", None) not in UNDECIDED:
                return answer
            await asyncio.sleep(RETRY_SECONDS)
        raise AssertionError(f"{request.request_id} was not answered in {MAX_ATTEMPTS} attempts")

    def _next_request(self) -> Any:
        if self._requests and self._random.random() < 0.08:
            return self._random.choice(self._requests)
        request = self._new_request()
        self._requests = [*self._requests[-REMEMBERED:], request]
        return request

    def _new_request(self) -> Any:
        given = {"request_id": self._id(), "ledger": self._ledger}
        kind = self._random.choices(
            ("create", "batch", "post", "void", "reverse"), (50, 12, 15, 6, 7)
        )[0]
        if kind == "batch":
            return self._batch(given)
        if kind == "create" or not self._holds or not self._posted:
            return mutations.CreateTransactionRequest(transaction=self._draft(), **given)
        if kind == "reverse":
            original = key(self._random.choice(self._posted))
            taken = self._random.choice(({}, {0: 1, 1: 1}, {0: 5, 1: 5}))
            reversal = transactions.ReversalInput(original=original, parts=parts(taken))
            return mutations.ReverseTransactionRequest(reversal=reversal, **given)
        pending = key(self._random.choice(self._holds))
        if kind == "void":
            return mutations.VoidTransactionRequest(
                void=transactions.VoidInput(pending=pending), **given
            )
        return mutations.PostTransactionRequest(post=self._post(pending), **given)

    def _post(self, pending: transactions.TransactionKey) -> transactions.PostInput:
        taken = self._random.choice(({}, {0: 1, 1: 1}, {0: 3, 1: 3}))
        keep = bool(taken) and self._random.random() < 0.7
        return transactions.PostInput(
            pending=pending,
            parts=parts(taken),
            remainder=transactions.REMAINDER_KEEP if keep else transactions.REMAINDER_RELEASE,
        )

    def _draft(self) -> transactions.TransactionInput:
        """Money into a wallet, from one to the other, or out of one, some of it held first."""
        amount = self._random.randint(1, 40)
        one, other = self._random.sample(WALLETS, 2)
        entries = self._random.choice(
            (
                (debit("cash", amount), credit(one, amount)),
                (debit(one, amount), credit(other, amount)),
                (debit(one, 2 * amount), credit(other, amount), credit("fees", amount)),
                (debit(one, amount), credit("cash", amount)),
            )
        )
        made = draft(*entries, pending=self._random.random() < 0.35)
        if made.pending and self._random.random() < 0.5:
            later_us = self._random.randint(1, MAX_HOLD_US)
            made.expire_time.CopyFrom(stamp(time.time_ns() // 1000 + later_us))
        return made

    def _batch(self, given: dict[str, Any]) -> Any:
        is_atomic = self._random.random() < 0.5
        items = [
            mutations.BatchItem(
                request_id="" if is_atomic or self._random.random() < 0.5 else self._id(),
                create=self._draft(),
            )
            for _ in range(self._random.randint(1, 6))
        ]
        mode = mutations.BATCH_MODE_ATOMIC if is_atomic else mutations.BATCH_MODE_INDEPENDENT
        return mutations.BatchCreateTransactionsRequest(mode=mode, items=items, **given)

    def _id(self) -> str:
        self._asked += 1
        return f"{self._name}-{self._asked}"

    def _remember(self, made: Call) -> None:
        if not isinstance(made.answer, transactions.Transaction):
            return
        kind = made.answer.kind
        if kind == transactions.TRANSACTION_KIND_PENDING:
            self._holds = [*self._holds[-REMEMBERED:], made.answer.sequence]
        elif kind in (transactions.TRANSACTION_KIND_DIRECT, transactions.TRANSACTION_KIND_POST):
            self._posted = [*self._posted[-REMEMBERED:], made.answer.sequence]


class Bounded:
    """A stub whose calls all have a deadline."""

    def __init__(self, stub: LedgerServiceStub) -> None:
        self._stub = stub

    def __getattr__(self, method: str) -> Any:
        async def bounded(request: Any) -> Any:
            return await getattr(self._stub, method)(request, timeout=CALL_SECONDS)

        return bounded


class Watcher:
    """Follows the feed across deaths: resumes after the last it has dealt with."""

    def __init__(self, ledger: str, stubs: Sequence[Any]) -> None:
        self._ledger = ledger
        self._stubs = stubs
        self.through = 0
        self.seen: list[transactions.Transaction] = []
        self.resumed = 0

    async def run(self) -> None:
        """Watches until cancelled."""
        while True:
            stub = self._stubs[self.resumed % len(self._stubs)]
            request = reads.WatchTransactionsRequest(
                ledger=self._ledger, after_sequence=self.through
            )
            try:
                async for response in stub.WatchTransactions(request):
                    self.seen += response.transactions
                    self.through = response.through_sequence
            except grpc.aio.AioRpcError as error:
                if error.code() not in UNDECIDED:
                    raise AssertionError(f"the feed ended: {from_rpc_error(error)}") from error
            self.resumed += 1
            await asyncio.sleep(RETRY_SECONDS)

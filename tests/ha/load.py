"""Callers of all services, each of whom repeats the same request until it is answered."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import grpc

from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from gateway.v1 import payment_service_pb2 as payments
from ledger.v1 import transaction_mutations_pb2 as mutations
from runtime.errors import from_rpc_error
from sandbox.clients import Clients
from sandbox.demo.shop import Shop
from sandbox.policies import without_history_limits
from tests.chaos.customers import REPEATED, state_name
from tests.chaos.evidence import FINAL_STATES, Answer
from tests.chaos.twin import ChaosTwin
from tests.ha.engine import Engine
from tests.ledger.client import LedgerClient, transfer

CALLERS = {"ledger": 8, "gateway": 4, "compliance": 2}
CALL_SECONDS = 5.0
AGAIN_SECONDS = 0.1
# A caller has to be of use to a measurement, and not to the processors.
PAUSE_SECONDS = {"ledger": 0.1, "gateway": 0.2, "compliance": 0.2}
BOOKS = "books"


class UnexpectedAnswerError(AssertionError):
    """An answer that no caller should ever get."""


@dataclass
class Record:
    """What the callers of a service were answered: when, in seconds of the monotonic clock."""

    answered: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self) -> None:
        """A call was answered now."""
        self.answered.append(time.monotonic())
        self._news.set()

    async def more(self, count: int) -> None:
        """Waits until so many more calls are answered."""
        wanted = len(self.answered) + count
        while len(self.answered) < wanted:
            self._news.clear()
            await self._news.wait()

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time without an answer between two moments, in seconds."""
        inside = [moment for moment in self.answered if since < moment < until]
        moments = [since, *inside, until]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))


class Load:
    """`records` is by service. `transactions` has the sequence of each request that was answered,
    `answers` what gateways said of payments, `subjects` those that were made."""

    def __init__(self, shop: Shop, books: LedgerClient, merchant: str, customer: str) -> None:
        self.records = {service: Record() for service in CALLERS}
        self.transactions: dict[str, int] = {}
        self.answers: list[Answer] = []
        self.subjects: set[str] = set()
        self.shop = shop
        self.books = books
        self._merchant = merchant
        self._customer = customer
        self._numbers: Counter[str] = Counter()
        self._goes_on = asyncio.Event()
        # How often something was lost so far, and operators went by the page.
        self.restores = 0
        # What was done before may be lost.
        self.lost_until: datetime | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, engine: Engine, twin: ChaosTwin) -> AsyncIterator[Self]:
        """The callers, who do not call yet, and what they need."""
        async with AsyncExitStack() as stack:
            channels = {
                name: await stack.enter_async_context(engine.balanced_channel(name))
                for name in CALLERS
            }
            clients = Clients.over(**channels)
            await without_history_limits(clients.policies)
            shop = Shop(clients, twin)
            books = LedgerClient(channels["ledger"], BOOKS)
            await books.create_ledger()
            for account in ("cash", "safe"):
                await books.account(account)
            merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
            yield cls(shop, books, merchant, await shop.add_customer("Ada Mapleton"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """They call within the block; at its end each has been answered."""
        calls: dict[str, Callable[[str], Awaitable[None]]] = {
            "ledger": self._move,
            "gateway": self._pay,
            "compliance": self._register,
        }
        self._goes_on.set()
        async with asyncio.TaskGroup() as callers:
            for service, count in CALLERS.items():
                for _ in range(count):
                    callers.create_task(self._calls(service, calls[service]))
            try:
                yield
            finally:
                self._goes_on.clear()

    @property
    def failed(self) -> int:
        """How many calls were not answered, though they were later."""
        return sum(record.failed.total() for record in self.records.values())

    def causes(self) -> Counter[str]:
        """Why calls were not answered so far: by service and reason."""
        return Counter(
            {
                f"{service} {reason}": count
                for service, record in self.records.items()
                for reason, count in record.failed.items()
            }
        )

    async def _calls(self, service: str, call: Callable[[str], Awaitable[None]]) -> None:
        record = self.records[service]
        while self._goes_on.is_set():
            self._numbers[service] += 1
            request_id = f"{service}-{self._numbers[service]}"
            await self._until_answered(record, call, request_id)
            record.note()
            await asyncio.sleep(PAUSE_SECONDS[service])

    async def _until_answered(
        self, record: Record, call: Callable[[str], Awaitable[None]], request_id: str
    ) -> None:
        while True:  # Bounded by how long an event may take.
            try:
                await call(request_id)
            except grpc.aio.AioRpcError as error:
                received = from_rpc_error(error)
                record.failed[received.reason or error.code().name] += 1
                if error.code() not in REPEATED:
                    raise UnexpectedAnswerError(f"{error.code()} {error.details()}") from error
            else:
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _move(self, request_id: str) -> None:
        request = mutations.CreateTransactionRequest(
            request_id=request_id, ledger=BOOKS, transaction=transfer("cash", "safe", 1)
        )
        made = await self.books.stub.CreateTransaction(request, timeout=CALL_SECONDS)
        self.transactions[request_id] = made.transaction.sequence

    async def _pay(self, request_id: str) -> None:
        request = self.shop.payment_request(self._merchant, self._customer, 10_00, "visa")
        request.request_id = request_id
        before = self.restores
        made: payments.CreatePaymentResponse = await self.shop.clients.payments.CreatePayment(
            request, timeout=CALL_SECONDS
        )
        state = state_name(made.payment)
        self.answers.append(
            Answer(
                request_id,
                "CreatePayment",
                payment_id=made.payment.id,
                state=state if state in FINAL_STATES and state != "FAILED" else "",
                captured_minor=made.payment.amount_captured.minor_units,
                restores=before,
            )
        )

    async def _register(self, request_id: str) -> None:
        profile = subject.SubjectProfile(legal_name="Ada Mapleton", country_code="US")
        request = subjects.CreateSubjectRequest(
            request_id=request_id,
            subject_id=request_id,
            kind=subject.SUBJECT_KIND_CUSTOMER,
            profile=profile,
        )
        await self.shop.clients.subjects.CreateSubject(request, timeout=CALL_SECONDS)
        self.subjects.add(request_id)

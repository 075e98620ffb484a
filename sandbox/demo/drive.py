"""Drives the real engine through the twin, minute by minute of a clock that is moved in between.

Payments of a minute go through the gateway's gRPC API and the real SDK to the twin, whose accounts
do as their courses say. When all of them are answered the clock goes on to the next minute, so that
an hour takes as long as its payments do. What runs by the machine's own clock (latencies, circuit
breakers, how long callers wait) is as long as it is: courses, objectives and breakers have to be
made for that.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc

from gateway.foresight_service.foreseeing import GRACE
from gateway.v1 import foresight_service_pb2 as foresight_service
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from sandbox.demo.shop import CALL_SECONDS, FINAL_STATES, Shop
from sandbox.polling import poll
from sandbox.shared_clock import SharedClock

MINUTE = timedelta(minutes=1)
# Payments begin so long after the minute does: by then the leader may read the one before.
INTO_THE_MINUTE = GRACE + timedelta(seconds=2)
CALLERS = 8


@dataclass(frozen=True, slots=True)
class Paid:
    """What came of a payment: its state or the gRPC code, after how many seconds, and where it was
    charged at last."""

    minute: int
    answer: str
    seconds: float
    corridor: str
    payment_id: str


class Drive:
    """A merchant whose customers pay each minute, in turn, and with these cards in turn, so that
    nobody pays more often than people do. `patience` is how many seconds they wait."""

    def __init__(
        self,
        shop: Shop,
        clock: SharedClock,
        merchant: str,
        customers: Sequence[str],
        *,
        patience: float,
        cards: Sequence[str] = ("visa",),
    ) -> None:
        self._shop = shop
        self._clock = clock
        self._merchant = merchant
        self._customers = itertools.cycle(customers)
        self._cards = itertools.cycle(cards)
        self._patience = patience

    @property
    def minute(self) -> int:
        """The minute that the clock shows, since 1970."""
        return int(self._clock.now().timestamp()) // 60

    def next_minute(self) -> int:
        """Moves the clock to where payments of the next minute begin; that minute."""
        begins = datetime.fromtimestamp((self.minute + 1) * 60, UTC) + INTO_THE_MINUTE
        self._clock.advance(begins - self._clock.now())
        return self.minute

    async def pay(self, corridor: str, count: int, amount_minor: int = 20_00) -> Sequence[Paid]:
        """So many payments of this minute, a few at a time."""
        minute, places = self.minute, asyncio.Semaphore(CALLERS)

        async def one(number: int) -> Paid:
            async with places:
                return await self._pay(minute, corridor, amount_minor + number)

        return await asyncio.gather(*(one(number) for number in range(count)))

    async def foreseen(self, corridor: str) -> foresight_service.GetForecastResponse:
        """What is foreseen of a corridor once the leader has read the minute before this one."""
        over = self.minute * 60

        async def read() -> foresight_service.GetForecastResponse:
            return await self._shop.clients.foresight.GetForecast(
                foresight_service.GetForecastRequest(corridor=corridor), timeout=CALL_SECONDS
            )

        return await poll(read, lambda told: told.forecast.as_of_time.seconds >= over)

    async def _pay(self, minute: int, corridor: str, amount_minor: int) -> Paid:
        request = self._shop.payment_request(
            self._merchant,
            next(self._customers),
            amount_minor,
            next(self._cards),
            corridor=corridor,
        )
        began = time.monotonic()
        payment_id, where = "", ""
        try:
            async with asyncio.timeout(self._patience):
                made = await self._send(request)
                payment_id, where = made.id, made.corridor
                if made.state not in FINAL_STATES:
                    made = await self._shop.until(made.id, lambda read: read.state in FINAL_STATES)
                    where = made.corridor
                answer = payment.PaymentState.Name(made.state).removeprefix("PAYMENT_STATE_")
        except TimeoutError:
            answer = grpc.StatusCode.DEADLINE_EXCEEDED.name
        except grpc.aio.AioRpcError as error:
            answer = error.code().name
        return Paid(minute, answer, time.monotonic() - began, where, payment_id)

    async def _send(self, request: payments.CreatePaymentRequest) -> payment.Payment:
        response = await self._shop.clients.payments.CreatePayment(request, timeout=self._patience)
        return response.payment

"""The clients: each makes its payment, and does with it what the plan says."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as pb
from money.v1.money_pb2 import Money
from tests.chaos.customers import MAX_GROWTH, Customers
from tests.chaos.patience import Patience
from tests.chaos.plan import PlannedPayment, Step
from tests.chaos.progress import Progress
from tests.chaos.saving import RETURN_URL

WAIT_SECONDS = 0.2
# How often a client looks at a payment that is not decided before it goes on with its life.
FOLLOW_TRIES = 20
_UNDER_WAY = frozenset(
    {
        payment.PAYMENT_STATE_RECEIVED,
        payment.PAYMENT_STATE_COMPLIANCE_CHECKED,
        payment.PAYMENT_STATE_QUEUED,
        payment.PAYMENT_STATE_IN_REVIEW,
        payment.PAYMENT_STATE_AUTHORIZING,
        payment.PAYMENT_STATE_CAPTURING,
        payment.PAYMENT_STATE_CANCELING,
    }
)


async def play(
    customers: Customers, payments: Sequence[PlannedPayment], at_once: int, progress: Progress
) -> None:
    """Makes all payments in their order, so many at a time."""
    waiting = iter(payments)

    async def one_after_another() -> None:
        for planned in waiting:
            progress.begin(planned.number)
            await Client(customers, planned).run()
            progress.end()

    async with asyncio.TaskGroup() as clients:
        for _ in range(at_once):
            clients.create_task(one_after_another())


class Client:
    """One payment's client."""

    def __init__(self, customers: Customers, planned: PlannedPayment) -> None:
        self._customers = customers
        self._planned = planned
        self._random = Random(planned.request_id)
        self._patience = Patience(planned.tries)
        self._payment_id = ""

    async def run(self) -> None:
        """The whole life of the payment, as far as its client takes part."""
        planned = self._planned
        if planned.saves and not await self._customers.save_card(planned, self._ask):
            return
        made = await self._ask(self._customers.create_request(planned))
        if made is None:
            return
        self._payment_id = made.payment.id
        shown = made.payment
        for number, step in enumerate(planned.steps, start=1):
            shown = await self._follow(shown)
            if shown is None or not await self._take(step, number, shown):
                return
            shown = await self._read()
            if shown is None:
                return
        await self._follow(shown)

    async def _take(self, step: Step, number: int, shown: payment.Payment) -> bool:
        """Does one step where it makes sense; whether there is more to do."""
        state = shown.state
        request_id = f"{self._planned.request_id}.{number}"
        match step.action:
            case "come_back":
                if state != payment.PAYMENT_STATE_DECLINED:
                    return True
                returned = await self._ask(
                    pb.ConfirmPaymentRequest(
                        request_id=request_id,
                        payment_id=self._payment_id,
                        return_url=RETURN_URL,
                    )
                )
                return returned is not None
            case "authenticate" | "fail_authentication":
                if state == payment.PAYMENT_STATE_REQUIRES_ACTION:
                    passed = step.action == "authenticate"
                    await self._customers.authenticate(shown.payment_intent_id, passed=passed)
            case "win_dispute" | "lose_dispute":
                await self._customers.decide_disputes(
                    shown.payment_intent_id, "win" if step.action == "win_dispute" else "lose"
                )
            case "confirm":
                await self._ask(
                    pb.ConfirmPaymentRequest(request_id=request_id, payment_id=self._payment_id)
                )
            case "cancel":
                await self._ask(
                    pb.CancelPaymentRequest(request_id=request_id, payment_id=self._payment_id)
                )
            case "capture":
                await self._ask(
                    pb.CapturePaymentRequest(
                        request_id=request_id,
                        payment_id=self._payment_id,
                        amount=self._money(step.amount_minor),
                    )
                )
            case "refund":
                await self._ask(
                    pb.RefundPaymentRequest(
                        request_id=request_id,
                        payment_id=self._payment_id,
                        amount=self._money(step.amount_minor),
                    )
                )
        return state not in (payment.PAYMENT_STATE_BLOCKED, payment.PAYMENT_STATE_DECLINED)

    async def _follow(self, shown: payment.Payment | None) -> payment.Payment | None:
        """Reads until nothing is under way, for as long as the client has patience."""
        for look in range(min(FOLLOW_TRIES, self._planned.tries)):
            if shown is None or shown.state not in _UNDER_WAY:
                return shown
            await asyncio.sleep(WAIT_SECONDS * min(MAX_GROWTH, 1.4**look))
            shown = await self._read()
        return shown

    async def _read(self) -> payment.Payment | None:
        read = await self._ask(pb.GetPaymentRequest(payment_id=self._payment_id))
        return read.payment if read is not None else None

    async def _ask(self, request: Any) -> Any:
        return await self._customers.ask(self._random, request, self._patience)

    def _money(self, minor: int | None) -> Money | None:
        if minor is None:
            return None
        return Money(currency_code=self._planned.currency, minor_units=minor)

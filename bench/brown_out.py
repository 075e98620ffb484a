"""`python -m bench.brown_out`: a Stripe that becomes ever slower, with protection and without.

Payments arrive at random moments, half of them to be queued and half to fail at once where Stripe
cannot be reached, while the twin's latency rises from 50 ms to 20 s, stays there, and falls back at
once. The whole engine runs twice: as it is, and with its breaker, its adaptive limit and its early
answers switched off. Prints the figures and draws docs/images/brown-out.svg.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc

from bench.brown_out_course import FIRST_SECONDS, Course, Plan
from bench.brown_out_plot import draw
from bench.process import connections_to, memory_mib
from gateway.v1 import corridor_service_pb2 as corridor_service
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from runtime.command_line import command_parser
from sandbox.addresses import Ports
from sandbox.clients import open_clients
from sandbox.databases import PAYING, databases_beside
from sandbox.demo.shop import FINAL_STATES, Shop
from sandbox.embedded_postgres import temporary_server
from sandbox.engine import Engine
from sandbox.guardian import temporary_folder
from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT
from sandbox.twin_admin import TwinAdmin

LATENCY_STEP_SECONDS = 0.25
SAMPLE_SECONDS = 0.5
# A caller who waits for longer has lost its patience; none should.
CALL_SECONDS = 30.0
SETTLE_SECONDS = 600.0
LOOK_SECONDS = 2.0
PLOT = Path(__file__).parent.parent / "docs" / "images" / "brown-out.svg"
RATE = {"per_second": 25, "burst": 25}
PROTECTED: dict[str, Any] = {"breaker": {"min_calls": 10, "slow_seconds": 5.0, "open_seconds": 5.0}}
# No breaker, a limit that does not move, and callers who wait as long as the corridor lets them.
BARE: dict[str, Any] = {
    "breaker": {"min_calls": 1_000_000, "slow_seconds": 19.0},
    "concurrency": {"initial": 500, "min": 500, "max": 500},
    "max_connections": 600,
    "brown_out_seconds": 60.0,
}


async def run(name: str, corridor: Mapping[str, Any], plan: Plan) -> Course:
    """The whole engine through one brown-out."""
    ports = Ports.free()
    with (
        temporary_folder() as logs,
        temporary_server(durable=True) as postgres,
        databases_beside(dict.fromkeys(PAYING, postgres.server_url)) as databases,
    ):
        file = logs.path / "brown_out.json"
        environment = {
            "LOG_LEVEL": "ERROR",
            "GATEWAY_STRIPE_CORRIDORS_FILE": str(file),
            "GATEWAY_MAX_QUEUE_LENGTH": "100000",
        }
        engine = Engine(ports, logs.path, databases, environment)
        declared = {
            "name": DEFAULT_ACCOUNT.name,
            "api_key": DEFAULT_ACCOUNT.secret_key,
            "api_base": engine.twin_url,
            "webhook_secrets": [DEFAULT_ACCOUNT.webhook_secret],
            "endpoint_rates": {"payment_intents": RATE},
            "request_timeout_seconds": 20.0,
            **corridor,
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps([declared]), encoding="utf-8")
        try:
            await engine.start()
            async with (
                open_clients(ports) as clients,
                TwinAdmin.open(engine.twin_url) as twin,
            ):
                course = await BrownOut(Course(name), plan, engine, Shop(clients, twin)).course()
            await engine.stop()
            return course
        finally:
            await engine.kill()


class BrownOut:
    """One run against a running engine."""

    def __init__(self, course: Course, plan: Plan, engine: Engine, shop: Shop) -> None:
        self._course = course
        self._plan = plan
        self._shop = shop
        self._gateway = engine.gateway.pid
        self._twin_port = engine.ports.stripe_twin
        self._began = 0.0
        self._ids: list[str] = []
        self._sent = 0

    async def course(self) -> Course:
        """Warms up, ramps, heals, and waits until everything is decided."""
        merchant = await self._shop.add_merchant("Quiet Harbour Books")
        customer = await self._shop.add_customer("Ada Example")
        for _ in range(40):
            await self._shop.pay(merchant, customer, 1_000, "visa")
        self._began = time.perf_counter()
        watching = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ramp())
            for due in self._arrivals():
                group.create_task(self._pay(due, merchant, customer))
        await self._settle()
        watching.cancel()
        return self._course

    def _arrivals(self) -> list[float]:
        draw_from, due, dues = random.Random(7), 0.0, []
        while (due := due + draw_from.expovariate(self._plan.per_second)) < self._plan.total:
            dues.append(due)
        return dues

    async def _ramp(self) -> None:
        for step in range(int(self._plan.total / LATENCY_STEP_SECONDS)):
            moment = step * LATENCY_STEP_SECONDS
            await self._until(moment)
            latency = self._plan.latency(moment)
            await self._shop.twin.clear_faults()
            await self._shop.twin.add_fault(kind="latency", seconds=latency)
            self._course.latencies.append((moment, latency))
        await self._until(self._plan.total)
        await self._shop.twin.clear_faults()
        self._course.healed = time.perf_counter() - self._began
        self._course.latencies.append((self._course.healed, FIRST_SECONDS))

    async def _pay(self, due: float, merchant: str, customer: str) -> None:
        await self._until(due)
        self._sent += 1
        policy = "QUEUE" if self._sent % 2 else "FAIL_FAST"
        request = self._shop.payment_request(
            merchant,
            customer,
            1_000,
            "visa",
            unavailable_policy=payment.UnavailablePolicy.Value(f"UNAVAILABLE_POLICY_{policy}"),
        )
        if policy == "QUEUE":
            request.queue_timeout.FromSeconds(3_600)
        answer = await self._send(request)
        took = time.perf_counter() - self._began - due
        self._course.answers.append((due, took, policy, answer))

    async def _send(self, request: payments.CreatePaymentRequest) -> str:
        try:
            created = await self._shop.clients.payments.CreatePayment(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            return str(error.code().name)
        self._ids.append(created.payment.id)
        return payment.PaymentState.Name(created.payment.state).removeprefix("PAYMENT_STATE_")

    async def _watch(self) -> None:
        """Samples the gateway's memory, its connections to Stripe and what is under way."""
        while True:
            health = await self._shop.clients.corridors.GetCorridorHealth(
                corridor_service.GetCorridorHealthRequest(), timeout=CALL_SECONDS
            )
            (corridor,) = health.corridors
            permits = corridor.concurrency
            moment = time.perf_counter() - self._began
            if self._course.opened is None and not corridor.available:
                self._course.opened = moment
            self._course.samples.append(
                (
                    moment,
                    memory_mib(self._gateway),
                    connections_to(self._gateway, self._twin_port),
                    permits.customer_present_in_flight
                    + permits.off_session_in_flight
                    + permits.background_in_flight,
                )
            )
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _settle(self) -> None:
        """Waits until every payment is decided, and compares what was charged with it."""
        # Their places in the queue: by when they were asked for.
        in_line = {
            payment_id: read.create_time.ToNanoseconds()
            for payment_id in self._ids
            if (read := await self._get(payment_id)).state == payment.PAYMENT_STATE_QUEUED
        }
        deadline = time.perf_counter() + SETTLE_SECONDS
        undecided = list(self._ids)
        while undecided and time.perf_counter() < deadline:
            undecided = [i for i in undecided if (await self._get(i)).state not in FINAL_STATES]
            print(f"{len(undecided)} payments are undecided", file=sys.stderr)
            await asyncio.sleep(LOOK_SECONDS)
        if undecided:
            raise RuntimeError(f"{len(undecided)} payments are still undecided")
        self._course.settled = time.perf_counter() - self._began
        books = await self._shop.twin.books(DEFAULT_ACCOUNT.name)
        charged = [
            intent["metadata"]["engine_payment_id"]
            for intent in books["payment_intents"]
            if intent["metadata"]["engine_payment_id"] in set(self._ids)
        ]
        if len(set(charged)) != len(charged):
            raise RuntimeError("somebody was charged twice")
        drained = [in_line[payment_id] for payment_id in charged if payment_id in in_line]
        pairs = itertools.pairwise(drained)
        self._course.out_of_order = sum(first > second for first, second in pairs)
        self._course.charges = len(charged)
        self._course.payments = len(self._course.answers)

    async def _get(self, payment_id: str) -> payment.Payment:
        answer = await self._shop.clients.payments.GetPayment(
            payments.GetPaymentRequest(payment_id=payment_id), timeout=CALL_SECONDS
        )
        return answer.payment

    async def _until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, self._began + moment - time.perf_counter()))


def main() -> None:
    """Runs both, prints their figures, draws them beside each other."""
    parser = command_parser("bench.brown_out", __doc__ or "")
    parser.add_argument("--rise", type=float, default=60.0, help="seconds of the ramp")
    parser.add_argument("--stay", type=float, default=30.0, help="seconds at 20 s latency")
    parser.add_argument("--rate", type=float, default=10.0, help="payments per second")
    asked = parser.parse_args()
    plan = Plan(asked.rise, asked.stay, asked.rate)
    courses: list[Course] = []
    for name, corridor in (("with protection", PROTECTED), ("without", BARE)):
        course = asyncio.run(run(name, corridor, plan))
        print(json.dumps(course.line()), flush=True)
        courses.append(course)
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(draw(courses), encoding="utf-8")


if __name__ == "__main__":
    main()

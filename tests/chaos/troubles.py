"""Carries out what the plan says goes wrong: kills, faults, jumps, forgeries, closed corridors."""

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from random import Random
from typing import Any

import aiohttp
import grpc

from gateway.v1 import corridor_pb2, corridor_service_pb2
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from runtime.errors import from_rpc_error
from sandbox.stripe_twin.accounts import BACKUP_ACCOUNT, DEFAULT_ACCOUNT
from sandbox.stripe_twin.webhooks import sign
from sandbox.twin_admin import TwinAdminError
from tests.chaos.cluster import STRANGER, Cluster
from tests.chaos.degrading import degrade
from tests.chaos.healing import Time
from tests.chaos.holds import place
from tests.chaos.plan import CORRIDORS, PARTS, Kill, Plan, Trouble
from tests.chaos.progress import Progress
from tests.e2e.test_half_open import HALF_A_HEAD

MODE_TRIES = 40
MODE_SECONDS = 3.0
# After all faults have ended.
OPEN_SECONDS = 120.0
PAUSE_SECONDS = 0.1
OLD_SECONDS = 3_600
# Methods that take large requests, and how large ones are sent.
LARGE_CALLS = {
    "ledger": ("/ledger.v1.LedgerService/BatchCreateTransactions", 12 * 1024 * 1024),
    "gateway": ("/gateway.v1.PaymentService/CreatePayment", 200 * 1024),
    "compliance": ("/compliance.v1.ComplianceService/CheckPayment", 200 * 1024),
}
MODES = {"DRAIN": corridor_pb2.CORRIDOR_MODE_DRAIN, "CLOSED": corridor_pb2.CORRIDOR_MODE_CLOSED}


class Troubles:
    """`accepted_forgeries` are webhooks that nobody signed and the gateway took; `let_in` are calls
    of a certificate without rights that were looked at, `turned_away` is how many were not; `held`
    is how many holds were placed to fall due together."""

    def __init__(self, time: Time[Cluster], plan: Plan, progress: Progress) -> None:
        self.counts: Counter[str] = Counter()
        self.accepted_forgeries: list[str] = []
        self.let_in: list[str] = []
        self.turned_away = 0
        self.held = 0
        self._time = time
        self._cluster = time.cluster
        self._twin = time.twin
        self._plan = plan
        self._progress = progress

    async def run(self) -> None:
        """All of them, each at its payment; every kill is made, the last ones at the end."""
        by_part: dict[str, list[Kill]] = defaultdict(list)
        for kill in self._plan.kills:
            by_part[PARTS[kill.victim]].append(kill)
        async with asyncio.TaskGroup() as going:
            for kills in by_part.values():
                going.create_task(self._kill_one_after_another(kills))
            for trouble in self._plan.troubles:
                going.create_task(self.suffer(trouble))

    async def _kill_one_after_another(self, kills: Iterable[Kill]) -> None:
        for number, kill in enumerate(kills):
            await self._progress.reached(kill.at_payment)
            await asyncio.sleep(kill.delay_ms / 1_000)
            draw = Random(f"{self._plan.seed} {kill.victim} {number}")
            await self._cluster.kill(kill.victim, kill.steps, draw)

    async def suffer(self, trouble: Trouble) -> None:
        """One of them, from its payment on until it is over."""
        await self._progress.reached(trouble.at_payment)
        detail = trouble.detail
        self.counts[trouble.kind] += 1
        match trouble.kind:
            case "fault":
                fault = await self._twin.add_fault(**detail)
                await self._until_over(trouble)
                await self._twin.clear_fault(fault)
            case "outage":
                await self._twin.set_outage(detail["mode"])
                await self._until_over(trouble)
                await self._twin.set_outage("off")
            case "webhook_fault":
                fault = await self._twin.add_webhook_fault(**detail)
                await self._until_over(trouble)
                await self._twin.clear_webhook_fault(fault)
            case "jump":
                offset = timedelta(milliseconds=detail["offset_ms"])
                self._time.jump(detail["victim"], offset)
                await self._until_over(trouble)
                self._time.jump(detail["victim"], timedelta(0))
            case "closure":
                corridor, when = detail["corridor"], f"{trouble.at_payment}-{trouble.until_payment}"
                await self._set_mode(corridor, MODES[detail["mode"]], f"close-{when}")
                await self._until_over(trouble)
                await self._set_mode(corridor, corridor_pb2.CORRIDOR_MODE_OPEN, f"open-{when}")
            case "degradation":
                await degrade(trouble, self._time, self._progress, self._until)
            case "freeze":
                await self._cluster.freeze(detail["service"], trouble.longest_ms / 1_000)
            case "payout":
                await self._pay_out(trouble)
            case "half_open":
                address = (detail["address"], 0)
                async with asyncio.TaskGroup() as group:
                    holding = [
                        group.create_task(self._hold_half_open(detail["gateway"], address))
                        for _ in range(detail["connections"])
                    ]
                    await self._until_over(trouble)
                    for task in holding:
                        task.cancel()
            case "holds":
                async with self._cluster.channel("ledger") as channel:
                    now = self._time.now()
                    self.held += await place(channel, f"holds-{trouble.at_payment}", now)
            case "stranger":
                service = detail["service"]
                async with (
                    self._cluster.channel(service, STRANGER) as channel,
                    asyncio.TaskGroup() as group,
                ):
                    knocking = [
                        group.create_task(self._knock(channel, service))
                        for _ in range(detail["calls"])
                    ]
                    await self._until_over(trouble)
                    for task in knocking:
                        task.cancel()
            case "forgery":
                await self._forge(detail["how"], detail["gateway"], detail["event_type"])

    async def _until_over(self, trouble: Trouble) -> None:
        await self._until(trouble.until_payment, timedelta(milliseconds=trouble.longest_ms))

    async def _until(self, payment: int, longest: timedelta) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest.total_seconds()):
                await self._progress.reached(payment)

    async def _pay_out(self, trouble: Trouble) -> None:
        """What Stripe pays to the bank of what is available, if anything is; it may come back."""
        detail = trouble.detail
        try:
            payout = await self._twin.pay_out(detail["currency"].lower(), detail["corridor"])
        except TwinAdminError:
            self.counts["nothing to pay out"] += 1
            return
        await self._until_over(trouble)
        if detail["fails"]:
            await self._twin.fail_payout(payout["id"])

    async def open_corridors(self) -> None:
        """Operators open what a database was restored with as closed, however long it takes: with
        a corridor that stays closed nothing comes to its end."""
        for corridor in CORRIDORS:
            mode = corridor_pb2.CORRIDOR_MODE_OPEN
            async with asyncio.timeout(OPEN_SECONDS):
                while not await self._set_mode(corridor, mode, "open-after-all"):
                    pass

    async def _set_mode(
        self, corridor: str, mode: "corridor_pb2.CorridorMode.ValueType", request_id: str
    ) -> bool:
        """Plays the operator, who tries for a while; whether it is so."""
        request = corridor_service_pb2.SetCorridorModeRequest(
            request_id=f"{request_id}-{corridor}",
            corridor=corridor,
            mode=mode,
            reason="chaos",
        )
        async with self._cluster.channel("gateway-1") as channel:
            for _ in range(MODE_TRIES):
                try:
                    await CorridorServiceStub(channel).SetCorridorMode(
                        request, timeout=MODE_SECONDS
                    )
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    return True
        return False

    async def _hold_half_open(self, gateway: str, address: tuple[str, int]) -> None:
        """Begins a request to the port of the webhooks, and waits until the gateway closes it."""
        host, _, port = self._cluster.gateway_http[gateway].partition(":")
        # The gateway is down, or goes down, or has enough.
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=address)
            try:
                writer.write(HALF_A_HEAD)
                await reader.read()
            finally:
                writer.close()

    async def _knock(self, channel: grpc.aio.Channel, service: str) -> None:
        """Sends large calls with a certificate that has no rights, until it is told to stop."""
        method, size = LARGE_CALLS[service.partition("-")[0]]
        call: Any = channel.unary_unary(method)
        while True:
            try:
                await call(bytes(size), timeout=MODE_SECONDS)
            except grpc.aio.AioRpcError as error:
                reason = from_rpc_error(error).reason
                if reason == "CLIENT_NOT_ALLOWED":
                    self.turned_away += 1
                elif reason:
                    # The service looked at it before it asked who it is from.
                    self.let_in.append(f"{method}: {reason}")
                # Else the service is away.
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                self.let_in.append(method)

    async def _forge(self, how: str, gateway: str, event_type: str) -> None:
        """Sends an event about a PaymentIntent that exists, but not as Stripe would sign it."""
        books = await self._twin.all_books()
        intents = books[DEFAULT_ACCOUNT.name]["payment_intents"]
        if not intents:
            return
        now = self._time.now()
        intent = dict(intents[-1], status=event_type.partition(".")[2])
        body = json.dumps(
            {
                "id": f"evt_forged{how.replace('_', '')}{self._progress.begun}",
                "object": "event",
                "type": event_type,
                "created": int(now.timestamp()),
                "livemode": False,
                "data": {"object": intent},
            }
        )
        url = f"http://{self._cluster.gateway_http[gateway]}/webhooks/stripe/{DEFAULT_ACCOUNT.name}"
        headers = _forged_headers(how, body, int(now.timestamp()))
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(url, data=body, headers=headers) as response,
            ):
                if response.status < 300:
                    self.accepted_forgeries.append(f"{how} {event_type}")
        except aiohttp.ClientError:
            # The gateway is down: who forges does not come back.
            self.counts["forgery unheard"] += 1


def _forged_headers(how: str, body: str, now: int) -> dict[str, str]:
    secret, moment = {
        "unsigned": ("", 0),
        "wrong_secret": ("whsec_guessed", now),
        "other_account": (BACKUP_ACCOUNT.webhook_secret, now),
        "empty_secret": ("", now),
        "old": (DEFAULT_ACCOUNT.webhook_secret, now - OLD_SECONDS),
    }[how]
    if how == "unsigned":
        return {}
    return {"Stripe-Signature": sign(body, secret, moment)}

"""Two gateways as real processes: one is killed, frozen or cut off, and the other goes on."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psycopg
import pytest

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import CaptureMethod, PaymentState
from sandbox.addresses import Ports, at
from sandbox.engine import wait_until_serving
from sandbox.polling import poll
from sandbox.processes import ServiceProcess
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop

NOWHERE = "127.0.0.1:1"
# Within which others lead what a process led that is killed, frozen or told to stop.
HANDED_OVER_SECONDS = 5.0
TASKS = {
    *("queue", "deadlines", "event recovery", "balance sweep", "webhook dispatch", "webhook purge"),
    *("processing looks", "ledger check", "books comparison", "hold check", "case watch"),
    *("payout looks", "verification looks", "routing purge", "foresight purge"),
}
LEADING = re.compile(r'^gateway_leader_task_leading\{task="([^"]+)"\} 1\.0$', re.MULTILINE)

pytestmark = pytest.mark.usefixtures("services_are_forked")


class Worker:
    """One gateway process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        ports = Ports.free()
        self.port, self._http = ports.gateway, at(ports.gateway_http)
        addresses = {
            "GATEWAY_LISTEN_ADDRESS": at(self.port),
            "GATEWAY_HTTP_ADDRESS": self._http,
        }
        self.process = ServiceProcess("gateway", ("gateway",), environment | addresses, log)

    async def start(self) -> None:
        await self.process.start()
        await self.process.wait_until(wait_until_serving(at(self.port)))

    async def led(self) -> set[str]:
        """What it says it leads."""
        url = f"http://{self._http}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return set(LEADING.findall(await answer.text()))


@pytest.fixture
async def workers(
    database_url: str, twin: Twin, compliance: FakeCompliance, tmp_path: Path
) -> AsyncIterator[tuple[Worker, Worker]]:
    account = twin.account()
    environment = {
        "ENV": "sandbox",
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_LEDGER_ADDRESS": NOWHERE,
        "GATEWAY_COMPLIANCE_ADDRESS": compliance.address,
        "GATEWAY_STRIPE_API_KEY": account.secret_key,
        "GATEWAY_STRIPE_API_BASE": twin.url,
        "GATEWAY_STRIPE_WEBHOOK_SECRETS": account.webhook_secret,
    }
    both = [Worker(environment, tmp_path / f"gateway_{n}.log") for n in range(2)]
    try:
        await asyncio.gather(*(worker.start() for worker in both))
        yield both[0], both[1]
    finally:
        for worker in both:
            await worker.process.kill()


async def shared(one: Worker, two: Worker) -> None:
    """Waits until the two lead everything between them, and each something."""

    async def both() -> tuple[set[str], set[str]]:
        return await one.led(), await two.led()

    def fair(led: tuple[set[str], set[str]]) -> bool:
        return bool(led[0]) and bool(led[1]) and not led[0] & led[1] and led[0] | led[1] == TASKS

    await poll(both, fair)


async def test_the_other_goes_on_when_one_is_killed_frozen_or_cut_off(
    workers: tuple[Worker, Worker], database_url: str, twin: Twin
) -> None:
    one, two = workers
    await shared(one, two)

    # Frozen: its connection stands, its lease does not.
    one.process.send_signal(signal.SIGSTOP)
    frozen = time.monotonic()
    await poll(two.led, lambda led: led == TASKS)
    assert time.monotonic() - frozen < HANDED_OVER_SECONDS
    one.process.send_signal(signal.SIGCONT)
    await shared(one, two)

    # Cut off: every election's session ends.
    with psycopg.connect(database_url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'gateway leadership' AND datname = current_database()"
        ).fetchone()
    assert ended == (2,)
    await shared(one, two)

    # Killed, with a hold that has to expire.
    async with Shop.open(two.port) as shop:
        payment = await shop.create(capture_method=CaptureMethod.CAPTURE_METHOD_MANUAL)
        leads_deadlines = one if "deadlines" in await one.led() else two
        assert await leads_deadlines.process.kill() == -9
    killed = time.monotonic()
    survivor = two if leads_deadlines is one else one
    await poll(survivor.led, lambda led: led == TASKS)
    assert time.monotonic() - killed < HANDED_OVER_SECONDS
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE payment SET capture_before = now(), wake_time = now() WHERE id = %s",
            [payment.id],
        )
    async with Shop.open(survivor.port) as shop:
        events = await shop.watch_until(payment.id, PaymentState.PAYMENT_STATE_EXPIRED)
        assert await survivor.led() == TASKS
        assert [event.transition for event in events].count("expired") == 1
        facts = [fact.kind for fact in (await shop.get(payment.id)).booking.facts]
        await the_stream_has_no_holes(shop, until=events[-1].sequence)
    assert facts == ["hold_placed", "hold_released"]
    assert [i["status"] for i in twin.books()["default"]["payment_intents"]] == ["canceled"]


async def the_stream_has_no_holes(shop: Shop, until: int) -> None:
    """Every change once, whoever numbered it and died; of each payment in order."""
    stream = shop.stub.WatchPayments(pb.WatchPaymentsRequest(), timeout=20)
    revisions: dict[str, int] = {}
    expected = 1
    async for change in stream:
        assert change.sequence == expected
        assert change.payment.revision == revisions.get(change.payment.id, 0) + 1
        revisions[change.payment.id] = change.payment.revision
        expected += 1
        if expected > until:
            break
    stream.cancel()


async def test_who_is_told_to_stop_resigns(workers: tuple[Worker, Worker]) -> None:
    one, two = workers
    await shared(one, two)
    one.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    await poll(two.led, lambda led: led == TASKS)
    assert time.monotonic() - told < HANDED_OVER_SECONDS
    assert await one.process.wait() == 0

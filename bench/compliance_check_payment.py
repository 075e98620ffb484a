"""`compliance.check_payment`: checks of a payment, against an empty echo over the same transport.

The service and the echo are processes of their own on loopback; the callers are the same. Every
check reads merchant, customer, snapshot, list and screenings, runs the rules and commits a
decision to the hash-chained log. Rounds alternate, because the machine drifts; medians are
compared. A second pass calls at a fixed rate, for the latency that a payment sees.

The merchant has 100,000 customers, each with a card, and 1,000,000 payments that were let through
before. They are filled in by SQL (`sql/compliance_customers.sql`, `sql/compliance_history.sql` and
`sql/compliance_counted.sql`): the customers are copies of one, each with ten payments on ten days,
and the merchant's row has every bucket that it can have.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg

from bench.benchmark import Target, with_target
from bench.cpu import Meter, meter_of
from bench.echo import METHOD
from bench.ledger_parts import running_echo, started
from bench.profiling import under_profiler
from bench.rounds import Round, alternate, compared, send
from compliance.accounts.snapshot import AccountContent, AccountSnapshot, Capability
from compliance.accounts.store import store_snapshot
from compliance.v1 import (
    compliance_service_pb2,
    decision_pb2,
    subject_pb2,
    subject_service_pb2,
)
from compliance.v1.compliance_service_pb2_grpc import ComplianceServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from money.v1.money_pb2 import Money
from runtime.postgres import create_engine
from runtime.sql_files import read_sql
from sandbox.addresses import free_port
from sandbox.embedded_postgres import temporary_server

NAME = "compliance.check_payment"
TARGET = Target("ratio", ">=", 0.3)
CALLERS = 16
ROUNDS = 5
CALLS_PER_ROUND = 1_000
FIXED_RATE_PER_SECOND = 200
FIXED_RATE_CALLS = 2_000
ACCOUNT = "acct_bench"
CUSTOMERS = 100_000
PAYMENTS_OF_EACH = 10
# Has no factor in common with the number of customers, so that all have their turn.
STRIDE = 7_919
MICROSECONDS = 1_000_000

Call = Callable[[], Awaitable[Any]]


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the echo's rate and `ratio` the checks' share of it."""
    async with AsyncExitStack() as stack:
        service, url, meter = await open_compliance(stack, NAME)
        echo, echo_meter = await stack.enter_async_context(running_echo())
        check = await checks_of_a_merchant(service, url, CUSTOMERS, PAYMENTS_OF_EACH)
        empty: Any = echo.unary_unary(METHOD)
        checks, echoes = await alternate(
            ROUNDS, _round(lambda _: check(), meter), _round(lambda _: empty(b""), echo_meter)
        )
        latencies = await fixed_rate(
            check, FIXED_RATE_PER_SECOND, lambda number: number == FIXED_RATE_CALLS
        )
    line = compared(
        NAME,
        "checks/s",
        checks,
        echoes,
        "empty grpc.aio echo with the same callers",
        callers=CALLERS,
        customers=CUSTOMERS,
        payments_before=CUSTOMERS * PAYMENTS_OF_EACH,
        fixed_rate_per_second=FIXED_RATE_PER_SECOND,
        p50_ms=percentile_ms(latencies, 50),
        p99_ms=percentile_ms(latencies, 99),
    )
    return with_target(line, TARGET)


def _round(call: Callable[[int], Awaitable[Any]], meter: Meter) -> Callable[[], Awaitable[Round]]:
    async def one_round() -> Round:
        taken, _ = await send(call, range(CALLS_PER_ROUND), callers=CALLERS, meter=meter)
        return taken

    return one_round


async def open_compliance(
    stack: AsyncExitStack, profiled_as: str
) -> tuple[grpc.aio.Channel, str, Meter]:
    """A channel to the service as a process of its own, its database's URL, and what both take."""
    postgres = await asyncio.to_thread(stack.enter_context, temporary_server(durable=True))
    url = await asyncio.to_thread(postgres.database_url, "compliance_bench")
    port = free_port()
    environment = {
        "ENV": "sandbox",
        "LOG_LEVEL": "WARNING",
        "COMPLIANCE_DATABASE_URL": url,
        "COMPLIANCE_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "COMPLIANCE_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
        "COMPLIANCE_GATEWAY_ADDRESS": "",
    }
    channel, process_id = await stack.enter_async_context(
        started(port, environment, *under_profiler(profiled_as), "compliance")
    )
    postmaster = int((postgres.data / "postmaster.pid").read_text().split()[0])
    return channel, url, meter_of(service=process_id, postgres=postmaster)


async def checks_of_a_merchant(
    channel: grpc.aio.Channel, url: str, customers: int = 2_000, payments_of_each: int = 0
) -> Call:
    """A call that checks one more payment of a merchant in good order, by one customer after the
    other. Each of them has paid so often before."""
    subjects = SubjectServiceStub(channel)
    merchant = await subjects.CreateSubject(
        subject_service_pb2.CreateSubjectRequest(
            request_id="bench-merchant",
            kind=subject_pb2.SUBJECT_KIND_MERCHANT,
            profile=subject_pb2.SubjectProfile(legal_name="Quiet Harbour Books"),
            account=subject_pb2.AccountLink(corridor="main", connected_account_id=ACCOUNT),
        )
    )
    customer = await subjects.CreateSubject(
        subject_service_pb2.CreateSubjectRequest(
            request_id="bench-customer",
            kind=subject_pb2.SUBJECT_KIND_CUSTOMER,
            profile=subject_pb2.SubjectProfile(
                legal_name="Ada Example", entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL
            ),
        )
    )
    await subjects.SetKycState(
        subject_service_pb2.SetKycStateRequest(
            request_id="bench-kyc",
            subject_id=merchant.subject.subject_id,
            kyc_state=subject_pb2.KYC_STATE_VERIFIED,
            note="bench",
        )
    )
    await _store_snapshot(url)
    names = {"merchant": merchant.subject.subject_id, "customer": customer.subject.subject_id}
    await asyncio.to_thread(fill, url, names, customers, payments_of_each)
    service = ComplianceServiceStub(channel)
    numbers = itertools.count()

    async def check() -> None:
        number = next(numbers)
        place = number * STRIDE % customers + 1
        answer = await service.CheckPayment(
            compliance_service_pb2.CheckPaymentRequest(
                request_id=f"bench-{number}",
                payment_id=f"pay-{number}",
                merchant_id=merchant.subject.subject_id,
                customer_id=f"{customer.subject.subject_id}-{place}",
                amount=Money(currency_code="EUR", minor_units=1_000),
                corridor="main",
                card_fingerprint=f"card{place}",
            )
        )
        if answer.decision.verdict != decision_pb2.VERDICT_ALLOW:
            raise RuntimeError(f"a check was not allowed: {answer.decision.reasons}")

    return check


def fill(url: str, names: dict[str, str], customers: int, payments_of_each: int) -> None:
    """Copies of a customer, and what they have paid to the merchant before."""
    values = {
        **names,
        "customers": customers,
        "payments": payments_of_each,
        "now_us": int(time.time() * MICROSECONDS),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(read_sql(__file__, "compliance_customers"), values)
        if payments_of_each:
            for statement in ("compliance_history", "compliance_counted"):
                connection.execute(read_sql(__file__, statement), values)
        connection.execute("VACUUM ANALYZE")


async def _store_snapshot(url: str) -> None:
    """What the gateway would have said just now; it holds for longer than the benchmark runs."""
    content = AccountContent(
        charges_enabled=True,
        payouts_enabled=True,
        details_submitted=True,
        disabled_reason="",
        country_code="DE",
        external_account_errored=False,
        capabilities=(
            Capability("card_payments", "ACTIVE", requested=True, disabled_reason=""),
            Capability("transfers", "ACTIVE", requested=True, disabled_reason=""),
        ),
        requirements=(),
        tax_settings_state="ACTIVE",
        tax_missing_fields=(),
        tax_ids=(),
    )
    now = datetime.now(UTC)
    engine = create_engine(url, role="compliance_service", pool_size=1, application_name="bench")
    async with engine.begin() as connection:
        await store_snapshot(
            connection, AccountSnapshot(ACCOUNT, "main", "bench", content, now), now
        )
    await engine.dispose()


async def fixed_rate(call: Call, per_second: int, is_over: Callable[[int], bool]) -> list[float]:
    """Seconds from when each call was due to its answer, so that waiting its turn counts. `is_over`
    is asked before each call, with how many there were."""
    latencies: list[float] = []
    started = time.perf_counter()

    async def one(due: float) -> None:
        await call()
        latencies.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as begun:
        for number in itertools.count():
            due = started + number / per_second
            await asyncio.sleep(due - time.perf_counter())
            if is_over(number):
                break
            begun.create_task(one(due))
    return latencies


def percentile_ms(seconds: list[float], percent: int) -> float:
    """A percentile in milliseconds."""
    return round(1000 * statistics.quantiles(seconds, n=100)[percent - 1], 2)

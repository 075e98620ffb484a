"""Each service alone: its own database, no other service, called with `buf curl` by reflection."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from runtime.process import EXIT_BAD_SETTINGS
from runtime.signed_notes import SignerKey
from runtime.state_folder import DIRECTORY_VARIABLE
from sandbox import processes
from sandbox.addresses import Ports, at
from sandbox.databases import PAYING, databases_beside
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.engine import wait_until_answering
from sandbox.processes import PROJECT, ServiceProcess, start_interpreter
from tests.e2e.buf import buf_curl, call

PORT_FIELDS = {
    "ledger": ("ledger", "ledger_http"),
    "gateway": ("gateway", "gateway_http"),
    "compliance": ("compliance", "compliance_http"),
}


@pytest.fixture
def databases(postgres_url: str) -> Iterator[dict[str, str]]:
    """Empty databases."""
    with databases_beside(dict.fromkeys(PAYING, postgres_url)) as databases:
        yield databases


@pytest.fixture(autouse=True)
def services_start_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these is a fork."""
    monkeypatch.setattr(processes, "launch", start_interpreter)


@asynccontextmanager
async def alone(
    service: str, environment: dict[str, str], directory: Path
) -> AsyncIterator[tuple[int, int]]:
    """The service as a process of its own; gives its gRPC and HTTP ports."""
    ports = Ports.free()
    port, http_port = (getattr(ports, field) for field in PORT_FIELDS[service])
    prefix = service.upper()
    settings = environment | {
        f"{prefix}_LISTEN_ADDRESS": at(port),
        f"{prefix}_HTTP_ADDRESS": at(http_port),
        # Where nobody listens.
        "GATEWAY_LEDGER_ADDRESS": at(ports.ledger),
        "GATEWAY_COMPLIANCE_ADDRESS": at(ports.compliance),
        "GATEWAY_STRIPE_API_BASE": f"http://{at(ports.stripe_twin)}",
        "COMPLIANCE_GATEWAY_ADDRESS": at(ports.gateway),
    }
    process = ServiceProcess(service, (service,), settings, directory / f"{service}.log")
    await process.start()
    try:
        await process.wait_until(wait_until_answering(f"http://{at(http_port)}/healthz"))
        yield port, http_port
        assert await process.terminate() == 0
    finally:
        await process.kill()


async def test_the_ledger_alone(databases: dict[str, str], tmp_path: Path) -> None:
    async with alone("ledger", databases, tmp_path) as (port, _):
        methods = await buf_curl(port, tmp_path, "--list-methods", "")
        assert "ledger.v1.LedgerService/CreateTransaction" in methods
        assert "ledger.v1.AuditService/VerifyLedger" in methods
        created = await call(
            port,
            tmp_path,
            "ledger.v1.LedgerService/CreateLedger",
            {"request_id": "r1", "name": "alone"},
        )
        assert created["ledger"]["name"] == "alone"
        for name, side in (("cash", "DEBIT"), ("equity", "CREDIT")):
            account = {
                "name": name,
                "currency_code": "EUR",
                "normal_balance": f"NORMAL_BALANCE_{side}",
            }
            await call(
                port,
                tmp_path,
                "ledger.v1.LedgerService/CreateAccount",
                {"request_id": f"account-{name}", "ledger": "alone", "account": account},
            )
        entries = [
            {
                "account": name,
                "direction": f"DIRECTION_{side}",
                "amount": {"currency_code": "EUR", "minor_units": "1250"},
            }
            for name, side in (("cash", "DEBIT"), ("equity", "CREDIT"))
        ]
        await call(
            port,
            tmp_path,
            "ledger.v1.LedgerService/CreateTransaction",
            {"request_id": "t1", "ledger": "alone", "transaction": {"entries": entries}},
        )
        balance = await call(
            port,
            tmp_path,
            "ledger.v1.LedgerService/GetBalance",
            {"ledger": "alone", "account": "cash"},
        )
        assert balance["balances"][0]["postedMinor"] == "1250"


async def test_the_gateway_alone(databases: dict[str, str], tmp_path: Path) -> None:
    async with alone("gateway", databases, tmp_path) as (port, _):
        methods = await buf_curl(port, tmp_path, "--list-methods", "")
        assert "gateway.v1.PaymentService/CreatePayment" in methods
        payment = {
            "request_id": "p1",
            "merchant_id": "m1",
            "customer_id": "c1",
            "amount": {"currency_code": "EUR", "minor_units": "1250"},
            "payment_method": {"token": "pm_card_visa"},
            "unavailable_policy": "UNAVAILABLE_POLICY_QUEUE",
        }
        # Without compliance nothing is charged: the payment waits.
        queued = await call(port, tmp_path, "gateway.v1.PaymentService/CreatePayment", payment)
        assert queued["payment"]["state"] == "PAYMENT_STATE_QUEUED"
        listed = await call(port, tmp_path, "gateway.v1.PaymentService/ListPayments", {})
        assert [item["id"] for item in listed["payments"]] == [queued["payment"]["id"]]


async def test_compliance_alone(databases: dict[str, str], tmp_path: Path) -> None:
    async with alone("compliance", databases, tmp_path) as (port, _):
        methods = await buf_curl(port, tmp_path, "--list-methods", "")
        assert "compliance.v1.ComplianceService/CheckPayment" in methods
        check = {
            "request_id": "c1",
            "payment_id": "p1",
            "merchant_id": "nobody",
            "amount": {"currency_code": "EUR", "minor_units": "1250"},
            "corridor": "default",
        }
        # Default closed: a merchant that nobody knows is not allowed.
        answer = await call(port, tmp_path, "compliance.v1.ComplianceService/CheckPayment", check)
        assert answer["decision"]["verdict"] == "VERDICT_REVIEW"
        codes = [reason["code"] for reason in answer["decision"]["reasons"]]
        assert "REASON_CODE_MERCHANT_UNKNOWN" in codes


@pytest.mark.parametrize("service", PORT_FIELDS)
async def test_without_a_database_url_it_brings_its_own(
    service: str, short_directory: Path, tmp_path: Path
) -> None:
    variables = {DIRECTORY_VARIABLE: str(short_directory)}
    async with alone(service, variables, tmp_path) as (port, http_port):
        assert f"{service}.v1." in await buf_curl(port, tmp_path, "--list-methods", "")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{at(http_port)}/metrics") as response,
        ):
            assert 'dependency_up{dependency="database"' in await response.text()
    # The service was the last user of its server, which is stopped before the folder goes.
    EmbeddedPostgres(short_directory).stop_when_unused()


@pytest.mark.parametrize("service", PORT_FIELDS)
def test_without_the_sandbox_it_asks_for_a_database_url(service: str, tmp_path: Path) -> None:
    """In an image of services alone, whose one line says what to set."""
    for package in ("runtime", "money", "ledger", "gateway", "compliance"):
        (tmp_path / package).symlink_to(PROJECT / package)
    ran = subprocess.run(
        [sys.executable, "-m", service],
        cwd=tmp_path,
        env=os.environ
        | {
            "LEDGER_SIGNING_KEY": SignerKey.generate("alone").secret_text(),
            f"{service.upper()}_HTTP_ADDRESS": "127.0.0.1:0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == EXIT_BAD_SETTINGS
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"{service}: no database: set {service.upper()}_DATABASE_URL")

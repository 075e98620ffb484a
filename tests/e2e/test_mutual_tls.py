"""Mutual TLS between processes: who may call what, and where plain text is refused."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from compliance.v1 import operator_act_service_pb2 as compliance_acts
from compliance.v1 import screening_service_pb2
from compliance.v1.operator_act_service_pb2_grpc import OperatorActServiceStub as ComplianceActs
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from gateway.v1 import corridor_pb2, corridor_service_pb2, payment_service_pb2
from gateway.v1 import operator_act_service_pb2 as gateway_acts
from gateway.v1 import payment_pb2 as payment
from gateway.v1.corridor_service_pb2_grpc import CorridorServiceStub
from gateway.v1.operator_act_service_pb2_grpc import OperatorActServiceStub as GatewayActs
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub
from ledger.v1 import ledger_pb2
from ledger.v1 import operator_act_service_pb2 as ledger_acts
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.operator_act_service_pb2_grpc import OperatorActServiceStub as LedgerActs
from runtime.errors import from_rpc_error
from runtime.signed_notes import SignerKey
from sandbox.addresses import Ports, at, free_port
from sandbox.certificates import CertificateFiles, channel_credentials, make_certificates
from sandbox.clients import Clients
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine, wait_until_answering
from sandbox.processes import PROJECT, ServiceProcess
from sandbox.twin_admin import TwinAdmin
from tests.commands import run

SERVICES = ("ledger", "gateway", "compliance")
START_SECONDS = 60


@dataclass(frozen=True)
class SecureEngine:
    """An engine that speaks mutual TLS, and the certificates of who may call it."""

    engine: Engine
    certificates: dict[str, CertificateFiles]

    def channel(self, port: int, name: str) -> grpc.aio.Channel:
        """A channel whose client is `name`."""
        return grpc.aio.secure_channel(at(port), channel_credentials(self.certificates[name]))


@pytest.fixture
async def secure(databases: dict[str, str], tmp_path: Path) -> AsyncIterator[SecureEngine]:
    """The three services as in production: TLS, ENV=staging, a name for each."""
    certificates = make_certificates(tmp_path / "certificates", datetime.now(UTC))
    environment = {
        "ENV": "staging",
        "LEDGER_SIGNING_KEY": SignerKey.generate("ledger.test").secret_text(),
        "COMPLIANCE_SDN_FILE": str(PROJECT / "compliance" / "data" / "sdn" / "sdn.csv"),
    }
    for service in SERVICES:
        files = certificates[service]
        environment[f"{service.upper()}_TLS_CERTIFICATE_FILE"] = str(files.certificate)
        environment[f"{service.upper()}_TLS_KEY_FILE"] = str(files.key)
        environment[f"{service.upper()}_TLS_CA_FILE"] = str(files.ca)
    ports = Ports.free()
    engine = Engine(ports, tmp_path / "logs", databases, environment)
    http_ports = {
        engine.ledger: ports.ledger_http,
        engine.compliance: ports.compliance_http,
        engine.gateway: ports.gateway_http,
    }
    try:
        await engine.start_twin()
        for process, http_port in http_ports.items():
            await process.start()
            url = f"http://{at(http_port)}/healthz"
            await process.wait_until(wait_until_answering(url))
        yield SecureEngine(engine, certificates)
        await engine.stop()
    finally:
        await engine.kill()


async def test_a_payment_goes_through_and_others_are_refused(secure: SecureEngine) -> None:
    ports = secure.engine.ports
    async with (
        secure.channel(ports.gateway, "client") as as_client,
        secure.channel(ports.gateway, "support") as as_support,
        secure.channel(ports.compliance, "operator") as as_operator,
        secure.channel(ports.ledger, "operator") as to_ledger,
        secure.channel(ports.ledger, "client") as stranger,
        TwinAdmin.open(secure.engine.twin_url) as twin,
    ):
        clients = Clients.over(gateway=as_client, compliance=as_operator, ledger=to_ledger)
        shop = Shop(clients, twin)
        merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
        customer = await shop.add_customer("Ada Mapleton")
        made = await shop.pay(merchant, customer, 21_00, "visa")
        # The gateway's own certificate opens compliance and the ledger to it.
        assert (await shop.settled(made.id)).state == payment.PAYMENT_STATE_SUCCEEDED

        # Whoever has its secret could complete a payment: support reads it without.
        waits = await shop.pay(merchant, customer, 120_00, "threeDSecure2Required")
        assert waits.next_action.client_secret
        request = payment_service_pb2.GetPaymentRequest(payment_id=waits.id)
        read = [
            (await PaymentServiceStub(channel).GetPayment(request, timeout=CALL_SECONDS)).payment
            for channel in (as_client, as_support)
        ]
        assert [one.next_action.client_secret for one in read] == [
            waits.next_action.client_secret,
            "",
        ]

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await LedgerServiceStub(stranger).ListLedgers(
                ledger_pb2.ListLedgersRequest(), timeout=CALL_SECONDS
            )
        error = from_rpc_error(refused.value)
        assert error.code is grpc.StatusCode.PERMISSION_DENIED
        assert (error.domain, error.reason) == ("ledger", "CLIENT_NOT_ALLOWED")
        assert error.metadata["client"] == "client"

        with pytest.raises(grpc.aio.AioRpcError) as not_staff:
            await CorridorServiceStub(as_client).GetCorridorHealth(
                corridor_service_pb2.GetCorridorHealthRequest(), timeout=CALL_SECONDS
            )
        assert from_rpc_error(not_staff.value).reason == "CLIENT_NOT_ALLOWED"


async def test_who_did_it_is_kept_with_what_operators_change(secure: SecureEngine) -> None:
    ports = secure.engine.ports
    async with (
        secure.channel(ports.gateway, "operator") as to_gateway,
        secure.channel(ports.compliance, "operator") as to_compliance,
        secure.channel(ports.ledger, "operator") as to_ledger,
        secure.channel(ports.ledger, "gateway") as as_gateway,
        secure.channel(ports.gateway, "support") as as_support,
    ):
        await CorridorServiceStub(to_gateway).SetCorridorMode(
            corridor_service_pb2.SetCorridorModeRequest(
                request_id="drain",
                corridor="default",
                mode=corridor_pb2.CORRIDOR_MODE_DRAIN,
                reason="a test",
            ),
            timeout=CALL_SECONDS,
        )
        await CorridorServiceStub(to_gateway).GetCorridorHealth(
            corridor_service_pb2.GetCorridorHealthRequest(), timeout=CALL_SECONDS
        )
        (act,) = (await acts(gateway_acts, GatewayActs, to_gateway)).acts
        assert (act.client, act.method, act.request_id, act.outcome) == (
            "operator",
            "gateway.v1.CorridorService/SetCorridorMode",
            "drain",
            "OK",
        )
        assert act.about == {"corridor": "default", "mode": "CORRIDOR_MODE_DRAIN"}
        assert act.begin_time.ToDatetime() <= act.end_time.ToDatetime()

        # What others do with the same methods is none.
        for channel, name in ((as_gateway, "own"), (to_ledger, "by-hand")):
            await LedgerServiceStub(channel).CreateLedger(
                ledger_pb2.CreateLedgerRequest(request_id=name, name=name), timeout=CALL_SECONDS
            )
        (act,) = (await acts(ledger_acts, LedgerActs, to_ledger, client="operator")).acts
        assert (act.method, act.about["name"]) == (
            "ledger.v1.LedgerService/CreateLedger",
            "by-hand",
        )

        with pytest.raises(grpc.aio.AioRpcError):
            await ScreeningServiceStub(to_compliance).ClearMatch(
                screening_service_pb2.ClearMatchRequest(
                    request_id="clear", match_id="mat_none", note="not her"
                ),
                timeout=CALL_SECONDS,
            )
        about = {"match_id": "mat_none"}
        (act,) = (await acts(compliance_acts, ComplianceActs, to_compliance, about=about)).acts
        # It was tried, and came to nothing.
        assert (act.client, act.outcome) == ("operator", "MATCH_NOT_FOUND")

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await acts(gateway_acts, GatewayActs, as_support)
        assert from_rpc_error(refused.value).reason == "CLIENT_NOT_ALLOWED"


async def acts(messages: Any, stub: Any, channel: grpc.aio.Channel, **filters: Any) -> Any:
    request = messages.ListOperatorActsRequest(**filters)
    return await stub(channel).ListOperatorActs(request, timeout=CALL_SECONDS)


async def test_settings_say_who_may_call_what(databases: dict[str, str], tmp_path: Path) -> None:
    """Names have other roles, and a method is for others; what is not named stays as it was."""
    roles = {"gateway": "service", "support": "finance", "client": "operator"}
    methods = {"ledger.v1.LedgerService": {"ListLedgers": ["finance"], "CreateLedger": []}}
    certificates = make_certificates(tmp_path / "certificates", datetime.now(UTC))
    files = certificates["ledger"]
    port = free_port()
    process = ServiceProcess(
        "ledger",
        ("ledger",),
        databases
        | {
            "LEDGER_LISTEN_ADDRESS": at(port),
            "LEDGER_HTTP_ADDRESS": "127.0.0.1:0",
            "LEDGER_TLS_CERTIFICATE_FILE": str(files.certificate),
            "LEDGER_TLS_KEY_FILE": str(files.key),
            "LEDGER_TLS_CA_FILE": str(files.ca),
            "LEDGER_CLIENT_ROLES": json.dumps(roles),
            "LEDGER_METHOD_ROLES": json.dumps(methods),
        },
        tmp_path / "ledger.log",
    )

    async def refusal(name: str, call: Callable[[grpc.aio.Channel], Any]) -> str:
        credentials = channel_credentials(certificates[name])
        async with grpc.aio.secure_channel(at(port), credentials) as channel:
            try:
                await call(channel)
            except grpc.aio.AioRpcError as error:
                return from_rpc_error(error).reason
        return ""

    def ledgers(channel: grpc.aio.Channel) -> Any:
        return LedgerServiceStub(channel).ListLedgers(
            ledger_pb2.ListLedgersRequest(), timeout=CALL_SECONDS, wait_for_ready=True
        )

    def create(channel: grpc.aio.Channel) -> Any:
        return LedgerServiceStub(channel).CreateLedger(
            ledger_pb2.CreateLedgerRequest(request_id="l", name="l"), timeout=CALL_SECONDS
        )

    def get(channel: grpc.aio.Channel) -> Any:
        return LedgerServiceStub(channel).GetLedger(
            ledger_pb2.GetLedgerRequest(name="l"), timeout=CALL_SECONDS
        )

    def checkpoint(channel: grpc.aio.Channel) -> Any:
        return AuditServiceStub(channel).GetCheckpoint(
            GetCheckpointRequest(ledger="l"), timeout=CALL_SECONDS
        )

    refused = "CLIENT_NOT_ALLOWED"
    await process.start()
    try:
        assert await refusal("support", ledgers) == ""
        assert await refusal("gateway", ledgers) == refused
        assert await refusal("client", create) == refused
        # The service's own rule, where nothing else is said.
        assert await refusal("gateway", get) == "LEDGER_NOT_FOUND"
        assert await refusal("support", checkpoint) == "LEDGER_NOT_FOUND"
        # The table of names is whole: who is not in it has no role.
        assert await refusal("operator", get) == refused
    finally:
        await process.kill()


@pytest.mark.parametrize(
    ("service", "variable", "setting", "told"),
    [
        (
            "ledger",
            "METHOD_ROLES",
            '{"nobody.v1.NoService": {"*": ["client"]}}',
            "there is no service 'nobody.v1.NoService'",
        ),
        ("gateway", "CLIENT_ROLES", '{"shop": "clerk"}', "shop: there is no role 'clerk'"),
        ("compliance", "CLIENT_ROLES", '{"a": "client", "a": "operator"}', "says 'a' twice"),
        ("ledger", "CLIENT_ROLES", "[]", "dictionary"),
    ],
)
def test_rules_for_what_there_is_not_are_refused(
    service: str, variable: str, setting: str, told: str
) -> None:
    finished = run(service, environment=environment(service, {f"{{}}_{variable}": setting}))
    assert finished.returncode == 2
    assert f"{service.upper()}_{variable}: " in finished.stderr
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


async def test_strangers_get_no_connection(secure: SecureEngine, tmp_path: Path) -> None:
    address = at(secure.engine.ports.ledger)
    ca = secure.certificates["ledger"].ca.read_bytes()
    foreign = make_certificates(tmp_path / "foreign", datetime.now(UTC))["gateway"]
    channels = {
        "plain text": grpc.aio.insecure_channel(address),
        "no certificate": grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca)),
        "another CA's certificate": grpc.aio.secure_channel(
            address,
            grpc.ssl_channel_credentials(
                ca, foreign.key.read_bytes(), foreign.certificate.read_bytes()
            ),
        ),
    }
    for who, channel in channels.items():
        async with channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await LedgerServiceStub(channel).ListLedgers(
                    ledger_pb2.ListLedgersRequest(), timeout=CALL_SECONDS
                )
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE, who


def environment(service: str, changes: dict[str, str]) -> dict[str, str]:
    prefix = service.upper()
    return os.environ | {
        f"{prefix}_LISTEN_ADDRESS": "127.0.0.1:0",
        f"{prefix}_HTTP_ADDRESS": "127.0.0.1:0",
        "COMPLIANCE_SDN_FILE": str(PROJECT / "compliance" / "data" / "sdn" / "sdn.csv"),
        **{name.format(prefix): value for name, value in changes.items()},
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ENV": "staging"}, "needs TLS"),
        ({"ENV": "production"}, "TLS"),
        ({"{}_LISTEN_ADDRESS": "0.0.0.0:0"}, "plain text is for loopback only"),
        ({"{}_TLS_KEY_FILE": "/nowhere.key"}, "TLS needs all three"),
    ],
    ids=["staging", "production", "not loopback", "half of TLS"],
)
def test_plain_text_is_refused_outside_the_sandbox_and_loopback(
    service: str, changes: dict[str, str], told: str
) -> None:
    finished = run(service, environment=environment(service, changes))
    assert finished.returncode == 2
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


async def test_nobody_is_served_before_tls_is_there(tmp_path: Path) -> None:
    """A missing file stops the process; it does not fall back to plain text."""
    files = {
        "LEDGER_TLS_CERTIFICATE_FILE": str(tmp_path / "missing.crt"),
        "LEDGER_TLS_KEY_FILE": str(tmp_path / "missing.key"),
        "LEDGER_TLS_CA_FILE": str(tmp_path / "missing.ca"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger"),
        cwd=PROJECT,
        env=environment("ledger", files | {"LEDGER_DATABASE_URL": "postgresql://nowhere:1/x"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(START_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode != 0
    assert b'"serving"' not in output

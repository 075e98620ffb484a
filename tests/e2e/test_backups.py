"""The commands of docs/backups.md, run on a whole engine that pays, is put back, and is made whole:
every request that comes again gets its first outcome, and the books equal Stripe's."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from compliance.v1 import decision_service_pb2 as decisions
from compliance.v1 import subject_pb2 as subject
from compliance.v1 import subject_service_pb2 as subjects
from compliance.v1.decision_service_pb2_grpc import DecisionServiceStub
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as payments
from ledger.v1.audit_service_pb2 import VerifyLedgerRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from runtime.errors import from_rpc_error
from sandbox.addresses import Ports, at
from sandbox.clients import Clients, open_clients
from sandbox.demo.books import check_charges, ledger_name, settled_trial_balance
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine, running_engine
from sandbox.twin_admin import TwinAdmin
from tests.e2e.backups_page import PAGE, SERVICES, DatabaseServer, database_server

DUMPS = ("dump", "dump-roles", "restore-roles", "restore", "put-in-place")
POINT_IN_TIME = (
    *("archive", "base", "restore-point"),
    *("set-aside", "go-to-the-moment", "promote", "dump-as-of"),
)
AFTERWARDS = ("recover", "rebook")
COMPLIANCE = ("lost-changes", "unknown-subjects")


@pytest.fixture
def server() -> Iterator[DatabaseServer]:
    with database_server() as server:
        yield server


@dataclass
class Client:
    """Who pays and refunds, and keeps each request with its first outcome."""

    twin: TwinAdmin
    clients: Clients
    merchant: str = ""
    customer: str = ""
    paid: list[tuple[payments.CreatePaymentRequest, payment.Payment]] = field(default_factory=list)
    refunds: list[tuple[payments.RefundPaymentRequest, str]] = field(default_factory=list)

    @property
    def shop(self) -> Shop:
        return Shop(self.clients, self.twin)

    async def open_accounts(self) -> None:
        self.merchant = await self.shop.add_merchant("Fern & Finch Bookshop LLC")
        self.customer = await self.shop.add_customer("Ada Mapleton")

    async def pay(self, amount_minor: int, merchant: str = "") -> payment.Payment:
        """Pays and waits until the books have it."""
        request = self.shop.payment_request(
            merchant or self.merchant, self.customer, amount_minor, "visa"
        )
        paid = await self.shop.settled((await self.shop.send(request)).id)
        assert paid.state == payment.PAYMENT_STATE_SUCCEEDED
        self.paid.append((request, paid))
        return paid

    async def refund(self, paid: payment.Payment, amount_minor: int) -> None:
        request = payments.RefundPaymentRequest(
            request_id=self.shop.new_id("refund"), payment_id=paid.id
        )
        request.amount.currency_code = "USD"
        request.amount.minor_units = amount_minor
        answer = await self.clients.payments.RefundPayment(request, timeout=CALL_SECONDS)
        await self.shop.until(
            paid.id, lambda read: read.amount_refunded.minor_units == amount_minor
        )
        await self.shop.settled(paid.id)
        self.refunds.append((request, answer.refund.id))

    async def repeat_all(self) -> None:
        """Sends everything again: the outcomes are the first ones, and the books equal Stripe's."""
        for request, before in self.paid:
            again = await self.shop.send(request)
            assert (again.id, again.charge_id) == (before.id, before.charge_id)
        for refund, refund_id in self.refunds:
            answer = await self.clients.payments.RefundPayment(refund, timeout=CALL_SECONDS)
            assert answer.refund.id == refund_id
        for _, before in self.paid:
            await self.shop.settled(before.id)
        trial = await settled_trial_balance(
            self.clients, await ledger_name(self.clients), self.twin
        )
        trial.check()
        assert await check_charges(self.clients, self.twin) == len(self.paid)
        assert len((await self.twin.books())["refunds"]) == len(self.refunds)


async def check_whole(ports: Ports, ledger: str) -> None:
    """Ledger and decision log are whole by themselves."""
    async with grpc.aio.insecure_channel(at(ports.ledger)) as channel:
        request = VerifyLedgerRequest(ledger=ledger)
        last = [told async for told in AuditServiceStub(channel).VerifyLedger(request)][-1]
        assert last.intact, last.first_difference
    async with grpc.aio.insecure_channel(at(ports.compliance)) as channel:
        verified = await DecisionServiceStub(channel).VerifyDecisions(
            decisions.VerifyDecisionsRequest(), timeout=CALL_SECONDS
        )
        assert verified.valid
        assert verified.complete


async def stop_services(engine: Engine) -> None:
    for process in (engine.gateway, engine.compliance, engine.ledger):
        await process.terminate()


def test_every_command_of_the_page_is_run_here() -> None:
    assert set(PAGE) == {*DUMPS, *POINT_IN_TIME, *AFTERWARDS, *COMPLIANCE}


async def test_each_database_is_put_back_to_another_moment(
    server: DatabaseServer, tmp_path: Path
) -> None:
    ports = Ports.free()
    await server.run("archive")
    async with (
        running_engine(ports, tmp_path, server.databases) as engine,
        TwinAdmin.open(engine.twin_url) as twin,
    ):
        async with open_clients(ports) as clients:
            client = Client(twin, clients)
            await client.open_accounts()
            banned = await client.shop.add_merchant("Thistle Traders LLC")
            first = await client.pay(20_00)
            await server.run("base")
            await server.run("dump-roles")
            await server.run("restore-point", RESTORE_POINT="books")
            await client.pay(21_00)
            await server.run("dump", SERVICE="compliance")
            block = subjects.SetSubjectStateRequest(
                request_id="block",
                subject_id=banned,
                state=subject.SUBJECT_STATE_BLOCKED,
                note="sells nothing",
            )
            await clients.subjects.SetSubjectState(block, timeout=CALL_SECONDS)
            late = subjects.CreateSubjectRequest(
                request_id="late",
                subject_id="late",
                kind=subject.SUBJECT_KIND_MERCHANT,
                profile=subject.SubjectProfile(legal_name="Late Larks LLC", country_code="US"),
            )
            known = subjects.SetKycStateRequest(
                request_id="late-kyc",
                subject_id="late",
                kyc_state=subject.KYC_STATE_VERIFIED,
                note="documents checked",
            )
            await clients.subjects.CreateSubject(late, timeout=CALL_SECONDS)
            await clients.subjects.SetKycState(known, timeout=CALL_SECONDS)
            kept = await client.pay(22_00, "late")
            await client.refund(kept, 5_00)
            await server.run("dump", SERVICE="gateway")
            await client.pay(23_00, "late")
            await client.refund(first, 7_00)
        await server.run("dump-as-of", RESTORE_POINT="books", SERVICE="ledger")
        await server.run("restore-roles")
        for service in SERVICES:
            await server.run("restore", SERVICE=service)
        await stop_services(engine)
        for service in SERVICES:
            await server.run("put-in-place", SERVICE=service)

        await engine.start_service(engine.ledger, ports.ledger)
        await engine.start_service(engine.compliance, ports.compliance)
        lost = list(csv.DictReader((await server.run("lost-changes")).splitlines()))[-3:]
        assert [(change["subject_id"], change["state"], change["kyc"]) for change in lost] == [
            (banned, "BLOCKED", "VERIFIED"),
            ("late", "ACTIVE", "NOT_STARTED"),
            ("late", "ACTIVE", "VERIFIED"),
        ]
        async with open_clients(ports) as clients:
            await clients.subjects.SetSubjectState(block, timeout=CALL_SECONDS)
            await clients.subjects.CreateSubject(late, timeout=CALL_SECONDS)
            await clients.subjects.SetKycState(known, timeout=CALL_SECONDS)
        recovered = await server.run_engine("recover", engine.gateway.environment)
        assert "1 payments rebuilt" in recovered
        rebooked = await server.run_engine("rebook", engine.gateway.environment)
        (booked_again,) = re.findall(
            r"^booked again: (\d+); refused by the ledger: 0", rebooked, re.MULTILINE
        )
        assert int(booked_again) > 0
        await engine.start_service(engine.gateway, ports.gateway)

        async with open_clients(ports) as clients:
            client.clients = clients
            await client.repeat_all()
            # What was forbidden is forbidden, and what is unknown to compliance is told.
            refused = await client.shop.pay(banned, client.customer, 24_00, "visa")
            assert refused.state == payment.PAYMENT_STATE_BLOCKED
            assert kept.compliance.decision_id
            read = await client.shop.read(kept.id)
            assert read.compliance.decision_id == kept.compliance.decision_id
            async with grpc.aio.insecure_channel(at(ports.compliance)) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as gone:
                    await DecisionServiceStub(channel).GetDecision(
                        decisions.GetDecisionRequest(decision_id=kept.compliance.decision_id)
                    )
            assert from_rpc_error(gone.value).reason == "DECISION_NOT_FOUND"
            assert await server.run("unknown-subjects") == ""
            unknown = await client.shop.pay("nobody", client.customer, 25_00, "visa")
            assert unknown.state == payment.PAYMENT_STATE_IN_REVIEW
            assert await server.run("unknown-subjects") == "nobody\n"
            await check_whole(ports, await ledger_name(clients))


async def test_a_whole_server_is_put_back_to_a_named_moment(
    server: DatabaseServer, tmp_path: Path
) -> None:
    ports = Ports.free()
    await server.run("archive")
    async with (
        running_engine(ports, tmp_path, server.databases) as engine,
        TwinAdmin.open(engine.twin_url) as twin,
    ):
        async with open_clients(ports) as clients:
            client = Client(twin, clients)
            await client.open_accounts()
            await client.pay(20_00)
            await server.run("base")
            first = await client.pay(21_00)
            await server.run("restore-point", RESTORE_POINT="before_the_release")
            moment = datetime.now(UTC)
            await client.pay(22_00)
            await client.refund(first, 7_00)
        await stop_services(engine)
        await server.run("set-aside")
        newest = await server.run("go-to-the-moment", RESTORE_POINT="before_the_release")
        assert datetime.fromisoformat(newest.strip()) < moment
        await server.run("promote")

        await engine.start_service(engine.ledger, ports.ledger)
        await engine.start_service(engine.compliance, ports.compliance)
        recovered = await server.run_engine("recover", engine.gateway.environment)
        assert "1 payments rebuilt" in recovered
        await server.run_engine("rebook", engine.gateway.environment)
        await engine.start_service(engine.gateway, ports.gateway)
        async with open_clients(ports) as clients:
            client.clients = clients
            await client.repeat_all()
            await client.pay(23_00)
            await check_whole(ports, await ledger_name(clients))

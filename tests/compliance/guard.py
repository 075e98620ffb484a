"""The compliance service as tests use it: started in this process, called over a socket."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from compliance.__main__ import open_service
from compliance.config import ComplianceSettings
from compliance.v1 import (
    compliance_service_pb2,
    decision_pb2,
    screening_pb2,
    screening_service_pb2,
    subject_pb2,
    subject_service_pb2,
)
from compliance.v1.case_service_pb2_grpc import CaseServiceStub
from compliance.v1.compliance_service_pb2_grpc import ComplianceServiceStub
from compliance.v1.decision_service_pb2_grpc import DecisionServiceStub
from compliance.v1.document_service_pb2_grpc import DocumentServiceStub
from compliance.v1.freeze_forecast_service_pb2_grpc import FreezeForecastServiceStub
from compliance.v1.notice_service_pb2_grpc import NoticeServiceStub
from compliance.v1.policy_service_pb2_grpc import PolicyServiceStub
from compliance.v1.requirement_service_pb2_grpc import RequirementServiceStub
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from compliance.v1.verification_service_pb2_grpc import VerificationServiceStub
from compliance.wire_time import to_timestamp
from money.v1.money_pb2 import Money
from runtime.clock import ManualClock
from runtime.errors import ReceivedError, from_rpc_error
from tests.compliance.forked_builders import forked_builders
from tests.compliance.merchant_server import FakeMerchants, serve_merchants
from tests.compliance.payment_server import FakePayments, add_payments

# Background work runs when a test asks for it, never on its own.
NEVER_SECONDS = 3600.0

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """An id that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


@dataclass
class Guard:
    """A running service with everything around it, and short ways to call it."""

    channel: grpc.aio.Channel
    clock: ManualClock
    merchants: FakeMerchants
    database_url: str
    sdn_folder: Path
    # A customer that a test has made for all its payments.
    known_customer: str = ""
    port: int = 0
    # Of a gateway that tells how payments end.
    payments: FakePayments | None = None

    def __post_init__(self) -> None:
        self.cases = CaseServiceStub(self.channel)
        self.checks = ComplianceServiceStub(self.channel)
        self.decisions = DecisionServiceStub(self.channel)
        self.documents = DocumentServiceStub(self.channel)
        self.freezes = FreezeForecastServiceStub(self.channel)
        self.notices = NoticeServiceStub(self.channel)
        self.policies = PolicyServiceStub(self.channel)
        self.requirements = RequirementServiceStub(self.channel)
        self.screening = ScreeningServiceStub(self.channel)
        self.subjects = SubjectServiceStub(self.channel)
        self.verifications = VerificationServiceStub(self.channel)

    async def merchant(
        self,
        name: str = "Wohlbekannt Handel GmbH",
        *,
        account: str | None = "",
        verified: bool = True,
        country: str = "DE",
        **profile: Any,
    ) -> str:
        """A merchant; with an account in good order unless `account` is None."""
        if account == "":
            account = unique("acct").replace("-", "_")
            self.merchants.add(account)
        link = None
        if account is not None:
            link = subject_pb2.AccountLink(corridor="main", connected_account_id=account)
        subject_id = await self.subject(
            subject_pb2.SUBJECT_KIND_MERCHANT, name, country=country, account=link, **profile
        )
        if verified:
            await self.set_kyc(subject_id, subject_pb2.KYC_STATE_VERIFIED)
        return subject_id

    async def customer(self, name: str = "Erika Wohlbekannt", **fields: Any) -> str:
        fields.setdefault("entity_kind", subject_pb2.ENTITY_KIND_INDIVIDUAL)
        return await self.subject(subject_pb2.SUBJECT_KIND_CUSTOMER, name, **fields)

    async def subject(
        self,
        kind: subject_pb2.SubjectKind.ValueType,
        name: str,
        *,
        country: str = "DE",
        parent: str = "",
        account: subject_pb2.AccountLink | None = None,
        **profile: Any,
    ) -> str:
        created = await self.subjects.CreateSubject(
            subject_service_pb2.CreateSubjectRequest(
                request_id=unique("create"),
                subject_id=unique("sub"),
                kind=kind,
                profile=subject_pb2.SubjectProfile(
                    legal_name=name, country_code=country, **profile
                ),
                parent_subject_id=parent,
                account=account,
            )
        )
        return str(created.subject.subject_id)

    async def set_kyc(
        self,
        subject_id: str,
        state: subject_pb2.KycState.ValueType,
        *,
        expires_in: timedelta | None = None,
    ) -> None:
        await self.subjects.SetKycState(
            subject_service_pb2.SetKycStateRequest(
                request_id=unique("kyc"),
                subject_id=subject_id,
                kyc_state=state,
                expire_time=to_timestamp(self.clock.now() + expires_in) if expires_in else None,
                note="test",
            )
        )

    async def set_state(self, subject_id: str, state: subject_pb2.SubjectState.ValueType) -> None:
        await self.subjects.SetSubjectState(
            subject_service_pb2.SetSubjectStateRequest(
                request_id=unique("state"), subject_id=subject_id, state=state, note="test"
            )
        )

    async def check(
        self,
        merchant: str,
        *,
        request_id: str = "",
        amount: int = 1_000,
        currency: str = "EUR",
        timeout: float | None = None,
        **fields: Any,
    ) -> decision_pb2.Decision:
        """Checks a payment."""
        answer = await self.checks.CheckPayment(
            compliance_service_pb2.CheckPaymentRequest(
                request_id=request_id or unique("check"),
                payment_id=unique("pay"),
                merchant_id=merchant,
                amount=Money(currency_code=currency, minor_units=amount),
                corridor="main",
                **fields,
            ),
            timeout=timeout,
        )
        decision: decision_pb2.Decision = answer.decision
        return decision

    async def matches(self, subject_id: str) -> list[screening_pb2.Match]:
        listed = await self.screening.ListMatches(
            screening_service_pb2.ListMatchesRequest(subject_id=subject_id)
        )
        return list(listed.matches)

    async def load_list(self) -> screening_service_pb2.LoadSanctionsListResponse:
        loaded: screening_service_pb2.LoadSanctionsListResponse = (
            await self.screening.LoadSanctionsList(
                screening_service_pb2.LoadSanctionsListRequest(
                    list=screening_pb2.SANCTIONS_LIST_OFAC_SDN
                )
            )
        )
        return loaded


@asynccontextmanager
async def running_guard(
    url: str,
    clock: ManualClock,
    sdn_folder: Path,
    payments: FakePayments | None = None,
    **changes: Any,
) -> AsyncIterator[Guard]:
    """A service on a database, with a merchant server; `changes` are settings."""
    merchants = FakeMerchants(clock)  # type: ignore[abstract]
    async with AsyncExitStack() as stack:
        more = [] if payments is None else [partial(add_payments, payments)]
        address = await stack.enter_async_context(serve_merchants(merchants, *more))
        settings = ComplianceSettings(
            **{
                "listen_address": "127.0.0.1:0",
                "http_address": "127.0.0.1:0",
                "database_url": url,
                "gateway_address": address,
                "sdn_file": sdn_folder / "sdn.csv",
                "list_interval_seconds": NEVER_SECONDS,
                "screening_interval_seconds": NEVER_SECONDS,
                "snapshot_interval_seconds": NEVER_SECONDS,
                "forecast_interval_seconds": NEVER_SECONDS,
                "case_interval_seconds": NEVER_SECONDS,
                "notice_interval_seconds": NEVER_SECONDS,
                "document_interval_seconds": NEVER_SECONDS,
                **changes,
            }
        )
        stack.enter_context(forked_builders())
        server = await stack.enter_async_context(open_service(settings, clock))
        # With TLS a test opens channels of its own, for each name that it has.
        channel = await stack.enter_async_context(
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
        )
        yield Guard(channel, clock, merchants, url, sdn_folder, port=server.port, payments=payments)


def verdict(decision: decision_pb2.Decision) -> str:
    return decision_pb2.Verdict.Name(decision.verdict).removeprefix("VERDICT_")


def codes(decision: decision_pb2.Decision) -> list[str]:
    return [
        decision_pb2.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_")
        for reason in decision.reasons
    ]


async def failure(call: Any) -> ReceivedError:
    """The error that a call fails with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)

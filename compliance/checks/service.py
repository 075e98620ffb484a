"""ComplianceService and DecisionService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.checks import decision_store
from compliance.checks.canonical import microseconds
from compliance.checks.checking import Checking
from compliance.checks.decision import replay
from compliance.checks.facts import CheckKind
from compliance.checks.facts_store import CheckInput
from compliance.checks.messages import (
    LoggedDecision,
    kind_word,
    reason_message,
    verdict_enum,
    verdict_word,
)
from compliance.errors import ERRORS
from compliance.policies.store import get_policy
from compliance.v1 import compliance_service_pb2 as pb
from compliance.v1 import decision_pb2, decision_service_pb2
from compliance.v1.compliance_service_pb2_grpc import ComplianceServiceServicer
from compliance.v1.decision_service_pb2_grpc import DecisionServiceServicer
from compliance.wire_time import to_datetime
from runtime.items import Items
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
DEFAULT_VERIFY_LIMIT = 1_000
MAX_VERIFY_LIMIT = 10_000


class ComplianceService(ComplianceServiceServicer):
    """Answers whether money may move."""

    def __init__(self, checking: Checking) -> None:
        self._checking = checking

    async def CheckPayment(
        self, request: pb.CheckPaymentRequest, _context: Any
    ) -> pb.CheckPaymentResponse:
        asked = CheckInput(
            kind=CheckKind.PAYMENT,
            request_id=request.request_id,
            reference_id=request.payment_id,
            merchant_id=request.merchant_id,
            customer_id=request.customer_id,
            currency_code=request.amount.currency_code,
            amount_minor=request.amount.minor_units,
            corridor=request.corridor,
            connected_account_id=request.connected_account_id,
            country_codes=_countries(request),
            payment_method_type=request.payment_method_type,
            does_not_wait=request.does_not_wait,
            card_fingerprint=request.card_fingerprint,
        )
        return pb.CheckPaymentResponse(decision=await self._checking.check(asked, request))

    async def CheckTransfer(
        self, request: pb.CheckTransferRequest, _context: Any
    ) -> pb.CheckTransferResponse:
        asked = _movement(CheckKind.TRANSFER, request.transfer_id, request)
        return pb.CheckTransferResponse(decision=await self._checking.check(asked, request))

    async def CheckPayout(
        self, request: pb.CheckPayoutRequest, _context: Any
    ) -> pb.CheckPayoutResponse:
        asked = _movement(CheckKind.PAYOUT, request.payout_id, request)
        return pb.CheckPayoutResponse(decision=await self._checking.check(asked, request))


class DecisionService(DecisionServiceServicer):
    """Shows the decision log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._tokens = PageTokens(ERRORS)
        self._items = Items("decisions to list")

    async def GetDecision(
        self, request: decision_service_pb2.GetDecisionRequest, _context: Any
    ) -> decision_service_pb2.GetDecisionResponse:
        async with self._engine.connect() as connection:
            logged = await decision_store.get_decision(connection, request.decision_id)
        return decision_service_pb2.GetDecisionResponse(decision=logged.to_message())

    async def ListDecisions(
        self, request: decision_service_pb2.ListDecisionsRequest, _context: Any
    ) -> decision_service_pb2.ListDecisionsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        filters = {
            "merchant_id": request.merchant_id,
            "reference_id": request.reference_id,
            "verdict": verdict_word(request.verdict) if request.verdict else "",
            "kind": kind_word(request.kind) if request.kind else "",
        }
        async with self._engine.connect() as connection:
            found = await decision_store.list_decisions(
                connection,
                {name: value for name, value in filters.items() if value},
                from_us=microseconds(to_datetime(request.start_record_time))
                if request.HasField("start_record_time")
                else None,
                until_us=microseconds(to_datetime(request.end_record_time))
                if request.HasField("end_record_time")
                else None,
                before_sequence=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return decision_service_pb2.ListDecisionsResponse(
            decisions=[self._listed(logged) for logged in page],
            next_page_token=self._tokens.encode(request, [page[-1].place.sequence])
            if len(found) > size
            else "",
        )

    def _listed(self, logged: LoggedDecision) -> decision_pb2.Decision:
        with self._items.kept_apart(logged.decision_id):
            return logged.to_message()
        return logged.to_unread_message()

    async def ReplayDecision(
        self, request: decision_service_pb2.ReplayDecisionRequest, _context: Any
    ) -> decision_service_pb2.ReplayDecisionResponse:
        async with self._engine.connect() as connection:
            logged = await decision_store.get_decision(connection, request.decision_id)
            record = decision_store.record_of(logged)
            stored = await get_policy(connection, record.policy_version)
        verdict, findings, identical = replay(record, stored.policy)
        return decision_service_pb2.ReplayDecisionResponse(
            identical=identical,
            verdict=verdict_enum(verdict),
            reasons=[reason_message(finding) for finding in findings],
        )

    async def VerifyDecisions(
        self, request: decision_service_pb2.VerifyDecisionsRequest, _context: Any
    ) -> decision_service_pb2.VerifyDecisionsResponse:
        limit = clamp_page_size(request.limit, DEFAULT_VERIFY_LIMIT, MAX_VERIFY_LIMIT)
        async with self._engine.connect() as connection:
            found = await decision_store.verify(connection, request.first_sequence or 1, limit)
        return decision_service_pb2.VerifyDecisionsResponse(
            valid=found.first_broken == 0,
            first_broken_sequence=found.first_broken,
            last_sequence=found.last_sequence,
            last_hash=found.last_hash,
            complete=found.complete,
        )


def _movement(
    kind: CheckKind, reference_id: str, request: pb.CheckTransferRequest | pb.CheckPayoutRequest
) -> CheckInput:
    return CheckInput(
        kind=kind,
        request_id=request.request_id,
        reference_id=reference_id,
        merchant_id=request.merchant_id,
        customer_id="",
        currency_code=request.amount.currency_code,
        amount_minor=request.amount.minor_units,
        corridor=request.corridor,
        connected_account_id=request.connected_account_id,
        country_codes=(),
    )


def _countries(request: pb.CheckPaymentRequest) -> tuple[str, ...]:
    given = (
        request.billing_country_code,
        request.payment_method_country_code,
        request.network_country_code,
    )
    return tuple(sorted({code for code in given if code}))

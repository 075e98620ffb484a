"""A compliance service behind a real socket that decides what the test tells it to."""

from collections.abc import AsyncIterator

import grpc

from compliance.v1 import (
    case_pb2,
    case_service_pb2,
    case_service_pb2_grpc,
    compliance_service_pb2_grpc,
)
from compliance.v1 import compliance_service_pb2 as pb
from compliance.v1.decision_pb2 import DecisionKind, ReasonCode, Verdict
from runtime.notifier import Notifier

SECONDS_TO_LOOK = 1.0


class FakeCases(case_service_pb2_grpc.CaseServiceServicer):
    """Tells of the cases that a test closes."""

    def __init__(self) -> None:
        self.told: list[case_service_pb2.WatchCasesResponse] = []
        # What was asked for, in order.
        self.requests: list[case_service_pb2.WatchCasesRequest] = []
        self._notifier = Notifier()

    def close(
        self,
        reference_id: str,
        kind: DecisionKind.ValueType = DecisionKind.DECISION_KIND_PAYMENT,
        state: case_pb2.CaseState.ValueType = case_pb2.CASE_STATE_APPROVED,
    ) -> None:
        """Tells that the case about a payment or payout is closed."""
        told = case_service_pb2.WatchCasesResponse()
        told.event.sequence = len(self.told) + 1
        told.case.kind, told.case.reference_id, told.case.state = kind, reference_id, state
        self.told.append(told)
        self._notifier.notify()

    async def WatchCases(
        self, request: case_service_pb2.WatchCasesRequest, context: object
    ) -> AsyncIterator[case_service_pb2.WatchCasesResponse]:
        self.requests.append(request)
        sequence = request.after_sequence
        while True:
            token = self._notifier.token()
            for told in self.told[sequence:]:
                sequence += 1
                yield told
            await Notifier.wait(token, SECONDS_TO_LOOK)


class FakeCompliance(compliance_service_pb2_grpc.ComplianceServiceServicer):
    """Keeps its port across `stop` and `start`, so that it can be down for a while."""

    def __init__(self) -> None:
        self.cases = FakeCases()  # type: ignore[abstract]
        self.verdict: Verdict.ValueType = Verdict.VERDICT_ALLOW
        # The code of the reason that is given with a verdict other than ALLOW.
        self.code: ReasonCode.ValueType = ReasonCode.REASON_CODE_MERCHANT_MATCH_OPEN
        # By Stripe account, where it differs.
        self.verdicts: dict[str, Verdict.ValueType] = {}
        self.requests: list[pb.CheckPaymentRequest] = []
        self.payouts: list[pb.CheckPayoutRequest] = []
        self._port = 0
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        compliance_service_pb2_grpc.add_ComplianceServiceServicer_to_server(self, self._server)
        case_service_pb2_grpc.add_CaseServiceServicer_to_server(self.cases, self._server)
        self._port = self._server.add_insecure_port(f"127.0.0.1:{self._port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def CheckPayment(
        self, request: pb.CheckPaymentRequest, context: object
    ) -> pb.CheckPaymentResponse:
        self.requests.append(request)
        response = pb.CheckPaymentResponse()
        response.decision.id = f"dec_{len(self.requests)}"
        verdict = self.verdicts.get(request.corridor, self.verdict)
        response.decision.verdict = verdict
        response.decision.record_time.GetCurrentTime()
        if verdict != Verdict.VERDICT_ALLOW:
            response.decision.reasons.add(
                code=self.code,
                internal_text="secret",
                merchant_text="The payment needs another look.",
            )
        return response

    async def CheckTransfer(
        self, request: pb.CheckTransferRequest, context: object
    ) -> pb.CheckTransferResponse:
        raise NotImplementedError

    async def CheckPayout(
        self, request: pb.CheckPayoutRequest, context: object
    ) -> pb.CheckPayoutResponse:
        self.payouts.append(request)
        response = pb.CheckPayoutResponse()
        response.decision.id = f"dec_payout_{len(self.payouts)}"
        response.decision.verdict = self.verdict
        response.decision.record_time.GetCurrentTime()
        return response

"""PolicyService: the handlers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.checks.canonical import microseconds
from compliance.checks.findings import Verdict
from compliance.checks.messages import verdict_enum
from compliance.errors import ERRORS
from compliance.policies import shadowing, store
from compliance.policies.backtest import backtest, span_of
from compliance.policies.comparison import Comparison
from compliance.policies.document import document_of, policy_of
from compliance.policies.in_force import PolicyInForce
from compliance.policies.store import StoredPolicy, get_policy, list_policies
from compliance.v1 import decision_pb2, policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from compliance.v1.policy_service_pb2_grpc import PolicyServiceServicer
from compliance.wire_time import to_datetime, to_timestamp
from runtime.clock import Clock
from runtime.mutations import Mutations
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
_STATE_PREFIX = "POLICY_STATE_"
_MAX_INT64 = 2**63 - 1


class PolicyService(PolicyServiceServicer):
    """Keeps policy versions, and tries them."""

    def __init__(
        self, engine: AsyncEngine, mutations: Mutations, in_force: PolicyInForce, clock: Clock
    ) -> None:
        self._engine = engine
        self._mutations = mutations
        self._in_force = in_force
        self._clock = clock
        self._tokens = PageTokens(ERRORS)
        self._backtests = asyncio.Lock()

    async def CreatePolicyVersion(
        self, request: pb.CreatePolicyVersionRequest, _context: Any
    ) -> pb.CreatePolicyVersionResponse:
        policy = policy_of(request.policy_version, request.document)

        async def create(connection: AsyncConnection) -> pb.CreatePolicyVersionResponse:
            stored = await store.insert_draft(connection, policy, self._clock.now())
            return pb.CreatePolicyVersionResponse(version=_message(stored))

        return await self._mutations.run(request, pb.CreatePolicyVersionResponse, create)

    async def ShadowPolicyVersion(
        self, request: pb.ShadowPolicyVersionRequest, _context: Any
    ) -> pb.ShadowPolicyVersionResponse:
        async def shadow(connection: AsyncConnection) -> pb.ShadowPolicyVersionResponse:
            stored = await store.make_shadow(connection, request.policy_version)
            await shadowing.begin(connection, request.policy_version)
            return pb.ShadowPolicyVersionResponse(version=_message(stored))

        return await self._mutations.run(request, pb.ShadowPolicyVersionResponse, shadow)

    async def ActivatePolicyVersion(
        self, request: pb.ActivatePolicyVersionRequest, _context: Any
    ) -> pb.ActivatePolicyVersionResponse:
        async def activate(connection: AsyncConnection) -> pb.ActivatePolicyVersionResponse:
            stored = await store.activate(
                connection,
                request.policy_version,
                request.replaced_policy_version,
                self._clock.now(),
            )
            return pb.ActivatePolicyVersionResponse(version=_message(stored))

        response = await self._mutations.run(request, pb.ActivatePolicyVersionResponse, activate)
        await self._in_force.refresh()
        return response

    async def RetirePolicyVersion(
        self, request: pb.RetirePolicyVersionRequest, _context: Any
    ) -> pb.RetirePolicyVersionResponse:
        async def retire(connection: AsyncConnection) -> pb.RetirePolicyVersionResponse:
            stored = await store.retire(connection, request.policy_version)
            return pb.RetirePolicyVersionResponse(version=_message(stored))

        return await self._mutations.run(request, pb.RetirePolicyVersionResponse, retire)

    async def BacktestPolicyVersion(
        self, request: pb.BacktestPolicyVersionRequest, _context: Any
    ) -> AsyncIterator[pb.BacktestPolicyVersionResponse]:
        async with self._engine.connect() as connection:
            policy = (await get_policy(connection, request.policy_version)).policy
        span = await span_of(
            self._engine,
            _microseconds(request, "start_record_time"),
            _microseconds(request, "end_record_time"),
        )
        # One at a time in a process, since each has another process at work.
        async with self._backtests, aclosing(backtest(self._engine, policy, span)) as told:
            async for comparison, done in told:
                yield pb.BacktestPolicyVersionResponse(
                    judged_count=comparison.judged,
                    decision_count=span.count,
                    unreadable_count=comparison.unreadable,
                    changes=_changes(comparison),
                    changed_decisions=_changed(comparison) if done else (),
                    done=done,
                )

    async def GetShadowReport(
        self, request: pb.GetShadowReportRequest, _context: Any
    ) -> pb.GetShadowReportResponse:
        async with self._engine.connect() as connection:
            await get_policy(connection, request.policy_version)
            comparison, through = await shadowing.report(connection, request.policy_version)
        return pb.GetShadowReportResponse(
            judged_count=comparison.judged,
            unreadable_count=comparison.unreadable,
            through_sequence=through,
            changes=_changes(comparison),
            changed_decisions=_changed(comparison),
        )

    async def GetPolicyVersion(
        self, request: pb.GetPolicyVersionRequest, _context: Any
    ) -> pb.GetPolicyVersionResponse:
        async with self._engine.connect() as connection:
            stored = await get_policy(connection, request.policy_version)
        return pb.GetPolicyVersionResponse(version=_message(stored))

    async def ListPolicyVersions(
        self, request: pb.ListPolicyVersionsRequest, _context: Any
    ) -> pb.ListPolicyVersionsResponse:
        position = self._tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        state = policy_pb2.PolicyState.Name(request.state).removeprefix(_STATE_PREFIX)
        async with self._engine.connect() as connection:
            found = await list_policies(
                connection,
                state=state if request.state else "",
                before_ordinal=int(position[0]) if position else None,
                limit=size + 1,
            )
        page = found[:size]
        return pb.ListPolicyVersionsResponse(
            versions=[_message(stored) for stored in page],
            next_page_token=self._tokens.encode(request, [page[-1].ordinal])
            if len(found) > size
            else "",
        )


def _message(stored: StoredPolicy) -> policy_pb2.PolicyVersion:
    return policy_pb2.PolicyVersion(
        policy_version=stored.policy.version,
        state=policy_pb2.PolicyState.Value(_STATE_PREFIX + stored.state),
        document=document_of(stored.policy),
        content_hash=stored.content_hash,
        create_time=to_timestamp(stored.create_time),
        activate_time=to_timestamp(stored.activate_time),
    )


def _microseconds(request: Any, field: str) -> int | None:
    return microseconds(to_datetime(getattr(request, field))) if request.HasField(field) else None


def _changes(comparison: Comparison) -> list[policy_pb2.VerdictChange]:
    return [
        policy_pb2.VerdictChange(
            decided=verdict_enum(Verdict[change.decided]),
            candidate=verdict_enum(Verdict[change.candidate]),
            currency_code=change.currency_code,
            decision_count=count,
            amount_minor=min(comparison.amounts[change], _MAX_INT64),
        )
        for change, count in sorted(comparison.counts.items())
    ]


def _changed(comparison: Comparison) -> list[policy_pb2.ChangedDecision]:
    """The newest first."""
    return [
        policy_pb2.ChangedDecision(
            decision_id=one.decision_id,
            sequence=one.sequence,
            decided=verdict_enum(Verdict[one.decided]),
            candidate=verdict_enum(Verdict[one.candidate]),
            currency_code=one.currency_code,
            amount_minor=one.amount_minor,
            candidate_reasons=[
                decision_pb2.ReasonCode.Value(f"REASON_CODE_{code}") for code in one.candidate_codes
            ],
        )
        for one in reversed(comparison.newest)
    ]

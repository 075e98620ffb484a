"""RoutingService: check, call, answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.errors import ERRORS
from gateway.payments.rendering import stamp
from gateway.routing_service import candidates, store
from gateway.routing_service.candidates import Trainings
from gateway.routing_service.decision_feed import DEFAULT_DECISIONS, DecisionFeed, Window
from gateway.routing_service.errors import (
    decision_not_found,
    evidence_thin,
    model_not_found,
    step_invalid,
)
from gateway.routing_service.evaluating import Evaluations
from gateway.routing_service.evaluator import Asked, Candidate
from gateway.routing_service.learner import EVIDENCE_WINDOW, Standing, region_gap, standing_of
from gateway.routing_service.messages import (
    change_message,
    decision_message,
    evaluation_message,
    evidence_message,
    line_message,
    model_message,
)
from gateway.routing_service.schema import REQUEST
from gateway.routing_service.steps import (
    Arm,
    Mode,
    Step,
    next_step,
    problem_with_promotion,
)
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.routing_service.terms import RoutingTerms
from gateway.routing_service.training_store import trained_models, trainings
from gateway.v1 import routing_pb2, routing_service_pb2_grpc
from gateway.v1 import routing_service_pb2 as pb
from runtime.auth import client_name
from runtime.clock import Clock
from runtime.idempotency import RequestIds, RequestTable
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
MAX_CHANGES = 20
# What a policy is judged by unless a window is asked for.
EVALUATED_WINDOW = timedelta(days=7)
CANDIDATES = {
    "model_version": Candidate.MODEL,
    "recorded_routing": Candidate.RECORDED,
    "operators_order": Candidate.ORDER,
}


class RoutingServicer(routing_service_pb2_grpc.RoutingServiceServicer):
    """Why payments went where they went, and how much routing is allowed."""

    def __init__(
        self,
        engine: AsyncEngine,
        mode: Mode,
        terms: RoutingTerms,
        request_ids: RequestIds,
        clock: Clock,
        feed: DecisionFeed,
        training: Trainings,
    ) -> None:
        self._engine = engine
        self._mode = mode
        self._terms = terms
        self._margin = terms.fall_back_margin
        self._evaluations = Evaluations(engine, feed)
        self._training = training
        self._requests = RequestTable(request_ids, REQUEST)
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def ExplainRouting(
        self, request: pb.ExplainRoutingRequest, _context: Any
    ) -> pb.ExplainRoutingResponse:
        async with self._engine.connect() as connection:
            row = await store.find_decision(connection, request.payment_id)
            outcome = await store.find_outcome(connection, request.payment_id)
            failovers = await store.failovers(connection, request.payment_id)
        if row is None and not failovers:
            raise decision_not_found(request.payment_id)
        return pb.ExplainRoutingResponse(
            decision=decision_message(row, outcome) if row is not None else None,
            failovers=[decision_message(*each) for each in failovers],
        )

    async def ListModels(
        self, request: pb.ListModelsRequest, _context: Any
    ) -> pb.ListModelsResponse:
        position = self._page_tokens.decode(request)
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        before = int(position[0]) if position else None
        async with self._engine.connect() as connection:
            learner = await store.learner(connection)
            listed = trained_models if request.trained_only else store.models
            found = await listed(connection, before, size + 1)
            page = found[:size]
            trained = await trainings(connection, [row.version for row in page])
        in_force = learner.model_version if learner is not None else ""
        response = pb.ListModelsResponse(
            models=[model_message(row, in_force, trained.get(row.version)) for row in page]
        )
        if len(found) > size:
            response.next_page_token = self._page_tokens.encode(request, [page[-1].model_number])
        return response

    async def TrainModel(
        self, request: pb.TrainModelRequest, _context: Any
    ) -> pb.TrainModelResponse:
        async with self._engine.connect() as connection:
            before = await self._requests.find(connection, request)
        if before is None:
            now = self._clock.now()
            start, end = (
                when.ToDatetime(tzinfo=UTC) for when in (request.start_time, request.end_time)
            )
            model = await self._training.train(start, end, now)
            async with self._engine.begin() as connection:
                version = await candidates.keep(connection, model, client_name(), now)
                is_new = await self._requests.begin(
                    connection, request, create_time=now, trained_version=version
                )
                if not is_new:
                    # The same was asked for meanwhile, and gave the same.
                    await self._requests.find(connection, request)
        else:
            version = before.trained_version
        return pb.TrainModelResponse(model=await self._model(version))

    async def PromoteModel(
        self, request: pb.PromoteModelRequest, _context: Any
    ) -> pb.PromoteModelResponse:
        step = Step(routing_pb2.RoutingStep.Name(request.step).removeprefix("ROUTING_STEP_"))
        async with self._engine.begin() as connection:
            if await self._is_new(connection, request):
                await self._promote(connection, request, step)
            change = await store.last_step(connection)
        assert change is not None, "a step was taken, or there was one before"
        return pb.PromoteModelResponse(change=change_message(change))

    async def RollBackModel(
        self, request: pb.RollBackModelRequest, _context: Any
    ) -> pb.RollBackModelResponse:
        async with self._engine.begin() as connection:
            if await self._is_new(connection, request):
                await self._roll_back(connection, request)
            change = await store.last_step(connection)
        assert change is not None, "a step was taken, or there was one before"
        return pb.RollBackModelResponse(change=change_message(change))

    async def EvaluatePolicy(
        self, request: pb.EvaluatePolicyRequest, _context: Any
    ) -> pb.EvaluatePolicyResponse:
        now = self._clock.now()
        until = now
        if request.HasField("end_time"):
            until = min(until, request.end_time.ToDatetime(tzinfo=UTC))
        since = until - EVALUATED_WINDOW
        if request.HasField("start_time"):
            since = request.start_time.ToDatetime(tzinfo=UTC)
        window = Window(
            max(since, now - KEEP_DECISIONS), until, request.max_decisions or DEFAULT_DECISIONS
        )
        candidate = request.WhichOneof("candidate")
        assert candidate is not None, "it is required"
        asked = Asked(
            CANDIDATES[candidate],
            request.looks or 1,
            self._terms.model_dump_json(),
        )
        if request.model_version:
            async with self._engine.connect() as connection:
                if await store.find_model(connection, request.model_version) is None:
                    raise model_not_found(request.model_version)
                state = await candidates.sound_state(connection, request.model_version)
            asked = replace(asked, model=state.decode())
        judged = await self._evaluations.judge(asked, window)
        return pb.EvaluatePolicyResponse(evaluation=evaluation_message(judged))

    async def GetRoutingReport(
        self, request: pb.GetRoutingReportRequest, _context: Any
    ) -> pb.GetRoutingReportResponse:
        now = self._clock.now()
        since = now - EVIDENCE_WINDOW
        if request.HasField("start_time"):
            since = request.start_time.ToDatetime(tzinfo=UTC)
        since = max(since, now - KEEP_DECISIONS)
        async with self._engine.connect() as connection:
            rows = await store.report(connection, since)
            standing = await self._standing(connection, now)
            learner = await store.learner(connection)
            changes = await store.last_steps(connection, MAX_CHANGES)
        routed = [row for row in rows if row.arm == Arm.ROUTED]
        decisions = sum(row.decisions for row in routed)
        explored = sum(row.explored for row in routed)
        return pb.GetRoutingReportResponse(
            lines=[line_message(row) for row in rows],
            mode=self._mode.value,
            step=routing_pb2.RoutingStep.Value(f"ROUTING_STEP_{standing.step}"),
            figures=evidence_message(standing.evidence),
            explored_share=explored / decisions if decisions else 0.0,
            region_success_gap=region_gap(rows),
            changes=[change_message(change) for change in changes],
            learn_time=stamp(learner.round_time) if learner is not None else None,
        )

    async def _promote(
        self, connection: AsyncConnection, request: pb.PromoteModelRequest, step: Step
    ) -> None:
        now = self._clock.now()
        learner = await store.lock_learner(connection)
        standing = await self._standing(connection, now)
        allowed = self._mode is Mode.STAGED and next_step(standing.step) is step
        if not allowed or learner is None:
            raise step_invalid(self._mode, step, standing.step)
        if await store.find_model(connection, request.model_version) is None:
            raise model_not_found(request.model_version)
        candidate = await candidates.to_be_put_in_force(
            connection,
            request.model_version,
            learner.model_version,
            mode=self._mode,
            step=step,
            present=standing.step,
        )
        evidence = standing.evidence
        if candidate is not None:
            evidence = replace(evidence, learned=candidate.learned)
            await store.move_learner(connection, model_version=candidate.version)
        figures = evidence.figures
        problem = problem_with_promotion(standing.step, evidence, self._margin)
        if problem is not None:
            raise evidence_thin(problem, standing.step, figures)
        await store.add_step(
            connection, step, request.model_version, client_name(), request.reason, figures, now
        )

    async def _roll_back(
        self, connection: AsyncConnection, request: pb.RollBackModelRequest
    ) -> None:
        now = self._clock.now()
        learner = await store.lock_learner(connection)
        standing = await self._standing(connection, now)
        if learner is None:
            # Nothing was ever learnt or allowed.
            raise step_invalid(self._mode, Step.SHADOW, standing.step)
        version = request.model_version or learner.model_version
        if await store.find_model(connection, version) is None:
            raise model_not_found(version)
        if version != learner.model_version:
            await candidates.sound_state(connection, version)
        await store.move_learner(connection, model_version=version)
        await store.add_step(
            connection,
            Step.SHADOW,
            version,
            client_name(),
            request.reason,
            standing.evidence.figures,
            now,
        )

    async def _model(self, version: str) -> routing_pb2.RoutingModel:
        """A model that was trained, as it is listed."""
        async with self._engine.connect() as connection:
            row = await store.find_model(connection, version)
            if row is None:
                raise model_not_found(version)
            learner = await store.learner(connection)
            trained = await trainings(connection, [version])
        in_force = learner.model_version if learner is not None else ""
        return model_message(row, in_force, trained.get(version))

    async def _standing(self, connection: AsyncConnection, now: datetime) -> Standing:
        """The step and what is known of it, with the model in force."""
        learner = await store.learner(connection)
        learned = 0
        if learner is not None:
            model = await store.find_model(connection, learner.model_version)
            learned = model.learned if model is not None else 0
        return await standing_of(connection, learned, now)

    async def _is_new(self, connection: AsyncConnection, request: Message) -> bool:
        """Writes the request down, unless it came before. Raises REQUEST_ID_REUSED."""
        if await self._requests.begin(connection, request, create_time=self._clock.now()):
            return True
        await self._requests.find(connection, request)
        return False

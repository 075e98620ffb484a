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
    not_judged,
    step_invalid,
)
from gateway.routing_service.evaluating import Evaluations
from gateway.routing_service.evaluator import Asked, Candidate
from gateway.routing_service.judgement_log import add_judgement, newest_judgement
from gateway.routing_service.judgements import problem_with_judgement
from gateway.routing_service.learner import EVIDENCE_WINDOW, Standing, region_gap, standing_of
from gateway.routing_service.messages import (
    change_message,
    decision_message,
    evaluation_message,
    evidence_message,
    line_message,
    model_message,
    retry_line_message,
    retry_message,
    subject_of,
)
from gateway.routing_service.retry_log import count_learnt_retries, report_retries, retries_of
from gateway.routing_service.schema import REQUEST
from gateway.routing_service.steps import (
    Arm,
    Mode,
    Step,
    Subject,
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
            retries = await retries_of(connection, request.payment_id)
        if row is None and not failovers and not retries:
            raise decision_not_found(request.payment_id)
        return pb.ExplainRoutingResponse(
            decision=decision_message(row, outcome) if row is not None else None,
            failovers=[decision_message(*each) for each in failovers],
            retry_times=[retry_message(*each) for each in retries],
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
            change = await store.last_step(connection, subject_of(request.subject))
        assert change is not None, "a step was taken, or there was one before"
        return pb.PromoteModelResponse(change=change_message(change))

    async def RollBackModel(
        self, request: pb.RollBackModelRequest, _context: Any
    ) -> pb.RollBackModelResponse:
        async with self._engine.begin() as connection:
            if await self._is_new(connection, request):
                await self._roll_back(connection, request)
            change = await store.last_step(connection, subject_of(request.subject))
        assert change is not None, "a step was taken, or there was one before"
        return pb.RollBackModelResponse(change=change_message(change))

    async def EvaluatePolicy(
        self, request: pb.EvaluatePolicyRequest, _context: Any
    ) -> pb.EvaluatePolicyResponse:
        now = self._clock.now()
        until = now
        if request.HasField("end_time"):
            until = min(until, request.end_time.ToDatetime(tzinfo=UTC))
        # Of before nothing is kept, and there is no time a week before the first.
        until = max(until, now - KEEP_DECISIONS)
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
            subject=subject_of(request.subject),
        )
        async with self._engine.connect() as connection:
            version = await self._judged_model(connection, asked.candidate, request.model_version)
            if asked.candidate is Candidate.MODEL:
                state = await candidates.sound_state(connection, version)
                asked = replace(asked, model=state.decode())
        judged = await self._evaluations.judge(asked, window)
        async with self._engine.begin() as connection:
            number = await add_judgement(
                connection,
                asked=asked,
                window=window,
                judged=judged,
                model_version=version,
                policy_hash=self._terms.digest,
                client=client_name(),
                now=self._clock.now(),
            )
        return pb.EvaluatePolicyResponse(evaluation=evaluation_message(judged, version, number))

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
            failovers = await store.report_failovers(connection, since)
            times = await report_retries(connection, since)
            of_times = await self._standing(connection, now, Subject.RETRY_TIME)
            standing = await self._standing(connection, now)
            learner = await store.learner(connection)
            changes = await store.last_steps(connection, MAX_CHANGES)
        routed = [row for row in rows if row.arm == Arm.ROUTED]
        decisions = sum(row.decisions for row in routed)
        explored = sum(row.explored for row in routed)
        return pb.GetRoutingReportResponse(
            lines=[line_message(row) for row in rows],
            failover_lines=[line_message(row) for row in failovers],
            retry_step=routing_pb2.RoutingStep.Value(f"ROUTING_STEP_{of_times.step}"),
            retry_figures=evidence_message(of_times.evidence),
            retry_lines=[retry_line_message(row) for row in times],
            mode=self._mode.value,
            step=routing_pb2.RoutingStep.Value(f"ROUTING_STEP_{standing.step}"),
            figures=evidence_message(standing.evidence),
            explored_share=explored / decisions if decisions else 0.0,
            region_success_gap=region_gap(rows),
            changes=[change_message(change) for change in changes],
            learn_time=stamp(learner.round_time) if learner is not None else None,
        )

    async def _judged_model(
        self, connection: AsyncConnection, candidate: Candidate, named: str
    ) -> str:
        """The model that a verdict is about: of routing as it decides the one in force, which has
        learnt from what is judged; empty without any. Raises ROUTING_MODEL_NOT_FOUND."""
        if candidate is Candidate.MODEL:
            if await store.find_model(connection, named) is None:
                raise model_not_found(named)
            return named
        learner = await store.learner(connection) if candidate is Candidate.RECORDED else None
        return learner.model_version if learner is not None else ""

    async def _promote(
        self, connection: AsyncConnection, request: pb.PromoteModelRequest, step: Step
    ) -> None:
        now, subject = self._clock.now(), subject_of(request.subject)
        learner = await store.lock_learner(connection)
        standing = await self._standing(connection, now, subject)
        allowed = self._mode is Mode.STAGED and next_step(standing.step) is step
        if not allowed or learner is None:
            raise step_invalid(self._mode, step, standing.step)
        if await store.find_model(connection, request.model_version) is None:
            raise model_not_found(request.model_version)
        candidate = None
        if subject is Subject.CORRIDOR:
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
        newest = await newest_judgement(connection, subject, request.model_version)
        missing = problem_with_judgement(newest, self._terms.digest, now)
        if missing is not None and not request.override_reason:
            refusals = ",".join(newest.refusals) if newest is not None else ""
            raise not_judged(missing, step, request.model_version, refusals)
        rests_on = newest.number if newest is not None and missing is None else None
        await store.add_step(
            connection,
            step,
            request.model_version,
            client_name(),
            request.reason,
            figures,
            now,
            subject=subject,
            judgement_number=rests_on,
            # What was not needed is not what the step was taken for.
            override_reason=request.override_reason if missing is not None else "",
        )

    async def _roll_back(
        self, connection: AsyncConnection, request: pb.RollBackModelRequest
    ) -> None:
        now = self._clock.now()
        learner = await store.lock_learner(connection)
        named = [subject_of(request.subject)] if request.subject else list(Subject)
        standings = {each: await self._standing(connection, now, each) for each in named}
        if learner is None:
            # Nothing was ever learnt or allowed.
            raise step_invalid(self._mode, Step.SHADOW, standings[named[0]].step)
        version = request.model_version or learner.model_version
        if await store.find_model(connection, version) is None:
            raise model_not_found(version)
        if version != learner.model_version:
            await candidates.sound_state(connection, version)
        await store.move_learner(connection, model_version=version)
        # The subject that is told of last is the one that always has a step.
        for subject in reversed(named):
            standing = standings[subject]
            if subject is named[0] or standing.step is not Step.SHADOW:
                await store.add_step(
                    connection,
                    Step.SHADOW,
                    version,
                    client_name(),
                    request.reason,
                    standing.evidence.figures,
                    now,
                    subject=subject,
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

    async def _standing(
        self, connection: AsyncConnection, now: datetime, subject: Subject = Subject.CORRIDOR
    ) -> Standing:
        """The step and what is known of it, with the model in force."""
        learner = await store.learner(connection)
        learned = 0
        if subject is Subject.RETRY_TIME:
            learned = await count_learnt_retries(connection)
        elif learner is not None:
            model = await store.find_model(connection, learner.model_version)
            learned = model.learned if model is not None else 0
        return await standing_of(connection, learned, now, subject)

    async def _is_new(self, connection: AsyncConnection, request: Message) -> bool:
        """Writes the request down, unless it came before. Raises REQUEST_ID_REUSED."""
        if await self._requests.begin(connection, request, create_time=self._clock.now()):
            return True
        await self._requests.find(connection, request)
        return False

"""Follows compliance's cases, so that what waits for one goes on as soon as it is decided.

An event is a hint: whoever waits asks compliance again, and its logged answer is what counts. So
events may come twice, and one that is missed costs no more than the time until the next question
(`GATEWAY_REVIEW_RECHECK_SECONDS`). That is why no place in the feed is stored: who begins goes back
by that time, and what waited for longer is due by itself.
"""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.v1 import case_pb2, case_service_pb2, case_service_pb2_grpc
from compliance.v1.decision_pb2 import DecisionKind
from gateway.operations import store
from gateway.operations.gate import Gate
from gateway.operations.operation import OperationKind
from gateway.operations.runner import Runner
from runtime.clock import Clock
from runtime.errors import from_rpc_error
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

# How long the loop rests while there is no news: it is woken by them. What was being asked about
# when its news came is tried again after so long, and so many times.
POLL_SECONDS = 0.25
MAX_TRIES = 20
FAILS_WITHIN_SECONDS = 1.0
# How much compliance's clock may be behind ours.
CLOCK_TOLERANCE = timedelta(minutes=1)
CURSOR_OUTDATED = "CURSOR_OUTDATED"

_KINDS = {
    DecisionKind.DECISION_KIND_PAYMENT: OperationKind.CHECK,
    DecisionKind.DECISION_KIND_PAYOUT: OperationKind.CHECK_PAYOUT,
}

RESUMED = Counter(
    "gateway_reviews_resumed_total",
    "Payments and payouts that were asked about again when their case was closed, by its state.",
    ["state"],
)
for _state in case_pb2.CaseState.keys()[1:]:
    RESUMED.labels(_state.removeprefix("CASE_STATE_"))

log = get_logger(__name__)


class CaseWatch:
    """Asks again about each payment and payout whose case was closed."""

    def __init__(
        self,
        engine: AsyncEngine,
        runner: Runner,
        gate: Gate,
        compliance: grpc.aio.Channel,
        recheck: timedelta,
        clock: Clock,
    ) -> None:
        """`recheck` is how long one that waits is left alone at most."""
        self._engine = engine
        self._runner = runner
        self._gate = gate
        self._stub = case_service_pb2_grpc.CaseServiceStub(compliance)
        self._recheck = recheck
        self._clock = clock
        self._notifier = Notifier()
        # The last event that was handled by this process; 0 before the first.
        self._sequence = 0
        # Those that were being asked about: (kind, subject, state of the case): tries so far.
        self._again: dict[tuple[OperationKind, str, str], int] = {}

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after compliance was away."""
        return Loop(
            "case watch",
            session=self._follow,
            poll_seconds=POLL_SECONDS,
            notifier=self._notifier,
            expected=(grpc.aio.AioRpcError,),
        )

    async def _follow(self) -> Rounds:
        feed = self._stub.WatchCases(self._request())
        read: asyncio.Task[Any] | None = None
        try:
            while True:  # Until the feed ends or the loop closes it.
                read = asyncio.ensure_future(feed.read())
                read.add_done_callback(lambda _: self._notifier.notify())
                # A feed that fails at once has not gone well before: it is asked for less and less.
                await asyncio.wait({read}, timeout=FAILS_WITHIN_SECONDS)
                while not read.done():
                    await self._try_again()
                    yield False
                response = read.result()
                if response is grpc.aio.EOF:
                    raise ConnectionError("compliance has ended the feed")
                await self._apply(response)
                yield True
        except grpc.aio.AioRpcError as error:
            if from_rpc_error(error).reason != CURSOR_OUTDATED:
                raise
            # Compliance was restored from a backup: begins as a new process does.
            log.warning("case_watch_begins_anew", sequence=self._sequence)
            self._sequence = 0
            self._notifier.notify()
        finally:
            feed.cancel()
            if read is not None:
                read.cancel()

    def _request(self) -> case_service_pb2.WatchCasesRequest:
        if self._sequence:
            return case_service_pb2.WatchCasesRequest(after_sequence=self._sequence)
        request = case_service_pb2.WatchCasesRequest()
        request.start_record_time.FromDatetime(self._clock.now() - self._recheck - CLOCK_TOLERANCE)
        return request

    async def _apply(self, response: case_service_pb2.WatchCasesResponse) -> None:
        case = response.case
        kind = _KINDS.get(case.kind)
        if kind is not None and case.state != case_pb2.CASE_STATE_OPEN:
            state = case_pb2.CaseState.Name(case.state).removeprefix("CASE_STATE_")
            await self._resume(kind, case.reference_id, state, tries=0)
        self._sequence = response.event.sequence

    async def _try_again(self) -> None:
        again, self._again = self._again, {}
        for (kind, subject_id, state), tries in again.items():
            await self._resume(kind, subject_id, state, tries)

    async def _resume(self, kind: OperationKind, subject_id: str, state: str, tries: int) -> None:
        """Asks compliance again about one that waits. One that is just being asked about may have
        been answered from before the news, so that it is asked about once more."""
        if self._gate.closed:
            return
        async with self._engine.connect() as connection:
            operation = await store.open_operation_of(connection, subject_id)
        if operation is None or operation.kind is not kind:
            return
        if await self._runner.resume(operation.id) is not None:
            RESUMED.labels(state).inc()
        elif tries < MAX_TRIES:
            self._again[kind, subject_id, state] = tries + 1

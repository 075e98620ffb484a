"""Learns from what payments came to: one process of all, each attempt once.

Outcomes, cursor, model and what follows for the step are written in one transaction: whoever dies
in between has learnt nothing, and the next one learns it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.limits import LIMITS
from gateway.operations.gate import Gate
from gateway.payments.store.events import StoredEvent, events_after, newest_sequence
from gateway.routing.codec import DamagedError, content_hash, dump, load_named
from gateway.routing.decision import Policy, learn_from
from gateway.routing.state import MAX_CORRIDORS, RoutingState, StateError, hash_of, not_ahead
from gateway.routing_service import store, telemetry
from gateway.routing_service.lessons import TRANSITIONS, Attempt, Learnt, learnt_of
from gateway.routing_service.pruning import PRUNE_BATCH, prune
from gateway.routing_service.record import features_hash
from gateway.routing_service.retries import RETRY_TRANSITIONS
from gateway.routing_service.retry_learning import learn_times
from gateway.routing_service.retry_log import count_retry_arms
from gateway.routing_service.steps import (
    MIN_ARM_OUTCOMES,
    Arm,
    Evidence,
    Mode,
    Step,
    Subject,
    must_fall_back,
    share_of,
)
from gateway.routing_service.terms import SPACE, RoutingTerms
from gateway.v1 import payment_pb2
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop

NAME = "routing"
# Between rounds when there is more at once: each that learnt something writes a model.
BETWEEN_SECONDS = 1.0
MAX_EVENTS = 1_000
# Outcomes of before are not compared: corridors change.
EVIDENCE_WINDOW = timedelta(days=1)
# A payment is tried again after days.
EVIDENCE_WINDOWS = {Subject.CORRIDOR: EVIDENCE_WINDOW, Subject.RETRY_TIME: timedelta(days=14)}
LOOKED_AT = TRANSITIONS | RETRY_TRANSITIONS
CHECK_EVERY = timedelta(minutes=1)
CODE_VERSION = "routing-1"
"""Of the rules that models are learnt with; changed with them."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """The step that counts, since when, and what is known of it."""

    step: Step
    since: datetime
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Chosen:
    """A decision, or a later choice with its `hop`, and the operation that charged there."""

    row: Any
    attempt: Attempt | None
    hop: int = 0


class Learner:
    """The leader's task."""

    def __init__(
        self,
        engine: AsyncEngine,
        gate: Gate,
        mode: Mode,
        terms: RoutingTerms,
        corridors: Sequence[str],
        clock: Clock,
        rest_seconds: float = LIMITS.routing_rest_seconds,
    ) -> None:
        self._engine = engine
        self._gate = gate
        self._mode = mode
        self._margin = terms.fall_back_margin
        # Lessons move what all merchants share: aims and exploration have no part in it.
        self._policy = Policy(space=SPACE)
        self._space_hash = hash_of(SPACE)
        self._items = Items("payments to learn from")
        self._corridors = corridors
        self._clock = clock
        self._rest_seconds = rest_seconds
        self._state: RoutingState | None = None
        self._version = ""
        self._damaged = ""
        self._checked: datetime | None = None

    def loop(self) -> Loop:
        """One process of all does it."""
        rest = self._rest_seconds
        between = min(BETWEEN_SECONDS, rest)
        return Loop(NAME, self.round, poll_seconds=rest, between_seconds=between)

    async def round(self) -> bool:
        """Learns from the next events, falls back if it must, deletes what is old; True if there
        may be more at once."""
        if self._gate.closed:
            return False
        try:
            return await self._round()
        except DamagedError as error:
            # Nothing is learnt on: what there was to learn waits until another one is in force.
            if self._damaged != error.version:
                self._damaged = error.version
                log.error("routing_model_damaged", version=error.version)
            return False

    async def _round(self) -> bool:
        now = self._clock.now()
        async with self._engine.begin() as connection:
            row = await store.lock_learner(connection) or await self._begin(connection, now)
            events = await events_after(connection, row.sequence, "", "", MAX_EVENTS, LOOKED_AT)
            learnt, state = await self._learn(connection, row, events, now)
            version = row.model_version
            times, state = await learn_times(connection, state, events, now, self._items)
            if learnt or times:
                version = await self._publish(connection, state, now)
            sequence = events[-1].sequence if events else row.sequence
            up_to = now
            if len(events) == MAX_EVENTS:
                # There may be more: what came after these is not known yet.
                up_to = min(now, events[-1].record_time)
            await store.move_learner(
                connection, sequence=sequence, model_version=version, round_time=up_to
            )
            undone = await self._fall_back(connection, state, version, now)
            pruned = await prune(connection, now)
        # Only what was committed is known.
        self._state, self._version = state, version
        telemetry.ROUND_TIME.set(up_to.timestamp())
        for each in learnt:
            telemetry.LESSONS.labels(each.attribution.cause.value).inc()
        for time in times:
            telemetry.LESSONS.labels(time.cause.value).inc()
        for subject in undone:
            telemetry.UNDONE.labels(subject.value).inc()
            log.error("routing_undone", subject=subject.value)
        return len(events) == MAX_EVENTS or pruned == PRUNE_BATCH

    async def _begin(self, connection: AsyncConnection, now: datetime) -> Row[Any]:
        """The first time: nothing is known, and what came before is not looked at."""
        state = RoutingState.new(SPACE, self._corridors, now.timestamp())
        version = await self._publish(connection, state, now)
        await store.begin_learner(connection, await newest_sequence(connection), version, now)
        row = await store.lock_learner(connection)
        assert row is not None, "it was just made"
        return row

    async def _publish(
        self, connection: AsyncConnection, state: RoutingState, now: datetime
    ) -> str:
        raw = dump(state)
        version = content_hash(raw)
        await store.add_model(connection, version, raw, state.learned, CODE_VERSION, now)
        return version

    async def _in_force(
        self, connection: AsyncConnection, version: str, now: datetime
    ) -> RoutingState:
        """The model that is learnt from on; a new one where it is of another release's features.
        Raises DamagedError."""
        if self._state is not None and self._version == version:
            return self._state
        try:
            return load_named(await store.model_state(connection, version), version, SPACE)
        except DamagedError:
            raise
        except StateError as error:
            log.warning("routing_begins_anew", version=version, reason=str(error))
            return RoutingState.new(SPACE, self._corridors, now.timestamp())

    async def _learn(
        self,
        connection: AsyncConnection,
        row: Row[Any],
        events: Sequence[StoredEvent],
        now: datetime,
    ) -> tuple[list[Learnt], RoutingState]:
        """The state after these events, with what was learnt, which is written down."""
        state = await self._in_force(connection, row.model_version, now)
        state = not_ahead(state, now.timestamp())
        ids = {event.payment_id for event in events}
        waiting = await _undecided(connection, ids) if ids else {}
        learnt: list[Learnt] = []
        outcomes = []
        for event in events:
            choices = tuple(waiting.get(event.payment_id, ()))
            if not choices:
                continue
            with self._items.kept_apart(event.payment_id):
                payment = payment_pb2.Payment.FromString(event.snapshot)
                for choice in choices:
                    found = learnt_of(
                        event.transition,
                        payment,
                        choice.row,
                        choice.attempt,
                        event.record_time,
                        now,
                        choice.hop,
                    )
                    if found is None:
                        continue
                    state = self._taught(state, choice.row, found, now)
                    waiting[event.payment_id].remove(choice)
                    learnt.append(found)
                    outcomes.append(_outcome(choice, found, now))
            # A lesson takes about a millisecond; callers come in between.
            await asyncio.sleep(0)
        await store.add_outcomes(connection, outcomes)
        return learnt, state

    def _taught(self, state: RoutingState, row: Any, found: Learnt, now: datetime) -> RoutingState:
        """The state after what was found. What a release with other features has decided teaches
        nothing: its buckets are not these."""
        if features_hash(self._space_hash, row.slots) != row.features_hash:
            return state
        for lesson in found.lessons:
            state = learn_from(self._policy, state, lesson, now_s=now.timestamp())
        if len(state.corridors) > MAX_CORRIDORS:
            # Corridors that were renamed or removed, and a model with more could not be read.
            state = state.only_of(self._corridors)
        return state

    async def _fall_back(
        self, connection: AsyncConnection, state: RoutingState, version: str, now: datetime
    ) -> list[Subject]:
        """Takes back to SHADOW what does worse where routing is followed; what it was."""
        if self._checked is not None and now - self._checked < CHECK_EVERY:
            return []
        self._checked = now
        await self._watch_regions(connection, now)
        undone = []
        for subject, learned in (
            (Subject.CORRIDOR, state.learned),
            (Subject.RETRY_TIME, state.retries.learned),
        ):
            standing = await standing_of(connection, learned, now, subject)
            if not share_of(self._mode, standing.step):
                continue
            if not must_fall_back(standing.evidence, self._margin):
                continue
            reason = f"routed payments do worse by more than {self._margin}"
            figures = standing.evidence.figures
            await store.add_step(
                connection, Step.SHADOW, version, "", reason, figures, now, subject=subject
            )
            undone.append(subject)
        return undone

    async def _watch_regions(self, connection: AsyncConnection, now: datetime) -> None:
        """Shows how far regions' success is apart where routing decides."""
        rows = await store.report(connection, now - EVIDENCE_WINDOW)
        telemetry.REGION_GAP.set(region_gap(rows))


async def _undecided(
    connection: AsyncConnection, payment_ids: Collection[str]
) -> Mapping[str, list[Chosen]]:
    """By payment, its choices that nothing was learnt from yet, in their order."""
    decisions = await store.undecided(connection, payment_ids)
    attempts = await store.first_attempts(connection, list(decisions)) if decisions else {}
    waiting = {
        payment_id: [Chosen(row, attempts.get((payment_id, row.corridor)))]
        for payment_id, row in decisions.items()
    }
    failovers = await store.undecided_failovers(connection, payment_ids)
    if failovers:
        of_hops = await store.failover_attempts(connection, {row.payment_id for row in failovers})
        for row in failovers:
            chosen = Chosen(row, of_hops.get((row.payment_id, row.hop)), row.hop)
            waiting.setdefault(row.payment_id, []).append(chosen)
    return waiting


def _outcome(choice: Chosen, found: Learnt, now: datetime) -> dict[str, Any]:
    """The row of what became of a choice."""
    row = choice.row
    outcome = {
        "payment_id": row.payment_id,
        "arm": row.arm,
        "corridor": row.corridor,
        "region": row.region,
        "cause": found.attribution.cause.value,
        "was_unknown": found.was_unknown,
        "learn_time": now,
    }
    return {**outcome, "hop": choice.hop} if choice.hop else outcome


async def standing_of(
    connection: AsyncConnection, learned: int, now: datetime, subject: Subject = Subject.CORRIDOR
) -> Standing:
    """The step of a subject that counts and the evidence since it began, of its window at most."""
    last = await store.last_step(connection, subject)
    since = now - EVIDENCE_WINDOWS[subject]
    step = Step.SHADOW
    if last is not None:
        step, since = Step(last.step), max(since, last.step_time)
    if subject is Subject.RETRY_TIME:
        arms = await count_retry_arms(connection, since)
    else:
        arms = await store.count_arms(connection, since)
    return Standing(step, since, Evidence(arms[Arm.RULES], arms[Arm.ROUTED], learned))


def region_gap(rows: Sequence[Any]) -> float:
    """The best region's success less the worst one's, of routed payments, by rows of a report."""
    counts: dict[str, tuple[int, int]] = {}
    for row in rows:
        if row.arm == Arm.ROUTED:
            judged, approved = counts.get(row.region, (0, 0))
            counts[row.region] = judged + row.judged, approved + row.approved
    shares = [a / judged for judged, a in counts.values() if judged >= MIN_ARM_OUTCOMES]
    return max(shares) - min(shares) if len(shares) > 1 else 0.0

"""What this process knows of the newest model and of the steps that are allowed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.limits import LIMITS
from gateway.routing.codec import DamagedError, load_named
from gateway.routing.state import RoutingState, StateError
from gateway.routing_service import store, telemetry
from gateway.routing_service.steps import Step, Subject
from gateway.routing_service.telemetry import FallBack
from gateway.routing_service.terms import SPACE
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

# A model is stale when the learner was not up to date for so long. One of which a clock that was
# ahead says that it will be is no fresher: nobody would notice that the learner has stopped.
STALE_AFTER = timedelta(minutes=2)

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Known:
    """A model in force."""

    version: str
    state: RoutingState
    round_time: datetime

    @property
    def trained_version(self) -> str:
        """The trained model that it goes on from; empty for none."""
        return self.state.prior.version if self.state.prior is not None else ""


class ModelBoard:
    """Follows the database. While that is down, what was known last counts until it is stale."""

    def __init__(
        self, engine: AsyncEngine, clock: Clock, rest_seconds: float = LIMITS.routing_rest_seconds
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._rest_seconds = rest_seconds
        self._unusable = ""
        self._damaged = False
        self.known: Known | None = None
        self.steps = dict.fromkeys(Subject, Step.SHADOW)

    def problem(self) -> FallBack | None:
        """Why nothing can be decided by the model; None if it can."""
        if self.known is None:
            return FallBack.DAMAGED if self._damaged else FallBack.NO_MODEL
        if abs(self._clock.now() - self.known.round_time) > STALE_AFTER:
            return FallBack.STALE
        return None

    async def refresh(self) -> None:
        """Reads what is new. Raises `SQLAlchemyError` if the database does not answer."""
        async with self._engine.connect() as connection:
            steps = {each: await store.last_step(connection, each) for each in Subject}
            learner = await store.learner(connection)
            raw: bytes | None = None
            known = self.known
            if learner is not None and (known is None or known.version != learner.model_version):
                raw = await store.model_state(connection, learner.model_version)
        for subject, row in steps.items():
            self.steps[subject] = Step(row.step) if row is not None else Step.SHADOW
            telemetry.tell_step(subject, self.steps[subject])
        if learner is None:
            self.known = None
            return
        telemetry.ROUND_TIME.set(learner.round_time.timestamp())
        if raw is None:
            assert known is not None, "what was not read is known"
            self.known = Known(known.version, known.state, learner.round_time)
            return
        damaged = False
        try:
            state = load_named(raw, learner.model_version, SPACE)
            self.known = Known(learner.model_version, state, learner.round_time)
        except StateError as error:
            # Of a release with other features, whose learner writes another one or is gone; or
            # its bytes are not those that it is named by, and nobody knows what it would decide.
            damaged = isinstance(error, DamagedError)
            self.known = None
            version = learner.model_version
            if self._unusable != version:
                self._unusable = version
                log.warning("routing_model_unusable", version=version, reason=str(error))
        self._damaged = damaged
        telemetry.MODEL_DAMAGED.set(damaged)

    def loop(self) -> Loop:
        """Follows the database; the first look was at the start."""
        return Loop("routing model", self._round, poll_seconds=self._rest_seconds, rests_first=True)

    async def _round(self) -> bool:
        await self.refresh()
        return False

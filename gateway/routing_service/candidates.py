"""Trained models: made by a job beside the gateway, kept, and put in force by operators' steps."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.routing.codec import content_hash, load, trained_on
from gateway.routing.state import StateError
from gateway.routing.training import CODE
from gateway.routing_service import decision_feed, store
from gateway.routing_service.decision_feed import DecisionFeed
from gateway.routing_service.errors import (
    candidate_not_in_force,
    candidate_unreadable,
    model_damaged,
    training_refused,
)
from gateway.routing_service.learner import CODE_VERSION
from gateway.routing_service.steps import Mode, Step
from gateway.routing_service.terms import SPACE
from gateway.routing_service.trainer import START, Asked
from gateway.routing_service.training_store import add_training, trainings
from gateway.stripe_client.failover import Terms
from runtime.command_line import engine_version

WINDOW_OPEN = "WINDOW_OPEN"
"""The window's end is to come: the same window would give another model later."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """The bytes of a candidate, and how much went into it."""

    raw: bytes
    learned: int
    truncated: bool


class Trainings:
    """Trains models by another process (trainer.py)."""

    def __init__(self, feed: DecisionFeed, corridors: Collection[str]) -> None:
        self._feed = feed
        self._corridors = tuple(sorted(corridors))

    async def train(self, start: datetime, end: datetime, now: datetime) -> TrainedModel:
        """A model of the decisions of a window. Raises ROUTING_TRAINING_REFUSED, ReaderGoneError,
        and `SQLAlchemyError` if the database does not answer."""
        if end > now:
            until = f"{(end - now).total_seconds():.0f} s"
            raise training_refused(WINDOW_OPEN, f"the window ends in {until} only")
        asked = Asked(
            start.timestamp(),
            end.timestamp(),
            self._corridors,
            f"payment-engine {engine_version()}, {CODE_VERSION}, {CODE}",
        )
        window = decision_feed.Window(start, end, decision_feed.MAX_DECISIONS)
        answer = await self._feed.ask(START, asked.to_line(), window)
        if not answer.said["model"]:
            raise training_refused(answer.said["problem"], answer.said["sentence"])
        return TrainedModel(answer.said["model"].encode(), answer.said["learned"], answer.truncated)


def choosable(terms: Iterable[Terms]) -> Collection[str]:
    """The corridors that routing chooses among: those that fail over, and where to."""
    return {
        name for each in terms if each.failover_to for name in (each.corridor, *each.failover_to)
    }


async def keep(connection: AsyncConnection, model: TrainedModel, client: str, now: datetime) -> str:
    """Writes a candidate down, unless it is there; its version."""
    version = content_hash(model.raw)
    provenance = trained_on(model.raw)
    assert provenance is not None, "it was trained"
    code_version = provenance["code_version"]
    await store.add_model(connection, version, model.raw, model.learned, code_version, now)
    await add_training(connection, version, provenance, client, now, truncated=model.truncated)
    return version


async def to_be_put_in_force(
    connection: AsyncConnection,
    version: str,
    in_force: str,
    *,
    mode: Mode,
    step: Step,
    present: Step,
) -> Row[Any] | None:
    """The trained model of this version, if a step is to put it in force: where it is neither in
    force nor what the model in force goes on from. None for all others.

    It begins on the ladder as all do: raises ROUTING_STEP_INVALID above SHADOW, where what live
    payments show is of another model, and ROUTING_MODEL_DAMAGED.
    """
    if version == in_force or version not in await trainings(connection, [version]):
        return None
    if await goes_on_from(connection, in_force) == version:
        return None
    if present is not Step.SHADOW:
        raise candidate_not_in_force(mode, step, present)
    # It will decide: what cannot be read must not be promoted.
    raw = await sound_state(connection, version)
    try:
        load(raw, SPACE)
    except StateError as error:
        raise candidate_unreadable(mode, step, present, str(error)) from error
    return await store.find_model(connection, version)


async def sound_state(connection: AsyncConnection, version: str) -> bytes:
    """The bytes of a model that is kept. Raises ROUTING_MODEL_DAMAGED."""
    raw = await store.model_state(connection, version)
    if content_hash(raw) != version:
        raise model_damaged(version)
    return raw


async def goes_on_from(connection: AsyncConnection, version: str) -> str:
    """The trained model that a model was learnt on from; empty if there is none, or if this release
    cannot read it."""
    try:
        prior = load(await store.model_state(connection, version), SPACE).prior
    except StateError:
        return ""
    return prior.version if prior is not None else ""

"""Learns of runs of scheduled queries, by events and by walks over Stripe's list, and fetches the
files with their results."""

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import IO, Any, BinaryIO, cast

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.sigma import store, telemetry
from gateway.sigma.run import (
    MAX_FILE_BYTES,
    Fetched,
    File,
    FileState,
    Problem,
    Run,
    SigmaState,
    UnreadableRunError,
    after_failure,
    file_of,
    kept,
    read_run,
)
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass
from gateway.webhooks_in.event import EventHandler, PoisonEventError, StripeEvent, object_of
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock
from runtime.csv_tables import NotATableError, read_table
from runtime.logs import get_logger
from runtime.loops import Loop

POLL_SECONDS = 5.0
# The most that Stripe puts on a page.
PAGE_SIZE = 100
# Files that a round fetches, and deletes.
MAX_FETCHES, MAX_DISCARDS = 4, 20
# Until Stripe, which did not answer, is asked again.
AWAY = timedelta(minutes=1)
# So far a walk goes back behind the beginning of the one before: a run is listed once it has ended.
OVERLAP = timedelta(days=1)
# What is smaller stays in memory.
MEMORY_BYTES = 4 * 1024 * 1024
EVENT_TYPE = "sigma.scheduled_query_run.created"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaTimes:
    """How often the lists are walked, and for how long files are kept."""

    walk: timedelta
    keep: timedelta


class SigmaEvents:
    """The handler of events about runs."""

    def __init__(self, engine: AsyncEngine, stripe_client: StripeClient, clock: Clock) -> None:
        self._engine = engine
        self._stripe = stripe_client.sigma
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that are dealt with; those of connected accounts are not."""
        return of_the_platform({EVENT_TYPE: self.run_ended})

    async def run_ended(self, event: StripeEvent) -> None:
        """A run has ended, well or not: it is read and written down."""
        outcome = await self._stripe.retrieve_run(event.corridor, event.object_id)
        try:
            run = read_run(object_of(outcome))
        except UnreadableRunError as error:
            telemetry.UNREADABLE.labels(event.corridor).inc()
            raise PoisonEventError(f"SIGMA_RUN_UNREADABLE: {error}") from error
        await learn(self._engine, event.corridor, [run], self._clock.now())


class SigmaRuns:
    """Walks over Stripe's lists, fetches files, and deletes those that were kept long enough."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        times: SigmaTimes,
        clock: Clock,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._engine = engine
        self._corridors = stripe_client.corridors
        self._stripe = stripe_client
        self._times = times
        self._clock = clock
        self._max_bytes = max_bytes
        telemetry.INTERVAL_SECONDS.set(times.walk.total_seconds())
        for corridor in self._corridors:
            telemetry.corridor_known(corridor)

    def loop(self) -> Loop:
        """One process of all does it."""
        return Loop("sigma", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Walks a page, fetches some files and deletes some; whether there may be more."""
        walked = await self._walk()
        fetched = await self._fetch()
        discarded = await self._discard()
        await self._tell()
        return walked or fetched or discarded

    async def _walk(self) -> bool:
        """Takes the walk that is due longest a page further; False if none is."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            walk = await store.due_walk(connection, self._corridors, now)
        if walk is None:
            return False
        params: dict[str, Any] = {"limit": PAGE_SIZE}
        if walk.after_id:
            params["starting_after"] = walk.after_id
        outcome = await self._stripe.sigma.list_runs(walk.corridor, params)
        if not outcome.succeeded or outcome.object is None:
            await self._put_off(walk, outcome)
            return True
        page = outcome.object["data"]
        runs = _readable(walk.corridor, page)
        # What was there before anything was known of it is no news.
        await learn(self._engine, walk.corridor, runs, now, is_news=walk.since is not None)
        begin = walk.begin_time or now
        is_behind = walk.since is not None and any(run.create_time < walk.since for run in runs)
        values: dict[str, object]
        if page and outcome.object["has_more"] and not is_behind:
            values = {"after_id": str(page[-1]["id"]), "begin_time": begin}
        else:
            values = {
                "after_id": "",
                "begin_time": None,
                "since": begin - OVERLAP,
                "next_time": now + self._times.walk,
                "finish_time": now,
            }
        async with self._engine.begin() as connection:
            await store.write_walk(connection, walk, **values)
        return True

    async def _put_off(self, walk: Row[Any], outcome: Outcome) -> None:
        log.warning("sigma_walk_stopped", corridor=walk.corridor, reason=_reason(outcome))
        values: dict[str, object] = {"next_time": self._clock.now() + (outcome.retry_after or AWAY)}
        if outcome.outcome_class is OutcomeClass.REJECTED:
            # Perhaps Stripe has the last one of the page before no longer: begins again.
            values["after_id"] = ""
        async with self._engine.begin() as connection:
            await store.write_walk(connection, walk, **values)

    async def _fetch(self) -> bool:
        async with self._engine.connect() as connection:
            due = await store.due(connection, self._clock.now(), MAX_FETCHES)
        for run in due:
            if run.corridor in self._corridors:
                await self._fetch_file(run)
            else:
                # A corridor that is not configured any more, or not yet.
                await self._write(run, file_of(run.content), self._clock.now() + self._times.walk)
        return len(due) == MAX_FETCHES

    async def _fetch_file(self, run: Row[Any]) -> None:
        file = file_of(run.content)
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as into:
            outcome = await self._stripe.reports.read_file(
                run.corridor, run.stripe_file_id, cast("BinaryIO", into), self._max_bytes
            )
            if outcome.outcome_class in (OutcomeClass.NOT_SENT, OutcomeClass.UNKNOWN):
                log.warning("sigma_file_not_told", corridor=run.corridor, reason=_reason(outcome))
                pause = outcome.retry_after or AWAY
                await self._write(run, file, self._clock.now() + pause)
            elif not outcome.succeeded or outcome.object is None:
                await self._fail(run, file, _reason(outcome))
            elif outcome.object.get("too_large"):
                await self._refuse(run, file, Problem.TOO_LARGE)
            elif outcome.object["size"] != file.size_bytes:
                await self._fail(run, file, Problem.SIZE_DIFFERS.value)
            else:
                await self._check_and_keep(run, file, into)

    async def _check_and_keep(self, run: Row[Any], file: File, content: IO[bytes]) -> None:
        try:
            fetched = await asyncio.to_thread(counted, content)
        except NotATableError as error:
            log.error("sigma_file_not_a_table", run_id=run.id, expected=str(error))
            await self._refuse(run, file, Problem.NOT_A_TABLE)
            return
        now = self._clock.now()
        async with self._engine.begin() as connection:
            if not await store.write(
                connection, run, kept(file, fetched, now), next_look_time=None
            ):
                return
            await store.add_parts(connection, run, content)
        telemetry.FILES.labels(run.corridor, FileState.KEPT.value).inc()
        log.info("sigma_file_kept", corridor=run.corridor, run_id=run.id, rows=fetched.row_count)

    async def _refuse(self, run: Row[Any], file: File, problem: Problem) -> None:
        refused = replace(file, state=FileState.REFUSED, problem=problem.value)
        await self._end(run, refused, None)

    async def _fail(self, run: Row[Any], file: File, problem: str) -> None:
        """It could not be fetched as it has to be: again later, as long as Stripe has it."""
        now = self._clock.now()
        await self._end(run, *after_failure(file, run.attempt, problem, now, run.available_until))

    async def _end(self, run: Row[Any], file: File, next_look: datetime | None) -> None:
        result = telemetry.TRIED_AGAIN if file.state is FileState.WANTED else file.state.value
        telemetry.FILES.labels(run.corridor, result).inc()
        log.warning(
            "sigma_file_not_kept",
            corridor=run.corridor,
            run_id=run.id,
            file_state=file.state.value,
            problem=file.problem,
        )
        await self._write(run, file, next_look, attempt=run.attempt + 1)

    async def _write(
        self, run: Row[Any], file: File, next_look: datetime | None, **values: object
    ) -> None:
        async with self._engine.begin() as connection:
            await store.write(connection, run, file, next_look_time=next_look, **values)

    async def _discard(self) -> bool:
        """Deletes the bytes of files that were kept for as long as files are."""
        until = self._clock.now() - self._times.keep
        async with self._engine.begin() as connection:
            old = await store.kept_before(connection, until, MAX_DISCARDS)
            for run in old:
                file = replace(file_of(run.content), state=FileState.DISCARDED)
                if await store.write(connection, run, file):
                    await store.delete_parts(connection, run)
        return len(old) == MAX_DISCARDS

    async def _tell(self) -> None:
        async with self._engine.connect() as connection:
            oldest = await store.oldest_wanted(connection)
            walks = await store.walks(connection, self._corridors)
        waited = 0.0 if oldest is None else (self._clock.now() - oldest).total_seconds()
        telemetry.OLDEST_WANTED_SECONDS.set(max(waited, 0.0))
        for walk in walks:
            time = walk.finish_time or walk.create_time
            telemetry.LAST_WALK.labels(walk.corridor).set(time.timestamp())


async def learn(
    engine: AsyncEngine, corridor: str, runs: Sequence[Run], now: datetime, *, is_news: bool = True
) -> None:
    """Writes down runs that were not known, and tells operators of them if they are news."""
    async with engine.begin() as connection:
        new = frozenset(await store.add(connection, corridor, runs, now))
    for run in runs:
        if run.id not in new or not is_news:
            continue
        telemetry.RUNS.labels(corridor, run.state.value).inc()
        file = run.file(now)
        if file.state in (FileState.LOST, FileState.REFUSED):
            telemetry.FILES.labels(corridor, file.state.value).inc()
        if run.state is not SigmaState.COMPLETED:
            log.error("sigma_run_failed", corridor=corridor, run_id=run.id, state=run.state.value)


def counted(content: IO[bytes]) -> Fetched:
    """What a file hashes to and has, if it is a table. Raises NotATableError."""
    content.seek(0)
    digest = hashlib.sha256()
    while piece := content.read(store.PART_BYTES):
        digest.update(piece)
    size = content.tell()
    content.seek(0)
    headings, rows = read_table(content)
    return Fetched(size, digest.hexdigest(), sum(1 for _ in rows), len(headings))


def _readable(corridor: str, page: Sequence[Mapping[str, Any]]) -> Sequence[Run]:
    """The runs of a page; one that cannot be read does not hold up the others."""
    runs = []
    for told in page:
        try:
            runs.append(read_run(told))
        except UnreadableRunError as error:
            telemetry.UNREADABLE.labels(corridor).inc()
            run_id = str(told.get("id"))
            log.error("sigma_run_unreadable", corridor=corridor, run_id=run_id, field=str(error))
    return runs


def _reason(outcome: Outcome) -> str:
    told = outcome.failure.reason if outcome.failure is not None else ""
    return str(outcome.not_sent_reason or told or outcome.outcome_class)

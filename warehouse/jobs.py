"""What the command does: a job for each source, once or for as long as it follows them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runtime.clock import Clock
from runtime.command_failures import CommandError
from runtime.progress import Progress
from warehouse.facts.decisions import DecisionLoader
from warehouse.facts.feeds import FeedReader
from warehouse.facts.gateway_feeds import PaymentFeed
from warehouse.facts.lists import ListWalker
from warehouse.facts.sink import FactSink
from warehouse.files.report_loader import ReportLoader
from warehouse.loader import HistoryError, Loader
from warehouse.sink import AnotherLoadError, LoadRefusedError

EQUAL, STOPPED, CANNOT, REFUSED = 0, 1, 2, 3
# The worst comes first: what the command says if its jobs differ.
BY_SEVERITY = (REFUSED, CANNOT, STOPPED, EQUAL)
# Payments that are asked about and written together.
PAYMENTS_PER_BATCH = 500
AGAIN = "; run the same command again to go on"

Lines = AsyncGenerator[str, None]


class Job(Protocol):
    """One source. What it cannot do it raises, as `attempt` knows it."""

    @property
    def name(self) -> str:
        """What the source is called."""

    async def load(self) -> str:
        """Loads what there is; what to say of it."""

    def follow(self) -> Lines:
        """Goes on for good, and says what came."""


@dataclass(frozen=True)
class LedgerJob:
    """The log of a ledger, proven equal."""

    name: str
    loader: Loader
    sink: FactSink
    seconds: float

    async def load(self) -> str:
        begun = self.sink.clock.now()
        through = await self.loader.run()
        await asyncio.to_thread(self.sink.complete, f"ledger {self.name}", begun)
        return f"{self.name}: equal to the ledger up to transaction {through:,}"

    async def follow(self) -> Lines:
        while True:
            yield await self.load()
            await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class FeedJob:
    """A feed, which is followed without a pause."""

    name: str
    reader: FeedReader
    sink: FactSink
    # Payments that are asked about while the feed is quiet, and how often that is.
    payments: PaymentFeed | None
    seconds: float

    async def load(self) -> str:
        await self.reader.catch_up()
        await self._ask()
        return self._line()

    async def follow(self) -> Lines:
        asked = asyncio.get_running_loop().time()
        async with aclosing(self.reader.follow()) as rounds:
            async for is_quiet in rounds:
                now = asyncio.get_running_loop().time()
                if not is_quiet:
                    yield self._line()
                elif now - asked >= self.seconds:
                    asked = now
                    await self._ask()

    async def _ask(self) -> None:
        """Asks about payments of which something has not ended."""
        if self.payments is None:
            return
        rows = await asyncio.to_thread(self.sink.read, "unfinished_payments", {})
        place = self.reader.read.position.place
        ids = [payment_id for (payment_id,) in rows]
        for begin in range(0, len(ids), PAYMENTS_PER_BATCH):
            some = ids[begin : begin + PAYMENTS_PER_BATCH]
            await self.reader.take(await self.payments.batch_of_payments(some, place))

    def _line(self) -> str:
        read = self.reader.read
        sequence = read.position.place.sequence
        waited = waited_text(self.sink.clock.now(), read.news_time)
        return f"{self.name}: up to change {sequence:,}, {read.row_count:,} new rows{waited}"


@dataclass(frozen=True)
class ListJob:
    """A list, which is walked again and again."""

    name: str
    walker: ListWalker
    seconds: float

    async def load(self) -> str:
        walked = await self.walker.walk()
        return f"{self.name}: {walked.listed:,} listed, {walked.row_count:,} new rows"

    async def follow(self) -> Lines:
        while True:
            yield await self.load()
            await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class DecisionJob:
    """The decision log."""

    name: str
    loader: DecisionLoader
    clock: Clock
    seconds: float

    async def load(self) -> str:
        loaded = await self.loader.load()
        sequence = loaded.position.place.sequence
        waited = waited_text(self.clock.now(), loaded.news_time)
        return f"{self.name}: up to decision {sequence:,}, {loaded.row_count:,} new rows{waited}"

    async def follow(self) -> Lines:
        while True:
            yield await self.load()
            await asyncio.sleep(self.seconds)


@dataclass(frozen=True)
class ReportJob:
    """Files of reports."""

    name: str
    loader: ReportLoader
    clock: Clock
    seconds: float

    async def load(self) -> str:
        loaded = await self.loader.load()
        waited = waited_text(self.clock.now(), loaded.news_time)
        missing = f", {loaded.missing:,} cannot be had" if loaded.missing else ""
        return (
            f"{self.name}: {loaded.listed:,} listed, {loaded.loaded:,} loaded with"
            f" {loaded.row_count:,} rows{missing}{waited}"
        )

    async def follow(self) -> Lines:
        while True:
            yield await self.load()
            await asyncio.sleep(self.seconds)


def waited_text(now: datetime, news_time: datetime | None) -> str:
    """How long the oldest of what came last had been news."""
    if news_time is None:
        return ""
    return f", {max((now - news_time).total_seconds(), 0.0):,.1f} s behind"


class Runner:
    """Runs jobs and says what comes of them."""

    def __init__(self, progress: Progress, prepare: Callable[[], None]) -> None:
        """`prepare` makes the tables and views of the warehouse."""
        self._progress = progress
        self._prepare = prepare

    async def run_once(self, jobs: Sequence[Job]) -> int:
        """The worst of what the jobs come to."""
        status = await self.prepare()
        if status != EQUAL:
            return status
        found = await asyncio.gather(*(self.attempt(job.name, self._load(job)) for job in jobs))
        return next(status for status in BY_SEVERITY if status in found)

    async def follow(self, jobs: Sequence[Job], seconds: float) -> int:
        """Ends when one of them cannot go on, with what that comes to. Passing failures are tried
        again after so many seconds."""
        status = await self._prepared(seconds)
        if status != EQUAL:
            return status
        tasks = [asyncio.ensure_future(self._follow(job, seconds)) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(status for status in BY_SEVERITY if status in {t.result() for t in done})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def prepare(self) -> int:
        """Makes the tables and views; what that comes to."""
        return await self.attempt("warehouse", asyncio.to_thread(self._prepare))

    async def attempt(self, name: str, work: Awaitable[None]) -> int:
        """What the work comes to; says why, if it is not done."""
        try:
            await work
        except (LoadRefusedError, HistoryError) as error:
            self._progress.fail(f"warehouse: {name} refused: {error}")
            return REFUSED
        except AnotherLoadError as error:
            self._progress.fail(f"warehouse: {error}{AGAIN}")
            return STOPPED
        except CommandError as error:
            self._progress.fail(f"warehouse: {error.message}{AGAIN if error.passing else ''}")
            return STOPPED if error.passing else CANNOT
        return EQUAL

    async def _prepared(self, seconds: float) -> int:
        while True:
            status = await self.prepare()
            if status != STOPPED:
                return status
            await asyncio.sleep(seconds)

    async def _load(self, job: Job) -> None:
        self._progress.say(await job.load())

    async def _follow(self, job: Job, seconds: float) -> int:
        while True:
            status = await self.attempt(job.name, self._lines(job))
            if status not in (EQUAL, STOPPED):
                return status
            await asyncio.sleep(seconds)

    async def _lines(self, job: Job) -> None:
        async with aclosing(job.follow()) as lines:
            async for line in lines:
                self._progress.say(line)

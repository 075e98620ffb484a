"""`compliance.list_load`: how long a sanctions list takes to load, and what calls notice of it.

A service holds a made-up list of 9,000 entries and 22,500 names, and some subjects. While checks of
payments and screenings of names come at a fixed rate, one entry more is published and the list is
loaded: read, indexed for every script, every subject screened, switched. Rounds with a load and
without one alternate in the same run, and the 99th percentiles are compared. At the end the longest
pause of an event loop is measured that takes such an index into use and gives an old one back.
"""

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

from bench.benchmark import Target, with_target
from bench.compliance_check_payment import checks_of_a_merchant, fixed_rate, percentile_ms
from bench.cpu import PROC, children_of
from bench.ledger_parts import started
from compliance.screening.active_lists import ActiveList, ActiveLists
from compliance.screening.building import BuilderLimits, Building
from compliance.screening.index import ScreenedPerson
from compliance.screening.sources import OFAC_SDN, SDN_CSV, ListSource
from compliance.v1 import screening_pb2, screening_service_pb2, subject_pb2, subject_service_pb2
from compliance.v1.screening_service_pb2_grpc import ScreeningServiceStub
from compliance.v1.subject_service_pb2_grpc import SubjectServiceStub
from runtime.postgres import create_engine
from sandbox.addresses import free_port
from sandbox.embedded_postgres import temporary_server

NAME = "compliance.list_load"
MAX_LOAD_SECONDS = 10.0
TARGET = Target("p99_ratio", "<=", 1.5)
SEED = 13
ENTRIES = 9_000
NAMES_PER_ENTRY = 2.5
SUBJECTS, CALLERS = 1_000, 8
CHECKS_PER_SECOND, SCREENINGS_PER_SECOND = 50, 10
ROUNDS = 4
ROUND_SECONDS = 8.0
FIRST_NUMBER = 1_000
LOAD_TIMEOUT_SECONDS = 300.0
THRESHOLD = 0.85
SAMPLE_SECONDS = 0.05
# Searches before the index is given back, so that it remembers as much as a busy one.
SEARCHES = 500

Call = Callable[[], Awaitable[Any]]


class MadeUpList:
    """Files in OFAC's format with names of few syllables; each publication has one entry more."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sdn.csv"
        self._random = random.Random(SEED)
        onsets = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "r", "s", "t", "v", "z", "sh", "kh"]
        rimes = ["a", "e", "i", "o", "u", "an", "ar", "in", "ol", "ur"]
        self._syllables = ["".join(pair) for pair in itertools.product(onsets, rimes)]
        self._lines: dict[str, list[str]] = {"sdn.csv": [], "alt.csv": [], "add.csv": []}
        for _ in range(ENTRIES):
            self._add()
        self._write()

    def publish(self) -> None:
        self._add()
        self._write()

    def name(self, *, is_person: bool) -> str:
        words = [self._word() for _ in range(self._random.randint(2, 3))]
        return f"{words[0].upper()}, {' '.join(words[1:])}" if is_person else " ".join(words)

    def _word(self) -> str:
        count = self._random.randint(2, 4)
        return "".join(self._random.choice(self._syllables) for _ in range(count)).capitalize()

    def _add(self) -> None:
        number = FIRST_NUMBER + len(self._lines["sdn.csv"])
        is_person = number % 2 == 0
        null = "-0- "
        weak = f"; a.k.a. '{self._word().upper()}'" if number % 20 == 0 else ""
        born = f'"DOB {1940 + number % 60}{weak}."'
        kind, remark = ("individual", born) if is_person else (null, null)
        self._lines["sdn.csv"].append(
            f'{number},"{self.name(is_person=is_person)}",{kind},"MADE-UP",'
            + f"{null}," * 7
            + remark
        )
        for alias in range(self._random.choice([1, 2]) if number % 2 else 1):
            text = self.name(is_person=is_person)
            self._lines["alt.csv"].append(f'{number},{alias},"aka","{text}",{null}')
        self._lines["add.csv"].append(f'{number},1,{null},{null},"Cuba",{null}')

    def _write(self) -> None:
        for name, lines in self._lines.items():
            new = self.file.with_name(f"{name}.new")
            new.write_text("\r\n".join(lines) + "\r\n\x1a")
            new.replace(self.file.with_name(name))


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is what a load may take, `ratio` the share of it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        made_up = MadeUpList(folder)
        postgres = await asyncio.to_thread(stack.enter_context, temporary_server(durable=True))
        url = await asyncio.to_thread(postgres.database_url, "compliance_bench")
        port = free_port()
        environment = {
            "ENV": "sandbox",
            "LOG_LEVEL": "WARNING",
            "COMPLIANCE_DATABASE_URL": url,
            "COMPLIANCE_LISTEN_ADDRESS": f"127.0.0.1:{port}",
            "COMPLIANCE_HTTP_ADDRESS": f"127.0.0.1:{free_port()}",
            "COMPLIANCE_GATEWAY_ADDRESS": "",
            "COMPLIANCE_SDN_FILE": str(made_up.file),
            "COMPLIANCE_LIST_INTERVAL_SECONDS": "100000",
        }
        channel, process_id = await stack.enter_async_context(
            started(port, environment, "compliance")
        )
        check = await checks_of_a_merchant(channel, url)
        await _subjects(channel, made_up)
        screen = _screenings(channel, made_up)
        found = await _rounds(channel, check, screen, made_up, process_id)
        pause = await _longest_pause(url, made_up)
    seconds = statistics.median(found["loads"])
    ratios = [
        found[f"{kind}_loading_p99_ms"] / found[f"{kind}_p99_ms"] for kind in ("check", "screening")
    ]
    line = {
        "name": NAME,
        "value": round(seconds, 2),
        "unit": "s",
        "limit": MAX_LOAD_SECONDS,
        "limit_name": "what a load may take",
        "ratio": round(seconds / MAX_LOAD_SECONDS, 3),
        "p99_ratio": round(max(ratios), 2),
        "entries": ENTRIES,
        "subjects": SUBJECTS,
        **{key: value for key, value in found.items() if key != "loads"},
        **pause,
    }
    return with_target(line, TARGET)


async def _rounds(
    channel: grpc.aio.Channel, check: Call, screen: Call, made_up: MadeUpList, process_id: int
) -> dict[str, Any]:
    stub = ScreeningServiceStub(channel)
    latencies: dict[str, list[float]] = {}
    loads = []

    async def load() -> None:
        made_up.publish()
        begun = time.perf_counter()
        loaded = await stub.LoadSanctionsList(
            screening_service_pb2.LoadSanctionsListRequest(
                list=screening_pb2.SANCTIONS_LIST_OFAC_SDN
            ),
            timeout=LOAD_TIMEOUT_SECONDS,
        )
        assert (loaded.changed, loaded.version.added_count) == (True, 1), loaded
        loads.append(time.perf_counter() - begun)

    memory_before = memory_mb(process_id)
    async with watched_builders(process_id) as builders:
        for number in range(2 * ROUNDS):
            suffix = "_loading" if number % 2 else ""
            loading = asyncio.create_task(load()) if suffix else None
            # A load that takes longer than a round is measured to its end.
            measured = loading or asyncio.create_task(asyncio.sleep(ROUND_SECONDS))
            checked, screened = await _while(measured, check, screen)
            await measured
            latencies.setdefault(f"check{suffix}", []).extend(checked)
            latencies.setdefault(f"screening{suffix}", []).extend(screened)
    return {
        "loads": loads,
        **{f"{name}_p50_ms": percentile_ms(found, 50) for name, found in latencies.items()},
        **{f"{name}_p99_ms": percentile_ms(found, 99) for name, found in latencies.items()},
        "service_mb_before": memory_before,
        "service_mb": memory_mb(process_id),
        "builder_mb": max(builders, default=0.0),
    }


async def _while(
    measured: "asyncio.Task[None]", check: Call, screen: Call
) -> tuple[list[float], list[float]]:
    """Latencies of checks and of screenings until something is over."""

    def is_over(_number: int) -> bool:
        return measured.done()

    return await asyncio.gather(
        fixed_rate(check, CHECKS_PER_SECOND, is_over),
        fixed_rate(screen, SCREENINGS_PER_SECOND, is_over),
    )


def _screenings(channel: grpc.aio.Channel, made_up: MadeUpList) -> Call:
    stub = ScreeningServiceStub(channel)
    names = [made_up.name(is_person=number % 2 == 0) for number in range(SEARCHES)]
    numbers = itertools.cycle(range(SEARCHES))

    async def screen() -> None:
        number = next(numbers)
        await stub.ScreenName(
            screening_service_pb2.ScreenNameRequest(
                screened_name=screening_pb2.ScreenedName(
                    name=names[number],
                    entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL
                    if number % 2 == 0
                    else subject_pb2.ENTITY_KIND_ORGANIZATION,
                )
            )
        )

    return screen


async def _subjects(channel: grpc.aio.Channel, made_up: MadeUpList) -> None:
    stub = SubjectServiceStub(channel)
    numbers = iter(range(SUBJECTS))

    async def caller() -> None:
        for number in numbers:
            await stub.CreateSubject(
                subject_service_pb2.CreateSubjectRequest(
                    request_id=f"bench-subject-{number}",
                    kind=subject_pb2.SUBJECT_KIND_CUSTOMER,
                    profile=subject_pb2.SubjectProfile(
                        legal_name=made_up.name(is_person=True),
                        entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL,
                    ),
                )
            )

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(caller())


async def _longest_pause(url: str, made_up: MadeUpList) -> dict[str, float]:
    """In milliseconds, of a loop that only counts the time while it changes to another index."""
    engine = create_engine(url, role="compliance_service", pool_size=1, application_name="bench")
    building = Building(BuilderLimits())
    lists = ActiveLists(engine, (OFAC_SDN,), THRESHOLD, building)
    await lists.refresh()
    active = lists.get(OFAC_SDN)
    assert active is not None
    for number in range(SEARCHES):
        name = made_up.name(is_person=number % 2 == 0)
        active.index.search(ScreenedPerson((name,), None, "", ""), THRESHOLD)
    source = ListSource(OFAC_SDN, made_up.file, SDN_CSV, is_fetched=False)
    gaps: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    async with building.builder() as builder:
        await builder.start(_nothing(), source)
        await builder.comparison()
        async for _ in builder.new_rows():
            pass
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(SAMPLE_SECONDS)
        idle = max(gaps)
        gaps.clear()
        index = await builder.index()
        await lists.replace(ActiveList(OFAC_SDN, active.version + 1, index))
        del active
        await asyncio.sleep(SAMPLE_SECONDS)
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
    await engine.dispose()
    return {
        "swap_pause_ms": round(1000 * max(gaps), 2),
        "idle_pause_ms": round(1000 * idle, 2),
        "index_mb": round(index.size / 1e6, 1),
    }


async def _nothing() -> AsyncIterator[str]:
    """The pages of a version without entries."""
    pages: tuple[str, ...] = ()
    for page in pages:
        yield page


@asynccontextmanager
async def watched_builders(process_id: int) -> AsyncIterator[list[float]]:
    """The most memory, in MB, that a child of the service was seen to have."""
    seen: list[float] = []

    async def watch() -> None:
        while True:
            for child in children_of(process_id):
                with suppress(FileNotFoundError, ProcessLookupError):
                    seen.append(memory_mb(child))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def memory_mb(process_id: int) -> float:
    """What a process has of the machine's memory, of its own and of shared files; 0 if unknown."""
    status = PROC / str(process_id) / "status"
    if not status.exists():
        return 0.0
    for line in status.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0

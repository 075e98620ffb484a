"""The process that builds a list's index: what it hands over, and what ends it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from compliance.config import BUNDLED_SDN_FILE
from compliance.screening.building import Builder, BuilderLimits, Building, ListBuildError
from compliance.screening.entries import BrokenListError
from compliance.screening.index import ScreenedPerson
from compliance.screening.sources import OFAC_SDN, SDN_CSV, ListSource

SOURCE = ListSource(OFAC_SDN, BUNDLED_SDN_FILE, SDN_CSV, is_fetched=False)
LISTED = ScreenedPerson(("Quolimar Zentrave",), True, "", "")
OTHER = ScreenedPerson(("Erika Wohlbekannt",), True, "", "")
THRESHOLD = 0.85
# Long enough for any machine, and never waited for.
LONG_SECONDS = 60.0
MAX_POLLS, POLL_SECONDS = 1_000, 0.01


async def pages(*entries: Sequence[object]) -> AsyncIterator[str]:
    for page in entries:
        yield json.dumps(page)


def building(**limits: float | int) -> Building:
    return Building(BuilderLimits(**{"seconds": LONG_SECONDS, **limits}))  # type: ignore[arg-type]


def is_there(process_id: int) -> bool:
    return Path(f"/proc/{process_id}").exists()


async def load(builder: Builder, source: ListSource = SOURCE) -> list[object]:
    await builder.start(pages(), source)
    await builder.comparison()
    return [row async for rows in builder.new_rows() for row in json.loads(rows)]


async def test_it_hands_over_what_is_new_and_an_index_that_outlives_it() -> None:
    async with building().builder() as builder:
        rows = await load(builder)
        assert len(rows) == 8
        index = await builder.index()
        screened = await builder.screen(
            [(LISTED, False), (OTHER, False), (LISTED, True)], THRESHOLD
        )
    assert not is_there(builder.process_id)
    (hit,) = index.search(LISTED, THRESHOLD)
    assert [one.hits for one in screened] == [(hit,), (), (hit,)]
    assert [one.is_comparable for one in screened] == [True] * 3
    assert (len(index), hit.entry.entry_id) == (8, "900008")


async def test_only_what_is_new_or_changed_is_compared_and_handed_over() -> None:
    async with building().builder() as builder:
        rows = await load(builder)
    stored = [[row["entry_id"], row["content_hash"], row["content"]] for row in rows]  # type: ignore[index]
    stored[7][1] = "another"
    gone = ["1", "x", {**stored[0][2], "entry_id": "1"}]
    async with building().builder() as builder:
        await builder.start(pages(stored[1:4], [*stored[4:], gone]), SOURCE)
        compared, fingerprint = await builder.comparison()
        new = [row async for rows in builder.new_rows() for row in json.loads(rows)]
        assert fingerprint == SOURCE.fingerprint()
        assert (compared.entry_count, compared.added_count) == (8, 1)
        assert (compared.changed_ids, compared.removed_ids) == (("900008",), ("1",))
        assert [row["entry_id"] for row in new] == ["900001", "900008"]
        first = ScreenedPerson((stored[1][2]["names"][0]["text"],), None, "", "")
        found = await builder.screen([(first, False), (first, True), (LISTED, True)], THRESHOLD)
        assert [len(one.hits) for one in found] == [1, 0, 1]


async def test_the_index_of_stored_entries_is_built_without_a_source() -> None:
    async with building().builder() as builder:
        rows = await load(builder)
    stored = [[row["entry_id"], row["content_hash"], row["content"]] for row in rows]  # type: ignore[index]
    async with building().builder() as builder:
        await builder.start(pages(stored))
        index = await builder.index()
    assert len(index.search(LISTED, THRESHOLD)) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_crash_is_told(number: signal.Signals) -> None:
    async with building().builder() as builder:
        os.kill(builder.process_id, number)
        with pytest.raises(ListBuildError, match=rf"^it ended before it was done \(-{number}\)$"):
            await load(builder)
    assert not is_there(builder.process_id)


async def test_one_that_hangs_is_ended_at_its_limit() -> None:
    async with building(seconds=0.2).builder() as builder:
        os.kill(builder.process_id, signal.SIGSTOP)
        with pytest.raises(ListBuildError, match=r"^it took longer than 0.2 s$"):
            await load(builder)
    assert not is_there(builder.process_id)


async def test_a_page_that_takes_too_long_is_given_up() -> None:
    async with building().builder() as builder:
        await load(builder)
        await builder.index()
        os.kill(builder.process_id, signal.SIGSTOP)
        builder.limits = BuilderLimits(seconds=0.1)
        with pytest.raises(ListBuildError, match=r"^it took longer than 0.1 s$"):
            await builder.screen([(LISTED, False)], THRESHOLD)


async def test_one_that_needs_too_much_memory_says_so(tmp_path: Path) -> None:
    folder = shutil.copytree(BUNDLED_SDN_FILE.parent, tmp_path / "sdn")
    limit = 512 * 1024 * 1024
    with (folder / "sdn.csv").open("ab") as file:
        file.truncate(150 * 1024 * 1024)
    source = ListSource(OFAC_SDN, folder / "sdn.csv", SDN_CSV, is_fetched=False)
    async with building(memory_bytes=limit).builder() as builder:
        with pytest.raises(ListBuildError, match=f"^it needs more than {limit} bytes of memory$"):
            await load(builder, source)


async def test_a_broken_source_is_told_as_such(tmp_path: Path) -> None:
    source = ListSource(OFAC_SDN, tmp_path / "sdn.csv", SDN_CSV, is_fetched=False)
    async with building().builder() as builder:
        with pytest.raises(BrokenListError, match=r"^sdn.csv is missing$"):
            await load(builder, source)


async def test_what_cannot_be_read_of_the_stored_entries_is_told_without_what_it_says() -> None:
    async with building().builder() as builder:
        await builder.start(pages([["1", "x", {"names": "secret"}]]))
        with pytest.raises(ListBuildError, match=r"^ValueError at build:\d+$"):
            await builder.index()


async def test_giving_up_leaves_no_process() -> None:
    """As at the end of the service, in the middle of a load."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def never_done() -> None:
        async with building().builder() as builder:
            started.set_result(builder.process_id)
            await builder.index()

    task = asyncio.create_task(never_done())
    process_id = await started
    assert is_there(process_id)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_there(process_id)


def test_it_ends_with_a_service_that_is_killed() -> None:
    script = f"""
import asyncio, sys
from tests.compliance.test_list_builder import building
async def wait():
    async with building().builder() as builder:
        print(builder.process_id, flush=True)
        await asyncio.sleep({LONG_SECONDS})
asyncio.run(wait())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent:
        process_id = int(parent.stdout.readline())
        parent.kill()
    for _ in range(MAX_POLLS):
        if is_dead(process_id):
            return
        time.sleep(POLL_SECONDS)
    raise AssertionError("it goes on without the service")


def is_dead(process_id: int) -> bool:
    """Whether it ended and only its number is left, until whoever adopted it looks."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True

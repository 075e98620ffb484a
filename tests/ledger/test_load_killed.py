"""Imports that are killed or lose answers, and what memory they take."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.clock import ManualClock
from tests.ledger.books import BOOKS, last_sequence, leaves, transfer, write
from tests.ledger.running import (
    COMMAND_SECONDS,
    PROJECT,
    Served,
    StallingProxy,
    load,
    sealed,
    serving,
    start,
)
from tests.plugin import NewDatabase

KILLS = 4
# What answers to 3,000 items take on the wire, at least.
ANSWER_BYTES = 100_000
# What more transactions may cost in memory: nothing but noise.
MEMORY_NOISE_KIB = 12 * 1024


@pytest.fixture
async def served(url: str, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with an empty ledger."""
    async with serving(url, clock) as service:
        await service.client.create_ledger()
        yield service


@pytest.fixture
async def other(service_database: NewDatabase, clock: ManualClock) -> AsyncIterator[Served]:
    """Another one, whose ledger has the same name."""
    async with serving(service_database("ledger"), clock) as service:
        await service.client.create_ledger()
        yield service


async def test_killed_again_and_again(served: Served, other: Served, tmp_path: Path) -> None:
    """Signal 9 at random moments, with answers lost on the way, and the state lost now and then."""
    lines = [*BOOKS, *(transfer(f"t-{number}", number + 1) for number in range(3_000))]
    for line in lines[2::7]:
        line["transaction"]["entries"][0]["account"] = "nowhere"
    file = write(tmp_path / "books.jsonl", lines)
    clean = write(tmp_path / "clean.jsonl", lines)
    state = tmp_path / "books.jsonl.load-state.json"
    numbers = random.Random(1)
    seen = 0
    for _ in range(KILLS):
        proxy = StallingProxy(served.address, answers=numbers.randrange(ANSWER_BYTES))
        async with proxy.listening() as address:
            process = await start("ledger.load", file, "--address", address, "--ledger", "main")
            ended = asyncio.create_task(process.wait())
            stalled = asyncio.create_task(proxy.stalled.wait())
            await asyncio.wait(
                {ended, stalled},
                return_when=asyncio.FIRST_COMPLETED,
                timeout=COMMAND_SECONDS,
            )
            if not ended.done():
                process.kill()
            await process.communicate()
            await ended
            stalled.cancel()
        seen += state.exists()
        if numbers.random() < 0.3:
            state.unlink(missing_ok=True)
    assert seen, "some run was killed in the middle"
    ran = await load(served, file)
    assert ran.code == 1, ran.said
    assert not state.exists()
    assert (await load(other, clean)).code == 1
    rejected = (tmp_path / "books.jsonl.rejected.jsonl").read_bytes()
    assert rejected == (tmp_path / "clean.jsonl.rejected.jsonl").read_bytes()
    assert await leaves(served, tmp_path / "a") == await leaves(other, tmp_path / "b")


async def test_an_interrupted_import_says_so(served: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "books.jsonl", [*BOOKS, transfer("t-1", 1)])
    proxy = StallingProxy(served.address, answers=200)
    async with proxy.listening() as address:
        process = await start("ledger.load", file, "--address", address, "--ledger", "main")
        await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
        process.send_signal(signal.SIGINT)
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 2
    assert output.decode().splitlines()[-1] == (
        "ledger.load: interrupted; run the same command again to go on"
    )


async def test_a_lost_answer_is_asked_for_again(served: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "books.jsonl", [*BOOKS, *(transfer(f"t-{n}", 1) for n in range(3_000))])
    proxy = StallingProxy(served.address, answers=ANSWER_BYTES // 2)
    async with proxy.listening() as address:
        process = await start("ledger.load", file, "--address", address, "--ledger", "main")
        await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
        proxy.heal()
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 0, output
    assert await last_sequence(served.client) == 3_000


async def test_a_state_of_another_ledger_is_not_believed(
    served: Served, other: Served, tmp_path: Path
) -> None:
    file = write(tmp_path / "books.jsonl", [*BOOKS, *(transfer(f"t-{n}", 1) for n in range(2_500))])
    state = tmp_path / "books.jsonl.load-state.json"
    proxy = StallingProxy(served.address, answers=ANSWER_BYTES // 2)
    async with proxy.listening() as address:
        process = await start("ledger.load", file, "--address", address, "--ledger", "main")
        await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
        process.kill()
        await process.communicate()
    kept = state.read_bytes()
    ran = await load(other, file)
    assert ran.code == 0, ran.said
    assert "going on" not in ran.said
    assert await last_sequence(other.client) == 2_500
    state.write_bytes(kept)
    ran = await load(served, file)
    assert ran.code == 0, ran.said
    assert "going on after line" in ran.said
    state.write_text("{nonsense")
    assert (await load(served, file)).code == 0
    assert await last_sequence(served.client) == 2_500


async def test_memory_is_flat(served: Served, tmp_path: Path) -> None:
    """The largest amount of memory that each command ever had, for ten times as much."""
    label = {"note": "x" * 200}
    small = [*BOOKS, *(transfer(f"s-{n}", 1, metadata=label) for n in range(2_000))]
    large = [transfer(f"l-{n}", 1, metadata=label) for n in range(20_000)]
    first = await peak_kib("ledger.load", served, write(tmp_path / "small.jsonl", small))
    await sealed(served.client)
    out = await peak_kib("ledger.export", served, "--out", tmp_path / "s")
    second = await peak_kib("ledger.load", served, write(tmp_path / "large.jsonl", large))
    assert await last_sequence(served.client) == 22_000
    assert second < first + MEMORY_NOISE_KIB
    await sealed(served.client)
    assert await peak_kib("ledger.export", served, "--out", tmp_path / "l") < out + MEMORY_NOISE_KIB


async def peak_kib(module: str, served: Served, *arguments: str | Path) -> int:
    """The peak of the resident memory of a command that has to succeed."""
    # What getrusage(2) says begins with the memory of the process that forked this one.
    program = (
        "import re, runpy, sys\n"
        f"sys.argv[0] = {module!r}\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__')\n"
        "finally:\n"
        "    print(re.search('VmHWM:\\\\s+(\\\\d+)', open('/proc/self/status').read())[1])\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-c", program, *map(str, arguments)),
        *("--address", served.address, "--ledger", "main"),
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, said = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 0, said
    return int(output)

"""`make test`, `make bench` and `make chaos`, interrupted in the midst, leave nothing behind."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sandbox.polling import poll
from sandbox.processes import PROJECT

START_SECONDS = 120.0
STOP_SECONDS = 60.0
# To look through all processes of a machine takes twenty milliseconds.
LOOK_SECONDS = 0.5
# No run that somebody made has it.
CHAOS_SEED = 2**31 - 1
# Enough to have a process of each kind; what takes the time is that workers import it.
TESTED = "tests/ledger/test_killed_histories.py tests/gateway/webhooks_in/test_buffers.py"
TEST = ("test", f"ARGS=-n 2 -k 'kill or nats' {TESTED}")
BENCH = ("bench", "ONLY=ledger.unary_16")
CHAOS = ("chaos", f"SEED={CHAOS_SEED}", "PAYMENTS=2000", "KILLS=2")
# What runs when a command is in the midst of it, by parts of the processes' command lines.
SERVERS = {
    "test": ("bin/postgres", "sandbox.child", "postgres_keeper", "nats-server"),
    "bench": ("bin/postgres", "sandbox.embedded_postgres", " ledger"),
    "chaos": ("bin/postgres", "postgres_keeper", "tests.nursery"),
}

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path("/proc/self/environ").exists(),
        reason="only Linux tells children of a parent's end",
    ),
]


def ctrl_c(make: int) -> None:
    """What a terminal sends, to all in the foreground."""
    os.killpg(make, signal.SIGINT)


def stopped_as_a_group(make: int) -> None:
    os.killpg(make, signal.SIGTERM)


def only_the_child_is_told(make: int) -> None:
    """Make itself goes on, and hears of it."""
    children = Path(f"/proc/{make}/task/{make}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)


def processes_of(folder: Path) -> dict[int, str]:
    """Every process that was started with this folder for its temporary files."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # It has ended meanwhile, or is somebody else's.
            continue
        if f"TMPDIR={folder}".encode() in environment:
            found[int(entry.name)] = command
    return found


@asynccontextmanager
async def running(
    target: tuple[str, ...], folder: Path, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A make target in the midst of its work."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "MAKE", "MFLAGS")) and "DATABASE_URL" not in name
    }
    # pytest keeps the folders of its last three runs, to be looked at; elsewhere, so that what
    # would be left by others is seen.
    (tmp_path / "pytest").mkdir()
    own = {"TMPDIR": str(folder), "PYTEST_DEBUG_TEMPROOT": str(tmp_path / "pytest")}
    log = tmp_path / "make.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            # Without looking after the environment, in which this test runs.
            *("make", "--assume-old=env", *target),
            cwd=PROJECT,
            env=inherited | own,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    async def missing() -> list[str]:
        assert process.returncode is None, log.read_text()
        commands = processes_of(folder).values()
        return [part for part in SERVERS[target[0]] if not any(part in c for c in commands)]

    try:
        await poll(missing, lambda parts: not parts, START_SECONDS, interval_seconds=LOOK_SECONDS)
        yield process
    finally:
        for pid in processes_of(folder):
            os.kill(pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize(
    ("target", "interrupt"),
    [
        (TEST, ctrl_c),
        (TEST, only_the_child_is_told),
        (BENCH, ctrl_c),
        (BENCH, stopped_as_a_group),
        (CHAOS, ctrl_c),
        (CHAOS, only_the_child_is_told),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value.__name__,
)
async def test_an_interrupted_command_leaves_no_process_and_no_folder(
    target: tuple[str, ...],
    interrupt: Callable[[int], None],
    short_directory: Path,
    tmp_path: Path,
) -> None:
    folder = short_directory / "tmp"
    folder.mkdir(mode=0o711)
    try:
        async with running(target, folder, tmp_path) as make:
            interrupt(make.pid)
            async with asyncio.timeout(STOP_SECONDS):
                assert await make.wait() != 0

            async def left() -> dict[int, str]:
                return processes_of(folder)

            assert await poll(left, lambda found: not found, STOP_SECONDS) == {}
            assert list(folder.iterdir()) == []
    finally:
        # Its logs and plan stay on purpose.
        shutil.rmtree(PROJECT / "build" / "chaos" / str(CHAOS_SEED), ignore_errors=True)

"""`python -m sandbox …` as people run it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runtime.state_folder import DIRECTORY_VARIABLE
from sandbox.embedded_postgres import EmbeddedPostgres
from sandbox.polling import poll
from sandbox.processes import PROJECT
from tests.pages import block

START_SECONDS = 60.0
STOP_SECONDS = 40.0


async def sandbox(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *arguments),
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Wide enough that nothing is wrapped.
        limit=1024 * 1024,
    )


def children_of(pid: int) -> set[int]:
    """The processes that the sandbox started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def alive(pids: set[int]) -> set[int]:
    return {
        pid
        for pid in pids
        if (status := Path(f"/proc/{pid}/stat")).exists()
        and status.read_text().rpartition(")")[2].split()[0] != "Z"
    }


@asynccontextmanager
async def running_up(directory: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`sandbox up` with a database folder of its own, and what it printed when it was ready."""
    process = await sandbox("up", "--free-ports", **{DIRECTORY_VARIABLE: str(directory)})
    assert process.stdout is not None
    printed = ""
    try:
        async with asyncio.timeout(START_SECONDS):
            while "Ctrl-C stops everything" not in printed:
                line = await process.stdout.readline()
                assert line, printed
                printed += line.decode()
        yield process, printed
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # Waits until the last user of the database is gone, so that the folder can go, too.
        await asyncio.to_thread(EmbeddedPostgres(directory).stop_when_unused)


def without_figures(text: str) -> list[str]:
    """The lines without seconds, ports, ids, folders and what fills a line up."""
    for pattern, put in (
        (r"\d+\.\d s\b", "# s"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:#"),
        (r"-[0-9a-f]{8}\b", "-#"),
        (r"(?m)^(logs +)/.*$", r"\1#"),
        (r" +$", ""),
    ):
        text = re.sub(pattern, put, text, flags=re.MULTILINE)
    return [line for line in text.splitlines() if line]


async def test_the_demo_exits_0_and_shows_what_readme_has(tmp_path: Path) -> None:
    process = await sandbox("demo", COLUMNS="100")
    output, _ = await process.communicate()
    printed = without_figures(output.decode())
    assert process.returncode == 0, output.decode()
    [(command, shown)] = block("README.md", "demo").steps
    assert command == "make demo"
    expected = [line for line in without_figures(shown) if "⋮" not in line]
    assert [line for line in expected if line not in printed] == []


async def test_up_prints_commands_that_work_and_stops_on_ctrl_c(short_directory: Path) -> None:
    async with running_up(short_directory) as (process, printed):
        [(command, shown)] = block("README.md", "up").steps
        assert command == "make up"
        assert without_figures(printed) == without_figures(shown)
        commands = [line.strip() for line in printed.splitlines() if line.startswith("  ")]
        with TemporaryDirectory() as directory:
            here = Path(directory)
            (here / ".venv").symlink_to(Path(sys.executable).parent.parent)
            outputs = [
                await say(command, here, **{DIRECTORY_VARIABLE: str(short_directory)})
                for command in commands
                if not command.startswith("grpcurl ")
            ]
        assert len(outputs) == len(commands) - 1 == 7
        assert "PAYMENT_STATE_SUCCEEDED" in outputs[0]
        assert "gateway.v1.PaymentService/CreatePayment" in outputs[1]
        assert '"name": "payments"' in outputs[2]
        assert '"balance_transactions"' in outputs[3]
        assert outputs[4].startswith("{")
        assert outputs[6].startswith("OK  ledger payments: ")

        children = children_of(process.pid)
        assert len(children) >= 4
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
        assert process.returncode == 0
        assert alive(children) == set()


async def say(command: str, directory: Path, **environment: str) -> str:
    """What a command prints that somebody copies to a shell; it has to succeed."""
    shell = await asyncio.create_subprocess_shell(
        command,
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await shell.communicate()
    assert shell.returncode == 0, command
    return output.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's end")
async def test_killing_the_sandbox_leaves_nothing_behind(short_directory: Path) -> None:
    async with running_up(short_directory) as (process, _):
        children = children_of(process.pid)
        assert len(children) >= 4
        process.kill()
        await process.wait()

        async def left() -> set[int]:
            return alive(children)

        assert await poll(left, lambda pids: not pids, STOP_SECONDS) == set()


def test_certificates_are_made_by_the_command(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "sandbox", "certificates", str(tmp_path), "--name", "shop"],
        cwd=PROJECT,
        check=True,
    )
    made = {path.name for path in tmp_path.iterdir()}
    assert {"ca.crt", "gateway.crt", "gateway.key", "shop.crt", "shop.key"} <= made

"""The shell blocks of README and docs, run as they stand against a running engine, with its ports
in place of the usual ones; and of other languages what a reader would run first.

Which blocks are run elsewhere, and by which test, is in tests/pages.py.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg
import pytest

from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_pb2 import CreateLedgerRequest
from sandbox.addresses import Ports, at, free_port
from sandbox.clients import Clients
from sandbox.demo.shop import CALL_SECONDS
from sandbox.engine import Engine
from sandbox.polling import poll
from tests.pages import BLOCKS, PROJECT, SHELL_BLOCKS, Block, block, blocks_in

COMMAND_SECONDS = 60
USUAL = Ports()
# After each command of a console; no command of ours prints it.
END = "\x1e"
PLAIN = [one for one in SHELL_BLOCKS if not one.word]
SQL = [one for one in BLOCKS if one.language == "sql"]
# The page's own lines, with those before and between them that it does not show.
CASH = {"account": {"name": "assets/cash", "currency_code": "EUR"}}
HOLD = ("hold-1", "PENDING", 600)
SPEND = ("spend-1", "DIRECT", 9_999)


@dataclass(frozen=True)
class Shell:
    """A bash of the reader's, in a folder of his own with the project's environment."""

    directory: Path
    ports: Ports

    def here(self, text: str) -> str:
        """The text with the addresses of the running engine."""
        for name in Ports.__dataclass_fields__:
            text = re.sub(
                rf"\b(127\.0\.0\.1|localhost):{getattr(USUAL, name)}\b",
                rf"\1:{getattr(self.ports, name)}",
                text,
            )
        return text

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(PROJECT),
                "HOME": str(self.directory),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    async def run(self, script: str) -> str:
        """What the script prints, on both streams; it has to succeed."""
        bash = self.start("bash", "-c", f"set -euo pipefail\n{self.here(script)}")
        output, _ = await asyncio.to_thread(bash.communicate, timeout=COMMAND_SECONDS)
        assert bash.returncode == 0, output
        return output

    async def play(self, console: Block) -> None:
        """Types the commands; each prints what the page says."""
        typed = "".join(f"{command}\nprintf '{END}'\n" for command, _ in console.steps)
        bash = self.start("bash", "-c", self.here(typed))
        output, _ = await asyncio.to_thread(bash.communicate, timeout=COMMAND_SECONDS)
        printed = output.replace(str(self.directory), "/home/finance").split(END)[:-1]
        assert printed == [expected for _, expected in console.steps]


@pytest.fixture
def shell(engine: Engine, tmp_path: Path) -> Shell:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parent.parent)
    return Shell(tmp_path, engine.ports)


@pytest.mark.parametrize("plain", PLAIN, ids=str)
async def test_a_block_runs_as_it_stands(shell: Shell, plain: Block) -> None:
    assert await shell.run(plain.script)


async def sealed(engine: Engine, ledger: str, transactions: int) -> None:
    """Waits until a checkpoint covers so many."""
    async with grpc.aio.insecure_channel(at(engine.ports.ledger)) as channel:
        audit = AuditServiceStub(channel)

        async def size() -> int:
            try:
                answer = await audit.GetCheckpoint(
                    GetCheckpointRequest(ledger=ledger), timeout=CALL_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                return 0  # There is no checkpoint yet.
            return int(answer.checkpoint.tree_size)

        await poll(size, lambda found: found >= transactions)


def labels(report: str) -> list[str]:
    """What a report of the verifier says, without its figures."""
    plain = re.sub(r"(?<=ledger )\w+(?=:)|\S*[\d+]\S*", "#", report)
    return [re.sub(r"[ #]+$", "", line) for line in plain.splitlines()]


async def test_the_first_payment_and_the_books_of_readme(engine: Engine, shell: Shell) -> None:
    [program] = blocks_in("README.md", "## Use it from your code", "python")
    (shell.directory / "pay.py").write_text(shell.here(program.text))
    first = await shell.run("python pay.py")
    assert first.endswith("PAYMENT_STATE_SUCCEEDED\n")
    assert await shell.run("python pay.py") == first
    await sealed(engine, "payments", 1)
    printed = await shell.run(block("README.md", "books").script)
    [report, *_] = blocks_in("README.md", "## Books that an outsider can check", "text")
    # Before the report stands what the export says about itself; rows are one a currency.
    expected = labels(report.text)[:-1]
    told = labels(printed)
    begin = told.index(expected[0])
    assert told[begin : begin + len(expected)] == expected


async def test_books_are_imported_exported_and_audited(
    engine: Engine, clients: Clients, shell: Shell
) -> None:
    for name in ("main", "copy"):
        await clients.ledger.CreateLedger(
            CreateLedgerRequest(request_id=f"pages-{name}", name=name), timeout=CALL_SECONDS
        )
    [lines] = blocks_in("docs/export.md", "### JSON Lines", "json")
    wallet, top_up, post, undo = (json.loads(line) for line in lines.text.splitlines())
    cash = {"account": {**CASH["account"], "normal_balance": "NORMAL_BALANCE_DEBIT"}}
    hold, spend = json.loads(json.dumps(top_up)), json.loads(json.dumps(top_up))
    for line, (identity, kind, amount) in ((hold, HOLD), (spend, SPEND)):
        line["request_id"] = identity
        transaction = line["transaction"]
        if kind == "PENDING":
            transaction["pending"] = True
        for entry, direction in zip(transaction["entries"], ("CREDIT", "DEBIT"), strict=True):
            entry["direction"] = f"DIRECTION_{direction}"
            entry["amount"]["minor_units"] = str(amount)
    books = [cash, wallet, top_up, hold, post, spend, undo]
    text = [json.dumps(line) for line in books]
    (shell.directory / "books.jsonl").write_text("".join(f"{line}\n" for line in text))
    bad = [
        *text[:5],
        '{"request_id": "v-1", "void": {"pending": {"sequence": 0}}}',
        '{"request_id": "v-2", "void"; }',
    ]
    (shell.directory / "bad.jsonl").write_text("".join(f"{line}\n" for line in bad))
    await shell.play(block("docs/export.md", "import"))
    await sealed(engine, "main", 4)
    await shell.play(block("docs/export.md", "export"))

    shutil.rmtree(shell.directory / "export")
    await shell.run("python -m ledger.keys --show > ledger.pub")
    printed = labels(await shell.run(block("docs/proofs.md", "audit").script))
    [report, *_] = blocks_in("docs/proofs.md", "## Checking an export", "text")
    expected = labels(report.text)
    assert printed[-len(expected) :] == expected


async def test_the_twin_serves_by_itself(shell: Shell) -> None:
    command = block("docs/stripe-twin.md", "twin").text
    port = free_port()
    assert str(USUAL.stripe_twin) in command
    twin = shell.start(*command.replace(str(USUAL.stripe_twin), str(port)).split())
    try:
        assert twin.stdout is not None
        first = await asyncio.to_thread(twin.stdout.readline)
    finally:
        twin.terminate()
        await asyncio.to_thread(twin.communicate, timeout=COMMAND_SECONDS)
    assert first.startswith(f"Stripe twin on http://127.0.0.1:{port}, ")
    assert twin.returncode == 0


@pytest.mark.parametrize("one", SQL, ids=str)
async def test_statements_run_on_the_gateways_database(
    engine: Engine, shared_databases: dict[str, str], one: Block
) -> None:
    url = shared_databases["GATEWAY_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SET ROLE gateway_service")
        await connection.execute(one.text.encode())
        await connection.rollback()

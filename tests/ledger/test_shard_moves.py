"""Moves in the midst of what else happens: random histories, writers, and kills at each step."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.moving import Mover
from ledger.v1.audit_service_pb2 import (
    Checkpoint,
    GetCheckpointResponse,
    GetInclusionProofResponse,
)
from ledger.v1.operator_act_service_pb2 import ListOperatorActsRequest
from ledger.v1.operator_act_service_pb2_grpc import OperatorActServiceStub
from runtime.clock import ManualClock
from runtime.errors import from_rpc_error
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, credit, debit, draft, transfer
from tests.ledger.histories import ACCOUNTS, HISTORIES, Step
from tests.ledger.running import PROJECT, OpenReplica, sealed, write_history
from tests.ledger.shards import QUICK, everything_of, is_intact, moving, shards_json
from tests.plugin import NewDatabase

# Holds expire with the next commit alone, so that two services do it at the same place of the log.
NO_SWEEP = replace(QUICK, sweep_interval_seconds=3_600)
LINES = ("copied ", "main takes no changes", "equal: ", "main is read at")
COMMAND_SECONDS = 60
_numbers = itertools.count(1)


class Stopped(BaseException):
    """What stops a move in the midst, as a kill does."""


@pytest.fixture
def shards(service_database: NewDatabase, url: str) -> str:
    return shards_json(service_database, url)


@pytest.fixture
async def client(open_replica: OpenReplica, url: str, shards: str) -> LedgerClient:
    """A client of a service with three shards, without ledgers."""
    return await open_replica(url, QUICK, shards=shards)


async def play(client: LedgerClient, step: Step, number: int, now: ManualClock) -> str:
    """Does a step of a history; the reason of its refusal, if it is refused."""
    name = f"step-{number}"
    try:
        if step.name == "create":
            legs = [(debit if side == "debit" else credit)(a, n) for a, side, n in step.legs]
            more: dict[str, Any] = {}
            if step.expires_in is not None:
                more["expire_time"] = now.now() + timedelta(seconds=step.expires_in)
            await client.create(draft(*legs, pending=step.pending, **more), name)
        elif step.name == "post":
            await client.post(step.target % 8 + 1, step.amounts, name)
        elif step.name == "void":
            await client.void(step.target % 8 + 1, name)
        elif step.name == "reverse":
            await client.reverse(step.target % 8 + 1, step.amounts, name)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason
    return ""


async def begin(client: LedgerClient) -> None:
    await client.create_ledger()
    for name, account in ACCOUNTS.items():
        limits = {"max_posted_minor": account.ceiling, "min_available_minor": account.floor}
        kind = {} if account.debit_normal else {"normal": CREDIT_NORMAL}
        given = {limit: value for limit, value in limits.items() if value is not None}
        await client.account(name, request_id=name, **kind, **given)  # type: ignore[arg-type]


def told(found: list[Any]) -> list[Any]:
    """Without the time of sealing, which is that of another service."""
    for answer in found:
        if isinstance(answer, GetCheckpointResponse | GetInclusionProofResponse):
            checkpoint: Checkpoint = answer.checkpoint
            checkpoint.ClearField("seal_time")
    return found


@given(steps=HISTORIES, split=st.integers(0, 100), target=st.sampled_from(["other", "schema"]))
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_a_history_with_a_move_is_one_without(
    pair: tuple[LedgerClient, LedgerClient, Mover],
    clock: ManualClock,
    steps: list[Step],
    split: int,
    target: str,
) -> None:
    """The service beside it, which has one shard and is given the same, is the model."""
    moved, stays, mover = pair
    moved.ledger = stays.ledger = f"history-{next(_numbers)}"
    for one in (moved, stays):
        await begin(one)
    for number, step in enumerate(steps):
        if number == split % len(steps):
            await mover.move(moved.ledger, target)
        clock.advance(timedelta(seconds=step.seconds))
        outcomes = [await play(one, step, number, clock) for one in (moved, stays)]
        assert outcomes[0] == outcomes[1]
    found = []
    for one in (moved, stays):
        await sealed(one)
        found.append(told(await everything_of(one, sorted(ACCOUNTS))))
        assert await is_intact(one)
    assert found[0] == found[1]


@pytest.fixture
async def pair(
    open_replica: OpenReplica, service_database: NewDatabase, url: str, shards: str
) -> AsyncIterator[tuple[LedgerClient, LedgerClient, Mover]]:
    """A client of a service with three shards, one of a service with one, and a mover."""
    async with AsyncExitStack() as stack:
        moved = await open_replica(url, NO_SWEEP, shards=shards)
        stays = await open_replica(service_database("ledger"), NO_SWEEP)
        mover, _ = await stack.enter_async_context(moving(url, shards))
        yield moved, stays, mover


class Writer:
    """Transfers one by one, each repeated with its request_id until it is answered."""

    def __init__(self, client: LedgerClient) -> None:
        self._client = client
        self.answered: dict[str, int] = {}
        self._has_answered = asyncio.Event()
        self._is_stopped = False

    async def run(self) -> None:
        while not self._is_stopped:
            name = f"written-{len(self.answered)}"
            try:
                made = await self._client.create(transfer("wallets/b", "assets/cash", 1), name)
            except grpc.aio.AioRpcError as error:
                failure = from_rpc_error(error)
                assert failure.reason == "LEDGER_MOVING", failure
                await asyncio.sleep(0.01)  # It says a second, which would be most of the test.
                continue
            self.answered[name] = made.sequence
            self._has_answered.set()

    async def stop(self, task: asyncio.Task[None]) -> None:
        """After one more answer: it is written again."""
        self._has_answered.clear()
        async with asyncio.timeout(COMMAND_SECONDS):
            await self._has_answered.wait()
        self._is_stopped = True
        await task


@pytest.mark.parametrize("undone", [False, True])
async def test_a_move_that_is_stopped_at_each_step(
    client: LedgerClient, clock: ManualClock, url: str, shards: str, undone: bool
) -> None:
    """Each time it is done again, or undone, while somebody writes; nothing is lost or doubled."""
    await write_history(client, clock)
    writer = Writer(client)
    task = asyncio.create_task(writer.run())
    async with moving(url, shards) as (mover, _):
        for line, target in zip(LINES, itertools.cycle(["other", "default"]), strict=False):
            if undone:
                await move_until(mover, line, "other")
                await mover.undo("main")
            else:
                await move_until(mover, line, target)
                await mover.move("main", target)
    await writer.stop(task)
    await check(client, writer)


async def move_until(mover: Mover, line: str, target: str) -> None:
    """Moves it until it says so, and there stops it."""

    def tell(told_line: str) -> None:
        if told_line.startswith(line):
            raise Stopped

    mover.tell, before = tell, mover.tell
    try:
        with pytest.raises(Stopped):
            await mover.move("main", target)
    finally:
        mover.tell = before


@pytest.mark.parametrize("line", LINES[1::2])
async def test_a_command_that_is_killed(
    client: LedgerClient, clock: ManualClock, url: str, shards: str, line: str
) -> None:
    """By SIGKILL, while somebody writes."""
    await write_history(client, clock)
    # Before anybody writes: a fork in the midst of gRPC's work is none to rely on.
    process = await command(url, shards, "move", "main", "--to", "other", "--by", "tester")
    writer = Writer(client)
    task = asyncio.create_task(writer.run())
    assert process.stdout is not None
    async for told_line in process.stdout:
        if told_line.decode().startswith(line):
            process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL
    async with moving(url, shards) as (mover, lines):
        await mover.move("main", "other")
    assert lines[-1] == "main is at other"
    await writer.stop(task)
    await check(client, writer)


async def test_the_command_and_its_record(
    client: LedgerClient, clock: ManualClock, url: str, shards: str
) -> None:
    await write_history(client, clock)
    moved = await ended(url, shards, "move", "main", "--to", "schema", "--by", "tester")
    assert moved[-1] == "main is at schema"
    assert await ended(url, shards, "shards") == ["main\tschema\tHERE"]
    acts = await OperatorActServiceStub(client.channel).ListOperatorActs(
        ListOperatorActsRequest(client="tester")
    )
    (act,) = acts.acts
    assert (act.method, act.outcome) == ("ledger move", "OK")
    assert dict(act.about) == {"ledger": "main", "shard": "schema"}


async def check(client: LedgerClient, writer: Writer) -> None:
    """What was answered is there, once, where it was said to be."""
    for name, sequence in writer.answered.items():
        assert (await client.get(name)).transaction.sequence == sequence
    assert len(set(writer.answered.values())) == len(writer.answered)
    assert await is_intact(client)


async def command(url: str, shards: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ledger", *arguments),
        cwd=PROJECT,
        env=os.environ | {"LEDGER_DATABASE_URL": url, "LEDGER_SHARDS": shards},
        stdout=asyncio.subprocess.PIPE,
    )


async def ended(url: str, shards: str, *arguments: str) -> list[str]:
    """The lines of a command that has done its work."""
    process = await command(url, shards, *arguments)
    async with asyncio.timeout(COMMAND_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().splitlines()

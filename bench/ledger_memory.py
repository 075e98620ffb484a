"""`ledger.memory`: what the service takes of the machine's memory, at rest, after work, and full.

Full means: PostgreSQL stands still, and callers send batches until the ledger's queue is full and
turns one away as OVERLOADED. What was taken is then committed; nothing of it is lost. It is filled
twice: with plain transfers, and with the largest batches that are allowed. The value is the most
that the process ever had, which has to stay within a bound that is stated here.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg

from bench.benchmark import Benchmark, Target, with_target
from bench.cpu import PROC, children_of
from bench.ledger_parts import LEDGER, RunningLedger, on_ledger
from bench.ledger_requests import (
    Pairs,
    batches,
    check_batches,
    request_id,
    transfers,
    uniform_pairs,
)
from bench.ledger_rounds import in_batches, one_by_one
from ledger.v1.transaction_mutations_pb2 import (
    BATCH_MODE_INDEPENDENT,
    BatchCreateTransactionsRequest,
    BatchItem,
)

NAME = "ledger.memory"
LIMIT_MB = 512.0
TARGET = Target("value", "<=", LIMIT_MB)
CALLERS = 64
CALLS = 10_000
BATCH = 1_000
BATCH_CALLERS = 2
# Transfers in batches, after each half of which the memory is looked at.
BATCHES = 60
# Batches to fill the queue with, more than it takes, and how long to wait before the next.
BATCHES_TO_FILL = 30
NEXT_BATCH_SECONDS = 0.02
FILL_SECONDS = 30.0
# What is taken waits for what fills the queue after it: more than a call has by itself.
CALL_SECONDS = 120.0
# The name under which the connections are found that commit.
COMMITS = "ledger-commits"
# Metadata of each transfer that brings a batch close to the 16 MiB that it may have.
LARGE_METADATA = {f"{number:064}": "v" * 512 for number in range(27)}


class Full(NamedTuple):
    """What became of the batches that filled the queue, and the memory when it was full."""

    taken: int
    refused: int
    memory_mb: float


async def measure(
    ledger: RunningLedger, calls: int = CALLS, count: int = BATCHES
) -> dict[str, Any]:
    """The benchmark's line; `limit` is the stated bound and `ratio` the share of it."""
    at_rest = memory_mb(ledger.service_pid, "VmRSS")
    pairs = uniform_pairs()
    await one_by_one(ledger, pairs, calls, CALLERS)
    after: list[float] = []
    for _ in range(2):
        await in_batches(ledger, pairs, count // 2, BATCH, BATCH_CALLERS)
        after.append(memory_mb(ledger.service_pid, "VmRSS"))
    plain = await _fill(ledger, iter(batches(pairs, BATCHES_TO_FILL, BATCH)))
    largest = await _fill(ledger, largest_batches(pairs))
    most = memory_mb(ledger.service_pid, "VmHWM")
    line = {
        "name": NAME,
        "value": round(most, 1),
        "unit": "MB",
        "limit": LIMIT_MB,
        "limit_name": "bound that the documentation states",
        "ratio": round(most / LIMIT_MB, 3),
        "at_rest_mb": round(at_rest, 1),
        "after_half_mb": round(after[0], 1),
        "after_all_mb": round(after[1], 1),
        "queue_full_mb": round(plain.memory_mb, 1),
        "queue_full_items": plain.taken * BATCH,
        "queue_full_of_largest_mb": round(largest.memory_mb, 1),
        "queue_full_of_largest_items": largest.taken * BATCH,
        "refused_batches": plain.refused + largest.refused,
        "items": ledger.made,
    }
    return with_target(line, TARGET)


async def _fill(ledger: RunningLedger, requests: Iterator[bytes]) -> Full:
    """Sends batches while nothing can be committed, until one is refused; then lets them commit."""
    create_batch = ledger.call("BatchCreateTransactions")
    refusal = asyncio.Event()

    async def call(request: bytes) -> bytes | None:
        try:
            answer: bytes = await create_batch(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            refusal.set()
            return None
        return answer

    calls = []
    async with asyncio.TaskGroup() as group, _nobody_commits(ledger.url):
        async with asyncio.timeout(FILL_SECONDS):
            for request in requests:
                calls.append(group.create_task(call(request)))
                await asyncio.sleep(NEXT_BATCH_SECONDS)
                if refusal.is_set():
                    break
            await refusal.wait()
        taken_mb = memory_mb(ledger.service_pid, "VmRSS")
    answers = [answer for call in calls if (answer := call.result()) is not None]
    check_batches(answers, len(answers) * BATCH)
    ledger.made += len(answers) * BATCH
    return Full(len(answers), len(calls) - len(answers), taken_mb)


def largest_batches(pairs: Pairs, count: int = BATCHES_TO_FILL) -> Iterator[bytes]:
    """Batches near the limit of what one may have; only their request_ids differ."""
    items = [BatchItem(create=transfer) for transfer in transfers(pairs, BATCH)]
    for item in items:
        item.create.metadata.update(LARGE_METADATA)
    rest = BatchCreateTransactionsRequest(
        ledger=LEDGER, mode=BATCH_MODE_INDEPENDENT, items=items
    ).SerializeToString()
    for _ in range(count):
        # Fields of a message may come in any order: two encoded ones make one.
        head = BatchCreateTransactionsRequest(request_id=request_id())
        yield head.SerializeToString() + rest


@asynccontextmanager
async def _nobody_commits(url: str) -> AsyncIterator[None]:
    """PostgreSQL's side of each connection that commits does not run, as if its disk hung."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [COMMITS]
        )
        backends = [pid for (pid,) in await cursor.fetchall()]
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)


def memory_mb(pid: int, field: str) -> float:
    """Memory of a process and all it started: now (VmRSS) or at the most (VmHWM)."""
    return sum(_field_kb(process, field) for process in _family(pid)) / 1024


def _family(pid: int) -> list[int]:
    return [pid, *itertools.chain.from_iterable(map(_family, children_of(pid)))]


def _field_kb(pid: int, field: str) -> int:
    lines = (Path(PROC) / str(pid) / "status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{field}:"))
    return int(found.split()[1])


BENCHMARKS = [Benchmark(NAME, on_ledger(measure))]

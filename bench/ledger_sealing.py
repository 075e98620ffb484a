"""`ledger.sealing`: transfers while the log is sealed, against a ledger that does not seal.

Two services run side by side on one PostgreSQL server, each with a database of its own, and take
turns. One seals five times as often as by default, so that hardly anything is left to seal when a
round ends; the other would seal after an hour. What is left is sealed before the other's turn. The
value is of batches of 1,000, the `unary_` keys of single calls from 64 callers.
"""

import asyncio
import statistics
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import grpc

from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import LEDGER, RunningLedger, ledger_on
from bench.ledger_requests import uniform_pairs
from bench.ledger_rounds import in_batches, one_by_one
from bench.rounds import Round, alternate, compared
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from sandbox.embedded_postgres import temporary_server

NAME = "ledger.sealing"
ROUNDS = 5
BATCH = 1_000
BATCHES_PER_ROUND = 30
BATCH_CALLERS = 2
CALLS_PER_ROUND = 1_500
UNARY_CALLERS = 64
INTERVAL_VARIABLE = "LEDGER_SEAL_INTERVAL_MS"
INTERVAL_MS = 200
NEVER_MS = 3_600_000
SEALED_WITHIN_SECONDS = 30.0
POLL_SECONDS = 0.05
TARGET = Target("ratio", ">=", 0.9)


async def measure(
    size: int = BATCH, calls: int = CALLS_PER_ROUND, rounds: int = ROUNDS
) -> dict[str, Any]:
    """The benchmark's line; `limit` is the rate without sealing."""
    pairs = uniform_pairs()
    left: list[int] = []
    async with AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(stack.enter_context, temporary_server(durable=True))
        sealing, not_sealing = [
            await stack.enter_async_context(
                ledger_on(postgres, f"seal_after_{interval_ms}", {INTERVAL_VARIABLE: interval_ms})
            )
            for interval_ms in (str(INTERVAL_MS), str(NEVER_MS))
        ]

        async def batched(ledger: RunningLedger) -> Round:
            return await in_batches(ledger, pairs, BATCHES_PER_ROUND, size, BATCH_CALLERS)

        async def unary(ledger: RunningLedger) -> Round:
            return await one_by_one(ledger, pairs, calls, UNARY_CALLERS)

        async def sealed(transfers: Any) -> Round:
            taken: Round = await transfers(sealing)
            left.append(await _seal_the_rest(sealing))
            return taken

        value, limit, unary_value, unary_limit = await alternate(
            rounds,
            partial(sealed, batched),
            partial(batched, not_sealing),
            partial(sealed, unary),
            partial(unary, not_sealing),
        )
        for ledger in (sealing, not_sealing):
            await ledger.check_books()
    line = compared(
        NAME,
        "transfers/s",
        value,
        limit,
        "the same without sealing",
        callers=BATCH_CALLERS,
        batch=size,
        seal_interval_ms=INTERVAL_MS,
        left_to_seal_after_round=round(statistics.median(left)),
        unary_callers=UNARY_CALLERS,
        unary_value=round(unary_value.rate, 1),
        unary_limit=round(unary_limit.rate, 1),
        unary_ratio=round(unary_value.rate / unary_limit.rate, 3),
    )
    return with_target(line, TARGET)


async def _seal_the_rest(ledger: RunningLedger) -> int:
    """How many transactions were not sealed yet, once they all are."""
    audit: Any = AuditServiceStub(ledger.channel)
    left: list[int] = []
    async with asyncio.timeout(SEALED_WITHIN_SECONDS):
        while not left or left[-1]:
            if left:
                await asyncio.sleep(POLL_SECONDS)
            try:
                answer = await audit.GetCheckpoint(GetCheckpointRequest(ledger=LEDGER))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
                left.append(ledger.made)  # There is no checkpoint at all yet.
            else:
                left.append(answer.unsealed_count)
    return left[0]


BENCHMARKS = [Benchmark(NAME, measure)]

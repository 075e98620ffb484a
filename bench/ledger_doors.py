"""`ledger.doors`: the memory that a crowd of large batches takes, and what small calls feel of it.

44 callers with connections of their own send batches of nearly 16 MiB at once, and repeat those
that are refused. Meanwhile others make small calls, which arrive at random moments: balances are
read, and transfers made. The value is the most memory that the service ever had, against the
bound that is stated here; all that was answered has to be in the books.
"""

import asyncio
import json
import subprocess
from typing import Any

from bench.arrivals import Arrivals, arrive
from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_memory import memory_mb
from bench.ledger_parts import LEDGER, RunningLedger, account_name, on_ledger, transfer
from bench.ledger_requests import request_id
from ledger.v1.balance_pb2 import GetBalanceRequest
from ledger.v1.transaction_mutations_pb2 import CreateTransactionRequest
from sandbox.child import child_command

NAME = "ledger.doors"
CALLERS = 44
LIMIT_MB = 600.0
TARGET = Target("value", "<=", LIMIT_MB)
PER_SECOND = 50.0
# Of small calls: they go on for as long as the crowd does, in rounds of so many.
ROUND = 100
CALL_SECONDS = 60.0


async def measure(ledger: RunningLedger, callers: int = CALLERS) -> dict[str, Any]:
    """The benchmark's line; `limit` is the stated bound and `ratio` the share of it."""
    at_rest = memory_mb(ledger.service_pid, "VmRSS")
    crowd = await asyncio.create_subprocess_exec(
        *child_command("bench.large_callers", ledger.address, str(callers)),
        stdout=subprocess.PIPE,
    )
    output = asyncio.ensure_future(crowd.communicate())
    reads: list[float] = []
    writes: list[float] = []
    seed = 0
    while not output.done():
        seed += 2
        for made, latencies in zip(
            await asyncio.gather(_read(ledger, seed), _write(ledger, seed + 1)),
            (reads, writes),
            strict=True,
        ):
            latencies.extend(made.latencies)
        ledger.made += ROUND
    told = json.loads((await output)[0])
    ledger.made += told["items"]
    most = memory_mb(ledger.service_pid, "VmHWM")
    line = {
        "name": NAME,
        "value": round(most, 1),
        "unit": "MB",
        "limit": LIMIT_MB,
        "limit_name": "bound that the documentation states",
        "ratio": round(most / LIMIT_MB, 3),
        "callers": callers,
        "at_rest_mb": round(at_rest, 1),
        "after_mb": round(memory_mb(ledger.service_pid, "VmRSS"), 1),
        "read_p99_ms": round(Arrivals(reads, [], []).percentile_ms(99), 1),
        "write_p99_ms": round(Arrivals(writes, [], []).percentile_ms(99), 1),
        "small_calls": len(reads) + len(writes),
        "batches_taken": told["taken"],
        "batches_refused": told["refused"],
        "batches_ended": told["ended"],
        "seconds": told["seconds"],
    }
    return with_target(line, TARGET)


async def _read(ledger: RunningLedger, seed: int) -> Arrivals:
    call = ledger.call("GetBalance")
    request = GetBalanceRequest(ledger=LEDGER, account=account_name(1)).SerializeToString()
    return await arrive(
        lambda sent: call(sent, timeout=CALL_SECONDS),
        [request] * ROUND,
        per_second=PER_SECOND,
        seed=seed,
    )


async def _write(ledger: RunningLedger, seed: int) -> Arrivals:
    call = ledger.call("CreateTransaction")
    requests = [
        CreateTransactionRequest(
            request_id=request_id(), ledger=LEDGER, transaction=transfer()
        ).SerializeToString()
        for _ in range(ROUND)
    ]
    return await arrive(
        lambda sent: call(sent, timeout=CALL_SECONDS), requests, per_second=PER_SECOND, seed=seed
    )


BENCHMARKS = [Benchmark(NAME, on_ledger(measure))]

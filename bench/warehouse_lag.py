"""`warehouse.lag`: seconds from a ledger's commit to the row in a DuckDB file, proven equal.

Transfers arrive at random moments, 200 a second on average, while the ledger is followed as
`python -m warehouse --follow 1` does. The lag of a transaction is from its record time to the
moment at which the load that has it was committed.
"""

import asyncio
import io
from bisect import bisect_left
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from bench.arrivals import arrive, percentile
from bench.benchmark import Benchmark, Target, with_target
from bench.ledger_parts import LEDGER, RunningLedger, on_ledger
from bench.ledger_requests import creates, uniform_pairs
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from runtime.clock import SystemClock
from runtime.progress import Progress
from warehouse.duckdb_sink import DuckDbSink
from warehouse.ledger_source import LedgerSource
from warehouse.loader import Loader

NAME = "warehouse.lag"
LIMIT_SECONDS = 5.0
TARGET = Target("value", "<=", LIMIT_SECONDS)
PER_SECOND = 200.0
TRANSACTIONS = 6_000
FOLLOW_SECONDS = 1.0
SEED = 15


async def measure(
    ledger: RunningLedger, count: int = TRANSACTIONS, follow_seconds: float = FOLLOW_SECONDS
) -> dict[str, Any]:
    """The benchmark's line; `value` is the 99th percentile."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "books.duckdb"
        clock = SystemClock()
        source = LedgerSource(ledger.stub, AuditServiceStub(ledger.channel), ledger.address, LEDGER)
        loader = Loader(source, DuckDbSink(path, clock), Progress(io.StringIO(), clock))
        loaded: list[tuple[int, datetime]] = []

        arrived_all = asyncio.Event()

        async def follow() -> None:
            is_last = False
            while not is_last:
                is_last = arrived_all.is_set()
                through = await loader.run()
                loaded.append((through, clock.now()))
                await asyncio.sleep(follow_seconds)

        following = asyncio.ensure_future(follow())
        requests = creates(uniform_pairs(), count)
        call = ledger.call("CreateTransaction")
        arrived = await arrive(call, requests, per_second=PER_SECOND, seed=SEED)
        ledger.made += count
        arrived_all.set()
        await following
        with duckdb.connect(path) as connection:
            rows = connection.execute(
                "SELECT sequence, epoch_us(record_time) FROM ledger_transaction ORDER BY sequence"
            ).fetchall()
    if [sequence for sequence, _ in rows] != list(range(1, ledger.made + 1)):
        raise RuntimeError(f"{len(rows)} transactions are in the warehouse, not {ledger.made}")
    reached = [through for through, _ in loaded]
    lags = []
    # What was there before is no news.
    for sequence, recorded in rows[-count:]:
        _, moment = loaded[bisect_left(reached, sequence)]
        lags.append((moment - datetime.fromtimestamp(recorded / 1_000_000, UTC)).total_seconds())
    value = percentile(lags, 99)
    line = {
        "name": NAME,
        "value": round(value, 3),
        "unit": "s",
        "limit": LIMIT_SECONDS,
        "limit_name": "what is promised",
        "ratio": round(value / LIMIT_SECONDS, 5),
        "median_s": round(percentile(lags, 50), 3),
        "max_s": round(max(lags), 3),
        "per_second": PER_SECOND,
        "transactions": count,
        "loads": len(loaded),
        "ledger_p99_ms": round(arrived.percentile_ms(99), 1),
    }
    return with_target(line, TARGET)


BENCHMARKS = [Benchmark(NAME, on_ledger(measure))]

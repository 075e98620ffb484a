"""Each kind of the ledger's benchmarks runs, at a small size, and says what a line has to say."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bench import (
    ledger_batch,
    ledger_latency,
    ledger_skew,
    ledger_two_phase,
    ledger_unary,
    warehouse_lag,
)
from bench.benchmark import REQUIRED
from bench.cpu import PROC
from bench.ledger_parts import RunningLedger
from bench.ledger_requests import hot_pairs

Measure = Callable[[RunningLedger], Awaitable[dict[str, Any]]]

SMALL: dict[str, Measure] = {
    "ledger.unary_4": lambda ledger: ledger_unary.measure(ledger, callers=4, calls=40, rounds=1),
    "ledger.batch_20": lambda ledger: ledger_batch.measure(ledger, size=20, count=4, rounds=1),
    "ledger.hot_account": lambda ledger: ledger_skew.measure(
        ledger, "ledger.hot_account", hot_pairs(), size=10, calls=70, rounds=1
    ),
    "ledger.two_phase": lambda ledger: ledger_two_phase.measure(ledger, count=70, rounds=1),
    "ledger.latency_half_load": lambda ledger: ledger_latency.measure(
        ledger, calls=100, seconds=0.2, rounds=1
    ),
    "warehouse.lag": lambda ledger: warehouse_lag.measure(ledger, count=40, follow_seconds=0.1),
}


@pytest.mark.parametrize("name", SMALL)
async def test_a_line_says_what_it_has_to(ledger: RunningLedger, name: str) -> None:
    line = await SMALL[name](ledger)
    assert line["name"] == name
    assert line.keys() >= REQUIRED
    assert line["value"] > 0
    assert line["limit"] > 0
    assert line["ratio"] == pytest.approx(line["value"] / line["limit"], rel=0.01)
    await ledger.check_books()


async def test_a_line_says_whose_processor_time_was_spent(ledger: RunningLedger) -> None:
    line = await SMALL["ledger.batch_20"](ledger)
    spent = {key: figure for key, figure in line.items() if key.startswith("cpu_us_")}
    # It is read from /proc, and left out where there is none.
    processes = {"cpu_us_service", "cpu_us_postgres", "cpu_us_client"} if PROC.exists() else set()
    assert spent.keys() == processes
    assert all(figure >= 0 for figure in spent.values())


async def test_books_that_lack_a_transaction_are_found(ledger: RunningLedger) -> None:
    ledger.made += 1
    try:
        with pytest.raises(RuntimeError, match="recorded"):
            await ledger.check_books()
    finally:
        ledger.made -= 1

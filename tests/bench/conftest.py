"""A ledger as the benchmarks have it: in processes of its own, with durable commits."""

from collections.abc import AsyncIterator

import pytest

from bench.ledger_parts import RunningLedger, running_ledger


@pytest.fixture(scope="session")
async def ledger() -> AsyncIterator[RunningLedger]:
    async with running_ledger() as running:
        yield running

"""A real service in which a loop meets what nobody foresaw: its rights are taken away."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import psycopg
import pytest

from runtime.addresses import split_address
from runtime.process import EXIT_LOOP_ENDED
from tests.deploy.compose import PROJECT
from tests.plugin import NewDatabase

PATIENCE_SECONDS = 60.0
LOOPS = {
    "ledger": {
        *("database", "health", "feed", "hold sweep", "sealing", "snapshots"),
        "placements",
    },
    "compliance": {
        "database",
        "health",
        "list loading",
        "policy in force",
        "policy shadows",
        "rescreening",
        "account refresh",
        *("account watch", "verification watch"),
        "freeze forecast",
        *("compliance listener", "case looks", "case expiry", "case gauges"),
        *("requirement notices", "documents", "payment watch", "rate windows"),
    },
    "gateway": {
        *("database", "health", "gateway listener", "corridor modes", "breaker group", "feed"),
        *("restore guard", "operations", "numbering", "bookkeeping"),
        *("balance numbering", "payout numbering"),
        *("inbox upkeep", "webhook processing", "webhook sending", "leader tasks"),
        *("queue", "deadlines", "processing looks", "event recovery", "balance sweep"),
        *("state gauges", "case watch", "payout looks", "verification looks"),
        *("webhook dispatch", "webhook purge", "ledger check", "books comparison", "hold check"),
        *("foresight", "foresight numbering", "foresight purge", "routing purge"),
    },
}
# The first that looks at a table.
FIRST_TO_NOTICE = {
    "ledger": {"hold sweep", "sealing", "snapshots", "placements"},
    "compliance": {
        "policy in force",
        "policy shadows",
        "rescreening",
        *("account watch", "verification watch"),
        "freeze forecast",
        *("case expiry", "case gauges"),
        *("requirement notices", "documents", "payment watch", "rate windows"),
    },
    "gateway": LOOPS["gateway"]
    - {"database", "health", "gateway listener", "event recovery", "case watch"},
}
# Nobody listens there.
NOWHERE = "127.0.0.1:1"


@asynccontextmanager
async def running(service: str, database_url: str) -> AsyncIterator[Any]:
    prefix = service.upper()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", service),
        cwd=PROJECT,
        env={
            **os.environ,
            f"{prefix}_DATABASE_URL": database_url,
            f"{prefix}_LISTEN_ADDRESS": "127.0.0.1:0",
            f"{prefix}_HTTP_ADDRESS": "127.0.0.1:0",
            "GATEWAY_LEDGER_ADDRESS": NOWHERE,
            "GATEWAY_COMPLIANCE_ADDRESS": NOWHERE,
            "GATEWAY_STRIPE_API_BASE": f"http://{NOWHERE}",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def serving(process: Any) -> str:
    """Waits until it serves; where it has its metrics."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for line in process.stderr:
            logged = json.loads(line)
            if logged["event"] == "serving":
                host, port = split_address(logged["http"])
                return f"http://{host}:{port}/metrics"
    raise AssertionError("it never served")


async def loops_in(address: str) -> set[str]:
    """The loops of which a process has all metrics."""
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        lines = (await answer.text()).splitlines()
    labels = [
        {line.partition('loop="')[2].partition('"')[0] for line in lines if line.startswith(name)}
        for name in (
            "loop_rounds_total{",
            'loop_failures_total{kind="expected",',
            'loop_failures_total{kind="unexpected",',
            "loop_last_success_timestamp_seconds{",
            "loop_poll_seconds{",
        )
    ]
    assert all(found == labels[0] for found in labels)
    return labels[0]


@pytest.mark.parametrize("service", LOOPS)
async def test_a_fault_that_nobody_foresaw_ends_the_process_with_its_reason(
    service: str, service_database: NewDatabase
) -> None:
    url = service_database(service)
    async with running(service, url) as process:
        assert await loops_in(await serving(process)) == LOOPS[service]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {service}_service".encode()
            )
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, said = await process.communicate()
    assert process.returncode == EXIT_LOOP_ENDED
    lines = said.decode().splitlines()
    logged = [json.loads(line) for line in lines if line.startswith("{")]
    critical = next(entry for entry in logged if entry["level"] == "critical")
    assert critical["event"] == "loop_ended"
    assert critical["loop"] in FIRST_TO_NOTICE[service]
    assert critical["error_type"] in {"InsufficientPrivilege", "ProgrammingError"}
    assert lines[-1] == f"{service}: loop '{critical['loop']}' ended: {critical['reason']}"
    # It stops then, and says that, too.
    changed = next(entry for entry in logged if entry["event"] == "health_changed")
    assert (changed["serving"], changed["down"]) == (False, [critical["loop"]])
    ended, told = (datetime.fromisoformat(entry["timestamp"]) for entry in (critical, changed))
    assert told - ended < timedelta(seconds=1)

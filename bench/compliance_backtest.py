"""`compliance.backtest`: 100,000 past decisions judged by a policy with three rules of its own.

The limit is what reading the same records as JSON takes in one process and nothing else. Checks at
a fixed rate run before and during the backtest, for what it costs them.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import psycopg

from bench.compliance_check_payment import (
    FIXED_RATE_PER_SECOND,
    checks_of_a_merchant,
    fixed_rate,
    open_compliance,
    percentile_ms,
)
from compliance.v1 import decision_pb2, policy_pb2
from compliance.v1 import policy_service_pb2 as pb
from compliance.v1.policy_service_pb2_grpc import PolicyServiceStub

NAME = "compliance.backtest"
DECISIONS = 100_000
MADE = 500
CHECKS = 2_000
READ = 5_000
# By copies of what was decided: what is judged, not how it came to be, is measured.
COPY = """
INSERT INTO decision (
    sequence, record, request, previous_hash, hash, record_time_us, decision_id, kind, request_id,
    reference_id, merchant_id, verdict
)
SELECT %(made)s * step + sequence,
    jsonb_set(record::jsonb, '{facts,amount_minor}', to_jsonb(step))::text,
    request, previous_hash, hash, record_time_us, decision_id || '-' || step, kind,
    request_id || '-' || step, reference_id, merchant_id, verdict
FROM decision CROSS JOIN generate_series(1, %(steps)s) AS step
WHERE sequence <= %(made)s
"""
RULES = (
    policy_pb2.PolicyRule(
        name="amount", expression="amount_minor > 150", verdict=decision_pb2.VERDICT_REVIEW
    ),
    policy_pb2.PolicyRule(
        name="country",
        expression="!(customer_country_code in ['DE', 'FR', '']) && kind == 'PAYMENT'",
        verdict=decision_pb2.VERDICT_DENY,
    ),
    policy_pb2.PolicyRule(
        name="countries",
        expression="country_codes.exists(c, c in ['XA', 'XB', 'XC'])",
        verdict=decision_pb2.VERDICT_DENY,
    ),
)


async def measure() -> dict[str, Any]:
    """The benchmark's line; `ratio` is the backtest's share of the rate of reading alone."""
    async with AsyncExitStack() as stack:
        service, url, _ = await open_compliance(stack, NAME)
        check = await checks_of_a_merchant(service, url)
        for _ in range(MADE):
            await check()
        limit = await asyncio.to_thread(_copied, url)
        stub = PolicyServiceStub(service)
        version = await _draft(stub)
        before = await fixed_rate(check, FIXED_RATE_PER_SECOND, _all_checked)
        running = asyncio.create_task(_backtest(stub, version))
        during = await fixed_rate(check, FIXED_RATE_PER_SECOND, _all_checked)
        assert not running.done(), "the backtest ended before the checks beside it"
        seconds, last = await running
        rate = last.judged_count / seconds
    return {
        "name": NAME,
        "value": round(rate, 1),
        "unit": "decisions/s",
        "limit": round(limit, 1),
        "limit_name": "reading the records as JSON, nothing else",
        "ratio": round(rate / limit, 3),
        "decisions": last.judged_count,
        "changed": sum(change.decision_count for change in last.changes),
        "seconds": round(seconds, 1),
        "fixed_rate_per_second": FIXED_RATE_PER_SECOND,
        "p99_ms_before": percentile_ms(before, 99),
        "p99_ms_during": percentile_ms(during, 99),
    }


def _all_checked(number: int) -> bool:
    return number == CHECKS


def _copied(url: str) -> float:
    """Makes the history; the records that JSON reads in a second."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(COPY, {"made": MADE, "steps": DECISIONS // MADE - 1})
        connection.execute("ANALYZE decision")
        rows = connection.execute("SELECT record FROM decision LIMIT %s", [READ]).fetchall()
    started = time.perf_counter()
    for (record,) in rows:
        json.loads(record)
    return READ / (time.perf_counter() - started)


async def _draft(stub: Any) -> str:
    listed = await stub.ListPolicyVersions(pb.ListPolicyVersionsRequest())
    document = listed.versions[0].document
    document.rules.extend(RULES)
    request = pb.CreatePolicyVersionRequest(
        request_id="bench-draft", policy_version="bench-1", document=document
    )
    return str((await stub.CreatePolicyVersion(request)).version.policy_version)


async def _backtest(stub: Any, version: str) -> tuple[float, pb.BacktestPolicyVersionResponse]:
    started = time.perf_counter()
    request = pb.BacktestPolicyVersionRequest(policy_version=version)
    told = [response async for response in stub.BacktestPolicyVersion(request)]
    assert told[-1].done
    return time.perf_counter() - started, told[-1]

"""Backtests: what a policy would have decided of what was decided."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.checks.decision_store import decisions_after
from compliance.checks.policy import Policy
from compliance.policies.comparison import Comparison
from compliance.policies.judging import open_judge
from compliance.policies.shadowing import PAGE_SIZE
from compliance.tables import DECISION

# How often a backtest tells how far it is.
TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Span:
    """The decisions that a backtest judges: after the first, through the second sequence."""

    after: int
    through: int
    count: int


async def span_of(engine: AsyncEngine, from_us: int | None, until_us: int | None) -> Span:
    """The decisions of a time. Times do not fall in the log's order where clocks differ, so that
    it is the part of the log that holds them all."""
    wanted = select(func.min(DECISION.c.sequence), func.max(DECISION.c.sequence))
    if from_us is not None:
        wanted = wanted.where(DECISION.c.record_time_us >= from_us)
    if until_us is not None:
        wanted = wanted.where(DECISION.c.record_time_us < until_us)
    async with engine.connect() as connection:
        first, last = (await connection.execute(wanted)).one()
    return Span(0, 0, 0) if first is None else Span(first - 1, last, last - first + 1)


async def backtest(
    engine: AsyncEngine, policy: Policy, span: Span
) -> AsyncGenerator[tuple[Comparison, bool]]:
    """What was found so far, every second or so, and whether that is all."""
    comparison = Comparison()
    after = span.after
    loop = asyncio.get_running_loop()
    told = loop.time()
    async with open_judge() as judge:
        while after < span.through:
            async with engine.connect() as connection:
                page = await decisions_after(connection, after, PAGE_SIZE)
            page = [(sequence, record) for sequence, record in page if sequence <= span.through]
            comparison.add(await judge.judge(policy, page))
            after = page[-1][0]
            if loop.time() - told >= TELL_SECONDS and after < span.through:
                told = loop.time()
                yield comparison, False
    yield comparison, True

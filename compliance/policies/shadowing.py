"""Shadows: policies that judge every decision after it was made, and change none.

They follow the decision log, so that a check neither waits for them nor fails by them.
"""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.checks.canonical import dumps, loads
from compliance.checks.decision_store import decisions_after
from compliance.checks.policy import Policy
from compliance.policies.comparison import MAX_NAMED, Change, Comparison
from compliance.policies.judging import Judge, Judged, open_judge
from compliance.policies.store import get_policy
from compliance.tables import (
    DECISION,
    POLICY_SHADOW,
    POLICY_SHADOW_CHANGE,
    POLICY_SHADOW_DECISION,
    POLICY_VERSION,
)
from runtime.loops import Loop, Rounds

POLL_SECONDS = 1.0
PAGE_SIZE = 200


async def begin(connection: AsyncConnection, version: str) -> None:
    """A shadow begins after the last decision that there is; what it saw before is forgotten."""
    for table in (POLICY_SHADOW_DECISION, POLICY_SHADOW_CHANGE):
        await connection.execute(delete(table).where(table.c.policy_version == version))
    last = select(func.coalesce(func.max(DECISION.c.sequence), 0))
    values = {
        "judged_count": 0,
        "unreadable_count": 0,
        "through_sequence": (await connection.execute(last)).scalar_one(),
    }
    await connection.execute(
        upsert(POLICY_SHADOW)
        .values(policy_version=version, **values)
        .on_conflict_do_update(index_elements=["policy_version"], set_=values)
    )


async def report(connection: AsyncConnection, version: str) -> tuple[Comparison, int]:
    """What a shadow has seen, and through which decision; nothing if it never was one."""
    comparison = Comparison()
    rows = await connection.execute(
        select(POLICY_SHADOW).where(POLICY_SHADOW.c.policy_version == version)
    )
    progress = rows.mappings().one_or_none()
    if progress is None:
        return comparison, 0
    comparison.judged = progress["judged_count"]
    comparison.unreadable = progress["unreadable_count"]
    changes = await connection.execute(
        select(POLICY_SHADOW_CHANGE).where(POLICY_SHADOW_CHANGE.c.policy_version == version)
    )
    for row in changes.mappings():
        change = Change(row["decided"], row["candidate"], row["currency_code"])
        comparison.counts[change] = row["decision_count"]
        comparison.amounts[change] = int(row["amount_minor"])
    named = await connection.execute(
        select(POLICY_SHADOW_DECISION.c.judged)
        .where(POLICY_SHADOW_DECISION.c.policy_version == version)
        .order_by(POLICY_SHADOW_DECISION.c.sequence)
    )
    comparison.newest.extend(loads(text, Judged) for text in named.scalars())
    return comparison, progress["through_sequence"]


class Shadowing:
    """Judges what was decided since, a page at a time for each shadow."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def loop(self) -> Loop:
        """Follows the log; the judge runs while there are shadows."""
        return Loop("policy shadows", session=self._follow, poll_seconds=POLL_SECONDS)

    async def _follow(self) -> Rounds:
        while not await self._versions():
            yield False
        async with open_judge() as judge:
            while versions := await self._versions():
                yield any([await self.judge_page(judge, version) for version in versions])

    async def _versions(self) -> Sequence[str]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(POLICY_VERSION.c.policy_version).where(POLICY_VERSION.c.state == "SHADOW")
            )
            return rows.scalars().all()

    async def judge_page(self, judge: Judge, version: str) -> bool:
        """Judges the next decisions; whether there were any that no other process is at."""
        async with self._engine.begin() as connection:
            through = await connection.execute(
                select(POLICY_SHADOW.c.through_sequence)
                .where(POLICY_SHADOW.c.policy_version == version)
                .with_for_update(skip_locked=True)
            )
            after = through.scalar_one_or_none()
            if after is None:
                return False
            page = await decisions_after(connection, after, PAGE_SIZE)
            if not page:
                return False
            policy = (await get_policy(connection, version)).policy
            comparison = await _compared(judge, policy, page)
            await _keep(connection, version, comparison, page[-1][0])
        return True


async def _compared(judge: Judge, policy: Policy, page: Sequence[tuple[int, str]]) -> Comparison:
    comparison = Comparison()
    comparison.add(await judge.judge(policy, page))
    return comparison


async def _keep(
    connection: AsyncConnection, version: str, comparison: Comparison, through: int
) -> None:
    progress = POLICY_SHADOW.c
    await connection.execute(
        update(POLICY_SHADOW)
        .where(progress.policy_version == version)
        .values(
            judged_count=progress.judged_count + comparison.judged,
            unreadable_count=progress.unreadable_count + comparison.unreadable,
            through_sequence=through,
        )
    )
    for change, count in comparison.counts.items():
        before = POLICY_SHADOW_CHANGE.c
        amount = comparison.amounts[change]
        await connection.execute(
            upsert(POLICY_SHADOW_CHANGE)
            .values(
                policy_version=version,
                **change._asdict(),
                decision_count=count,
                amount_minor=amount,
            )
            .on_conflict_do_update(
                index_elements=["policy_version", "decided", "candidate", "currency_code"],
                set_={
                    "decision_count": before.decision_count + count,
                    "amount_minor": before.amount_minor + amount,
                },
            )
        )
    if comparison.newest:
        await connection.execute(
            upsert(POLICY_SHADOW_DECISION),
            [
                {"policy_version": version, "sequence": one.sequence, "judged": dumps(one)}
                for one in comparison.newest
            ],
        )
        await _drop_older(connection, version)


async def _drop_older(connection: AsyncConnection, version: str) -> None:
    named = POLICY_SHADOW_DECISION.c
    oldest_kept = (
        select(named.sequence)
        .where(named.policy_version == version)
        .order_by(named.sequence.desc())
        .offset(MAX_NAMED - 1)
        .limit(1)
        .scalar_subquery()
    )
    await connection.execute(
        delete(POLICY_SHADOW_DECISION).where(
            named.policy_version == version, named.sequence < oldest_kept
        )
    )

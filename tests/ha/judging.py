"""What was lost and what happened twice: by the books of the twin, the ledger and the databases."""

from collections import Counter
from dataclasses import dataclass

import psycopg

from tests.chaos.gathering import gather
from tests.chaos.healing import Time, heal
from tests.chaos.judge import LIVE_STATUSES, judge
from tests.chaos.twin import ChaosTwin
from tests.chaos.verdict import Violation
from tests.ha.engine import Engine
from tests.ha.load import Load

CORRIDORS = ("default",)
PAYMENT_KEY = "engine_payment_id"


@dataclass(frozen=True)
class Toll:
    """Requests that were answered and are gone; requests that were done more than once."""

    lost: int
    doubled: int


async def toll(engine: Engine, load: Load, twin: ChaosTwin) -> Toll:
    """Of everything so far. Nobody may call meanwhile."""
    posted = await load.books.posted("safe")
    seen = await load.books.watched(posted)
    by_request = {made.request_id: made.sequence for made in seen}
    lost = sum(by_request.get(asked) != told for asked, told in load.transactions.items())
    payments = await _column(engine.databases["gateway"], "SELECT id FROM payment")
    lost += len({told.payment_id for told in load.answers} - payments)
    subjects = await _column(engine.databases["compliance"], "SELECT subject_id FROM subject")
    lost += len(load.subjects - subjects)
    doubled = sum(times - 1 for times in Counter(made.request_id for made in seen).values())
    for intents in (await twin.payments_by_metadata(PAYMENT_KEY)).values():
        live = [intent for intent in intents if intent["status"] in LIVE_STATUSES]
        doubled += max(0, len(live) - 1)
    return Toll(lost, doubled)


async def verdict(engine: Engine, load: Load, twin: ChaosTwin) -> list[Violation]:
    """Whether what happened may happen, as the chaos test judges, once all is at rest."""
    await heal(Time(engine, twin))
    evidence = await gather(
        engine,
        twin,
        answers=load.answers,
        accepted_forgeries=(),
        restless=(),
        may_use={answer.request_id: CORRIDORS for answer in load.answers},
        restores=load.restores,
        lost_until=load.lost_until,
    )
    found = judge(evidence)
    if not (await load.books.verify()).intact:
        found.append(Violation("books", load.books.ledger, "VerifyLedger found a difference"))
    return found


async def _column(url: str, query: str) -> set[str]:
    async with await psycopg.AsyncConnection.connect(url) as database:
        return {str(row[0]) for row in await (await database.execute(query)).fetchall()}

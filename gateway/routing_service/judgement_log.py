"""The verdicts of EvaluatePolicy in the database: what was judged, by whom, and what was said.

Functions run on the caller's connection, inside the caller's transaction.
"""

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.routing_service.decision_feed import Window
from gateway.routing_service.evaluating import Judged
from gateway.routing_service.evaluator import Asked, Candidate
from gateway.routing_service.judgements import Judgement
from gateway.routing_service.schema import JUDGEMENT
from gateway.routing_service.steps import Subject


async def add_judgement(
    connection: AsyncConnection,
    *,
    asked: Asked,
    window: Window,
    judged: Judged,
    model_version: str,
    policy_hash: str,
    client: str,
    now: datetime,
) -> int:
    """Keeps a verdict; its number."""
    found = judged.answer["evaluation"]
    gain = found["gain"] if found is not None else None
    low, high = gain["interval"] if gain is not None else (None, None)
    values = {
        "subject": asked.subject.value,
        "candidate": asked.candidate.value,
        "model_version": model_version,
        "policy_hash": policy_hash,
        "accepted": not judged.answer["refusals"],
        "refusals": [reason for reason, _ in judged.answer["refusals"]],
        "decision_count": found["support"]["decisions"] if found is not None else 0,
        "gain": gain["value"] if gain is not None else None,
        "gain_low": low,
        "gain_high": high,
        "looks": asked.looks,
        "since_time": window.since,
        "until_time": window.until,
        "client": client,
        "judge_time": now,
    }
    statement = insert(JUDGEMENT).values(values).returning(JUDGEMENT.c.judgement_number)
    number: int = (await connection.execute(statement)).scalar_one()
    return number


async def newest_judgement(
    connection: AsyncConnection, subject: Subject, model_version: str
) -> Judgement | None:
    """What was said last of a model, named or in force when routing itself was judged."""
    statement = (
        select(
            JUDGEMENT.c.judgement_number,
            JUDGEMENT.c.accepted,
            JUDGEMENT.c.refusals,
            JUDGEMENT.c.policy_hash,
            JUDGEMENT.c.until_time,
        )
        .where(
            JUDGEMENT.c.model_version == model_version,
            JUDGEMENT.c.subject == subject.value,
            JUDGEMENT.c.candidate != Candidate.ORDER.value,
        )
        .order_by(JUDGEMENT.c.judgement_number.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    return Judgement(
        row.judgement_number, row.accepted, tuple(row.refusals), row.policy_hash, row.until_time
    )

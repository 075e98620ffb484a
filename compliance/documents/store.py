"""Where documents are kept, and their contents until they are destroyed."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.documents.document import (
    ON_THE_WAY,
    OPEN,
    Document,
    Refusal,
    Side,
    State,
)
from compliance.tables import DOCUMENT

# Destroyed in one statement, of those whose time has come.
DESTROYED_AT_ONCE = 100
# The content is read where it is needed, and nowhere else.
_COLUMNS = [
    *(column for column in DOCUMENT.c if column.name not in ("sealed", "next_attempt_time")),
    DOCUMENT.c.sealed.is_(None).label("destroyed"),
]


async def add(connection: AsyncConnection, values: dict[str, Any]) -> Document:
    """Keeps a new document."""
    rows = await connection.execute(insert(DOCUMENT).values(**values).returning(*_COLUMNS))
    return document_of(rows.mappings().one())


async def count_on_the_way(connection: AsyncConnection, merchant_id: str) -> int:
    """How many documents of a merchant have still to be brought to Stripe; nobody else counts the
    same merchant's before the transaction has ended."""
    await connection.exec_driver_sql(
        "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"documents of {merchant_id}",)
    )
    rows = await connection.execute(
        select(func.count())
        .select_from(DOCUMENT)
        .where(DOCUMENT.c.merchant_id == merchant_id, DOCUMENT.c.state.in_(ON_THE_WAY))
    )
    return int(rows.scalar_one())


async def get(connection: AsyncConnection, document_id: str) -> Document | None:
    """The document; None if there is none."""
    rows = await connection.execute(select(*_COLUMNS).where(DOCUMENT.c.document_id == document_id))
    row = rows.mappings().one_or_none()
    return document_of(row) if row is not None else None


async def list_documents(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    state: str,
    before: int | None,
    limit: int,
) -> list[Document]:
    """Documents, the newest first."""
    statement = select(*_COLUMNS).order_by(DOCUMENT.c.ordinal.desc()).limit(limit)
    if merchant_id:
        statement = statement.where(DOCUMENT.c.merchant_id == merchant_id)
    if state:
        statement = statement.where(DOCUMENT.c.state == state)
    if before is not None:
        statement = statement.where(DOCUMENT.c.ordinal < before)
    rows = await connection.execute(statement)
    return [document_of(row) for row in rows.mappings()]


async def claim(connection: AsyncConnection, now: datetime, lease: timedelta) -> Document | None:
    """The next document to do something for, which nobody else takes before the lease is over."""
    rows = await connection.execute(
        select(DOCUMENT.c.document_id)
        .where(DOCUMENT.c.next_attempt_time <= now)
        .order_by(DOCUMENT.c.next_attempt_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    found = rows.scalar_one_or_none()
    if found is None:
        return None
    claimed = await connection.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.document_id == found)
        .values(fence=DOCUMENT.c.fence + 1, next_attempt_time=now + lease)
        .returning(*_COLUMNS)
    )
    return document_of(claimed.mappings().one())


async def content(connection: AsyncConnection, document_id: str) -> bytes | None:
    """The content as it was sealed; None if it is destroyed."""
    rows = await connection.execute(
        select(DOCUMENT.c.sealed).where(DOCUMENT.c.document_id == document_id)
    )
    sealed: bytes | None = rows.scalar_one()
    return sealed


async def finish(connection: AsyncConnection, claimed: Document, **values: Any) -> bool:
    """Writes what came of a claim; False if the document is not ours any more, or has moved on."""
    rows = await connection.execute(
        update(DOCUMENT)
        .where(
            DOCUMENT.c.document_id == claimed.document_id,
            DOCUMENT.c.fence == claimed.fence,
            DOCUMENT.c.state == claimed.state,
        )
        .values(**values)
        .returning(DOCUMENT.c.document_id)
    )
    return rows.one_or_none() is not None


async def withdraw(connection: AsyncConnection, document_id: str, now: datetime) -> bool:
    """Ends a document that is not attached yet, and destroys its content; False if it is attached
    or at its end. What somebody does with it in this moment writes nothing any more."""
    rows = await connection.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.document_id == document_id, DOCUMENT.c.state.in_(ON_THE_WAY))
        .values(
            fence=DOCUMENT.c.fence + 1,
            sealed=None,
            state=State.REFUSED,
            refusal=Refusal.WITHDRAWN,
            failure="",
            state_time=now,
            destroy_time=now,
            next_attempt_time=None,
        )
        .returning(DOCUMENT.c.document_id)
    )
    return rows.one_or_none() is not None


async def other_side(connection: AsyncConnection, front: Document) -> Document | None:
    """The newest back that waits at Stripe for this front."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(
            DOCUMENT.c.connected_account_id == front.connected_account_id,
            DOCUMENT.c.field == front.field,
            DOCUMENT.c.person_id == front.person_id,
            DOCUMENT.c.side == Side.BACK,
            DOCUMENT.c.with_other_side,
            DOCUMENT.c.state == State.FORWARDED,
        )
        .order_by(DOCUMENT.c.ordinal.desc())
        .limit(1)
    )
    row = rows.mappings().one_or_none()
    return document_of(row) if row is not None else None


async def is_outdated(connection: AsyncConnection, document: Document) -> bool:
    """Whether a newer one for the same is at Stripe as the answer, or was accepted as that."""
    rows = await connection.execute(
        select(
            select(DOCUMENT.c.document_id)
            .where(
                DOCUMENT.c.connected_account_id == document.connected_account_id,
                DOCUMENT.c.field == document.field,
                DOCUMENT.c.person_id == document.person_id,
                DOCUMENT.c.side == document.side,
                DOCUMENT.c.ordinal > document.ordinal,
                DOCUMENT.c.state.in_((State.ATTACHED, State.ACCEPTED)),
            )
            .exists()
        )
    )
    return bool(rows.scalar_one())


async def attached_with(connection: AsyncConnection, back: Document, **values: Any) -> None:
    """Writes that a back was attached with its front."""
    await connection.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.document_id == back.document_id, DOCUMENT.c.state == State.FORWARDED)
        .values(**values)
    )


async def replace_older(
    connection: AsyncConnection, attached: Document, now: datetime, destroy_time: datetime
) -> None:
    """What was attached before for the same is not what Stripe decides about any more."""
    await connection.execute(
        update(DOCUMENT)
        .where(
            DOCUMENT.c.connected_account_id == attached.connected_account_id,
            DOCUMENT.c.field == attached.field,
            DOCUMENT.c.person_id == attached.person_id,
            DOCUMENT.c.side == attached.side,
            DOCUMENT.c.document_id != attached.document_id,
            DOCUMENT.c.state == State.ATTACHED,
        )
        .values(
            state=State.REPLACED,
            state_time=now,
            next_attempt_time=None,
            destroy_time=func.least(DOCUMENT.c.destroy_time, destroy_time),
        )
    )


async def destroy(connection: AsyncConnection, now: datetime) -> int:
    """Destroys contents whose time has come; how many. What was still on its way has expired."""
    due = (
        select(DOCUMENT.c.document_id)
        .where(DOCUMENT.c.sealed.is_not(None), DOCUMENT.c.destroy_time <= now)
        .order_by(DOCUMENT.c.destroy_time)
        .limit(DESTROYED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    expired = DOCUMENT.c.state.in_(ON_THE_WAY)
    rows = await connection.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.document_id.in_(due))
        .values(
            sealed=None,
            fence=DOCUMENT.c.fence + 1,
            state=case((expired, State.REFUSED), else_=DOCUMENT.c.state),
            refusal=case((expired, Refusal.EXPIRED), else_=DOCUMENT.c.refusal),
            state_time=case((expired, now), else_=DOCUMENT.c.state_time),
            next_attempt_time=case((expired, None), else_=DOCUMENT.c.next_attempt_time),
        )
        .returning(DOCUMENT.c.document_id)
    )
    return len(rows.all())


async def waiting(connection: AsyncConnection) -> dict[State, tuple[int, datetime | None]]:
    """Of each open state, how many documents are in it and since when the oldest is."""
    rows = await connection.execute(
        select(
            DOCUMENT.c.state,
            func.count().label("documents"),
            func.min(DOCUMENT.c.state_time).label("oldest"),
        )
        .where(DOCUMENT.c.state.in_(OPEN))
        .group_by(DOCUMENT.c.state)
    )
    found = {State(row.state): (row.documents, row.oldest) for row in rows}
    return {state: found.get(state, (0, None)) for state in OPEN}


def document_of(row: RowMapping) -> Document:
    """The document of a row."""
    values: dict[str, Any] = {
        **row,
        "side": Side(row["side"]),
        "state": State(row["state"]),
        "refusal": Refusal(row["refusal"]),
        "error_codes": tuple(row["error_codes"]),
    }
    return Document(**values)

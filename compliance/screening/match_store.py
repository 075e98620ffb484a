"""Where matches are kept, and what becomes of one when its subject or list entry changes."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance.checks.canonical import build, microseconds, plain
from compliance.errors import match_not_found
from compliance.screening.index import Hit
from compliance.screening.names import RULES_VERSION
from compliance.screening.scoring import Explanation
from compliance.tables import MATCH, MATCH_CHANGE
from runtime.sql_files import read_sql

SCREENER = "screening"
_WRITE_SCREENINGS = read_sql(__file__, "write_screenings")


@dataclass(frozen=True)
class Screened:
    """What a subject's profile was found to match on a list.

    `scope` are the ids of the entries that were screened against; None is the whole list.
    `is_comparable` is False if a name leaves nothing to compare.
    """

    subject_id: str
    profile_revision: int
    list: str
    list_version: int
    hits: Sequence[Hit]
    scope: frozenset[str] | None
    is_comparable: bool


@dataclass(frozen=True)
class Match:
    """A row of `match`."""

    match_id: str
    subject_id: str
    list: str
    entry_id: str
    entry_hash: str
    entry_name: str
    programs: tuple[str, ...]
    score: float
    explanation: Explanation
    state: str
    decision_note: str
    profile_revision: int
    list_version: int
    create_time: datetime
    update_time: datetime


_COLUMNS = [MATCH.c[name] for name in Match.__dataclass_fields__]


def state_after(
    state: str | None, *, same_subject: bool, same_entry: bool, hit: bool
) -> str | None:
    """What becomes of a match when its subject is screened again; None: there still is none.

    A cleared match stays cleared until the subject's profile or the entry changes. A confirmed one
    stays confirmed: a changed name must not get a sanctioned merchant out of a denial.
    """
    if state == "CONFIRMED":
        return state
    if not hit:
        return None if state is None else "OBSOLETE"
    if state is None or state == "OBSOLETE":
        return "OPEN"
    return state if same_subject and same_entry else "OPEN"


async def record_screenings(
    connection: AsyncConnection, screenings: Sequence[Screened], now: datetime
) -> None:
    """Stores what was found; hold the subjects' locks. All screenings are of one list."""
    if not screenings:
        return
    existing = await _matches_of(
        connection, screenings[0].list, [screened.subject_id for screened in screenings]
    )
    for screened in screenings:
        await _record_one(connection, screened, existing.get(screened.subject_id, {}), now)
    await connection.exec_driver_sql(
        _WRITE_SCREENINGS,
        {
            "list": screenings[0].list,
            "screen_time_us": microseconds(now),
            "rules_version": RULES_VERSION,
            "screenings": json.dumps(
                [
                    {
                        "subject_id": screened.subject_id,
                        "profile_revision": screened.profile_revision,
                        "list_version": screened.list_version,
                        "is_comparable": screened.is_comparable,
                    }
                    for screened in screenings
                ]
            ),
        },
    )


async def _record_one(
    connection: AsyncConnection, screened: Screened, existing: Mapping[str, Match], now: datetime
) -> None:
    hits = {hit.entry.entry_id: hit for hit in screened.hits}
    for entry_id, hit in hits.items():
        before = existing.get(entry_id)
        if before is None and (decided := same_under_another_id(hit, screened, existing)):
            await _store_hit(
                connection, screened, hit, None, decided.state, now, decided.decision_note
            )
            continue
        state = state_after(
            before.state if before else None,
            same_subject=before is not None
            and before.profile_revision == screened.profile_revision,
            same_entry=before is not None and before.entry_hash == hit.entry.content_hash,
            hit=True,
        )
        await _store_hit(connection, screened, hit, before, state or "OPEN", now)
    for entry_id, before in existing.items():
        in_scope = screened.scope is None or entry_id in screened.scope
        if entry_id in hits or not in_scope:
            continue
        state = state_after(before.state, same_subject=False, same_entry=False, hit=False)
        if state is not None and state != before.state:
            await set_state(connection, before.match_id, state, note="", client=SCREENER, now=now)


def same_under_another_id(
    hit: Hit, screened: Screened, existing: Mapping[str, Match]
) -> Match | None:
    """The decided match with what is the same entry but for its id: the decision holds for it, too.

    Only while the subject's profile is the one that was decided about; a confirmed one goes first.
    """
    same = [
        match
        for match in existing.values()
        if match.state in ("CLEARED", "CONFIRMED")
        and match.profile_revision == screened.profile_revision
        and replace(hit.entry, entry_id=match.entry_id).content_hash == match.entry_hash
    ]
    return max(same, key=lambda match: (match.state, match.match_id), default=None)


async def _store_hit(
    connection: AsyncConnection,
    screened: Screened,
    hit: Hit,
    before: Match | None,
    state: str,
    now: datetime,
    note: str = "",
) -> None:
    found = {
        "entry_hash": hit.entry.content_hash,
        "entry_name": hit.entry.name,
        "programs": list(hit.entry.programs),
        "score": hit.score,
        "explanation": plain(hit.explanation),
        "profile_revision": screened.profile_revision,
    }
    if before is None:
        match_id = f"mat_{uuid.uuid4().hex}"
        await connection.execute(
            insert(MATCH).values(
                **found,
                match_id=match_id,
                subject_id=screened.subject_id,
                list=screened.list,
                entry_id=hit.entry.entry_id,
                state=state,
                decision_note=note,
                list_version=screened.list_version,
                create_time=now,
                update_time=now,
            )
        )
        await _keep_change(connection, match_id, state, note, SCREENER, now)
        return
    unchanged = (
        before.state == state
        and before.profile_revision == screened.profile_revision
        and before.entry_hash == hit.entry.content_hash
    )
    if unchanged:
        return
    if before.entry_hash != hit.entry.content_hash:
        found["list_version"] = screened.list_version
    await connection.execute(
        update(MATCH).where(MATCH.c.match_id == before.match_id).values(**found)
    )
    if before.state != state:
        await set_state(connection, before.match_id, state, note="", client=SCREENER, now=now)


async def set_state(
    connection: AsyncConnection, match_id: str, state: str, *, note: str, client: str, now: datetime
) -> None:
    """Brings a match into a state and keeps who did so and why."""
    await connection.execute(
        update(MATCH)
        .where(MATCH.c.match_id == match_id)
        .values(state=state, decision_note=note, update_time=now)
    )
    await _keep_change(connection, match_id, state, note, client, now)


async def retire_entries(
    connection: AsyncConnection, list_name: str, entry_ids: Sequence[str], now: datetime
) -> None:
    """Who is not listed any more matches nothing; confirmed matches end here, too."""
    rows = await connection.execute(
        select(MATCH.c.match_id).where(
            MATCH.c.list == list_name,
            MATCH.c.entry_id == func.any(list(entry_ids)),
            MATCH.c.state != "OBSOLETE",
        )
    )
    for match_id in rows.scalars().all():
        await set_state(
            connection,
            match_id,
            "OBSOLETE",
            note="the entry left the list",
            client=SCREENER,
            now=now,
        )


async def lock_match(connection: AsyncConnection, match_id: str) -> Match:
    """The match, which nobody else changes before this transaction ends."""
    return await _one(connection, match_id, select(*_COLUMNS).with_for_update())


async def get_match(connection: AsyncConnection, match_id: str) -> Match:
    """The match. Raises `MATCH_NOT_FOUND`."""
    return await _one(connection, match_id, select(*_COLUMNS))


async def list_matches(
    connection: AsyncConnection,
    filters: Mapping[str, str],
    *,
    before_ordinal: int | None,
    limit: int,
) -> list[tuple[int, Match]]:
    """Matches with their place in the order of finding, the newest first."""
    statement = select(MATCH.c.ordinal, *_COLUMNS).order_by(MATCH.c.ordinal.desc())
    for name, value in filters.items():
        statement = statement.where(MATCH.c[name] == value)
    if before_ordinal is not None:
        statement = statement.where(MATCH.c.ordinal < before_ordinal)
    rows = await connection.execute(statement.limit(limit))
    return [(row["ordinal"], _match_of(row)) for row in rows.mappings()]


async def _one(connection: AsyncConnection, match_id: str, statement: Any) -> Match:
    rows = await connection.execute(statement.where(MATCH.c.match_id == match_id))
    row = rows.mappings().one_or_none()
    if row is None:
        raise match_not_found(match_id)
    return _match_of(row)


async def _matches_of(
    connection: AsyncConnection, list_name: str, subject_ids: Sequence[str]
) -> dict[str, dict[str, Match]]:
    """By subject and entry, locked, so that nobody decides one of them meanwhile."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(MATCH.c.list == list_name, MATCH.c.subject_id == func.any(list(subject_ids)))
        .order_by(MATCH.c.match_id)
        .with_for_update()
    )
    found: dict[str, dict[str, Match]] = {}
    for row in rows.mappings():
        match = _match_of(row)
        found.setdefault(match.subject_id, {})[match.entry_id] = match
    return found


async def _keep_change(
    connection: AsyncConnection, match_id: str, state: str, note: str, client: str, now: datetime
) -> None:
    await connection.execute(
        insert(MATCH_CHANGE).values(
            match_id=match_id, state=state, note=note, client=client, record_time=now
        )
    )


def _match_of(row: RowMapping) -> Match:
    values = {name: row[name] for name in Match.__dataclass_fields__}
    values["programs"] = tuple(row["programs"])
    values["explanation"] = build(row["explanation"], Explanation)
    return Match(**values)

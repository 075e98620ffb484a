"""Adjustments in PostgreSQL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.adjusting.adjustment import Accounts, AdjustmentState
from reconciliation.matching.item import Leg, Source
from runtime.sql_files import read_sql

MAX_UNDER_WAY = 100

_READ = read_sql(__file__, "read_adjustments")
_ADD = """
    INSERT INTO adjustment (
        difference_id, ledger_request_id, corridor, amounts, accounts, item_ids, token, needs_two,
        client, remark, record_time
    ) VALUES (
        %(break_id)s, %(ledger_request_id)s, %(corridor)s, %(amounts)s, %(accounts)s,
        %(item_ids)s::bigint[], %(token)s, %(needs_two)s, %(client)s, %(note)s, %(now)s
    ) RETURNING adjustment_id
"""
_ADD_STEP = """
    INSERT INTO adjustment_step (
        adjustment_id, step, state, approver, ledger_sequence, failure, record_time
    ) VALUES (
        %(adjustment_id)s, %(step)s, %(state)s, %(approver)s, %(ledger_sequence)s, %(failure)s,
        %(now)s
    )
"""
_TOKENS = """
    SELECT DISTINCT unnest(i.tokens) AS token FROM item AS i
    WHERE i.item_id = any(%(item_ids)s) OR i.ordinal = any(%(item_ids)s) ORDER BY token LIMIT 1
"""
_LEDGER_ITEMS = """
    SELECT i.key, i.item_id, s.match_id, s.end_change
    FROM item AS i
    LEFT JOIN LATERAL (
        SELECT w.match_id, w.end_change FROM item_standing AS w
        WHERE w.leg = %(leg)s AND w.item_id = i.ordinal ORDER BY w.generation DESC LIMIT 1
    ) AS s ON TRUE
    WHERE i.source = %(source)s AND i.corridor = %(corridor)s AND i.key = any(%(keys)s)
        AND i.item_id = i.ordinal AND i.ordinal <= %(upto)s
"""
# What an adjustment in a leg is as an item.
_ITEMS_OF = {Leg.BOOKED: Source.LEDGER, Leg.BANKED: Source.ADJUSTMENT}
_MEMBERS = "SELECT item_id FROM standing WHERE match_id = %(match_id)s"


@dataclass(frozen=True)
class Adjustment:
    """A difference that is to be posted, and how far that is."""

    adjustment_id: int
    break_id: int
    leg: Leg
    """Of the break."""
    ledger_request_id: str
    corridor: str
    differences: Mapping[str, int]
    accounts: tuple[Accounts, ...]
    item_ids: tuple[int, ...]
    token: str
    needs_two: bool
    client: str
    note: str
    record_time: datetime
    decide_time: datetime | None
    state: AdjustmentState
    failure: str
    approver: str
    ledger_sequence: int


@dataclass(frozen=True)
class LedgerItem:
    """An item that came of an adjustment, and the match that it is in; 0 if it is in none."""

    key: str
    item_id: int
    match_id: int


async def read(
    connection: AsyncConnection,
    *,
    adjustment_id: int = 0,
    break_id: int = 0,
    is_under_way: bool = False,
    limit: int = MAX_UNDER_WAY,
) -> list[Adjustment]:
    """Adjustments in the order in which they were asked for."""
    rows = await connection.exec_driver_sql(
        _READ,
        {
            "adjustment_id": adjustment_id,
            "difference_id": break_id,
            "is_under_way": is_under_way,
            "limit": limit,
        },
    )
    return [_adjustment(row) for row in rows]


async def add(
    connection: AsyncConnection,
    *,
    differences: Mapping[str, int],
    accounts: Sequence[Accounts],
    **values: Any,
) -> int:
    """Writes down what is asked for; its id."""
    placed = [[a.currency, a.balance_account, a.counter_account] for a in sorted(accounts)]
    rows = await connection.exec_driver_sql(
        _ADD,
        {
            **values,
            "amounts": json.dumps(sorted(differences.items())),
            "accounts": json.dumps(placed),
        },
    )
    return int(rows.scalar_one())


async def add_step(
    connection: AsyncConnection,
    adjustment_id: int,
    step: int,
    state: AdjustmentState,
    now: datetime,
    *,
    approver: str = "",
    ledger_sequence: int = 0,
    failure: str = "",
) -> None:
    """Writes down how far it is."""
    await connection.exec_driver_sql(
        _ADD_STEP,
        {
            "adjustment_id": adjustment_id,
            "step": step,
            "state": state.value,
            "approver": approver,
            "ledger_sequence": ledger_sequence,
            "failure": failure,
            "now": now,
        },
    )


async def first_token(connection: AsyncConnection, item_ids: Sequence[int]) -> str:
    """A reference that one of some items has; empty if there is none."""
    rows = await connection.exec_driver_sql(_TOKENS, {"item_ids": list(item_ids)})
    return str(rows.scalar_one_or_none() or "")


async def ledger_items(
    connection: AsyncConnection, leg: Leg, corridor: str, keys: Sequence[str], upto: int
) -> list[LedgerItem]:
    """The items of some keys that matching has looked at."""
    source = _ITEMS_OF[leg]
    rows = await connection.exec_driver_sql(
        _LEDGER_ITEMS,
        {
            "leg": leg.value,
            "source": source.value,
            "corridor": corridor,
            "keys": list(keys),
            "upto": upto,
        },
    )
    return [
        LedgerItem(row.key, row.item_id, row.match_id or 0 if row.end_change is None else 0)
        for row in rows
    ]


async def members(connection: AsyncConnection, match_id: int) -> set[int]:
    """The items of a match."""
    return set((await connection.exec_driver_sql(_MEMBERS, {"match_id": match_id})).scalars())


def _adjustment(row: Any) -> Adjustment:
    return Adjustment(
        adjustment_id=row.adjustment_id,
        break_id=row.difference_id,
        leg=Leg(row.leg),
        ledger_request_id=row.ledger_request_id,
        corridor=row.corridor,
        differences={code: int(amount) for code, amount in row.amounts},
        accounts=tuple(Accounts(*each) for each in row.accounts),
        item_ids=tuple(row.item_ids),
        token=row.token,
        needs_two=row.needs_two,
        client=row.client,
        note=row.remark,
        record_time=row.record_time,
        decide_time=row.decide_time,
        state=AdjustmentState(row.state),
        failure=row.failure,
        approver=row.approver,
        ledger_sequence=row.ledger_sequence,
    )

"""What positions are made of, as it was known at a moment."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.balances import store as balance_store
from reconciliation.items.reading import Moment
from reconciliation.liquidity.position import OpenPayouts, Place, Position, positions
from runtime.sql_files import read_sql

_OPEN_PAYOUTS = read_sql(__file__, "open_payouts")
_STATED = read_sql(__file__, "stated")


async def positions_at(
    connection: AsyncConnection, moment: Moment, corridor: str = "", currency: str = ""
) -> list[Position]:
    """The positions at a moment, by corridor and currency; filters that are empty match all."""
    balances = await balance_store.known_at(connection, moment.time, corridor, currency)
    payouts = await _open_payouts(connection, moment, corridor, currency)
    rows = await connection.exec_driver_sql(_STATED, {"time": moment.time})
    stated: list[Place] = [(row.corridor, row.currency) for row in rows]
    return positions(balances, payouts, stated, moment.time.date())


async def _open_payouts(
    connection: AsyncConnection, moment: Moment, corridor: str, currency: str
) -> Sequence[OpenPayouts]:
    rows = await connection.exec_driver_sql(
        _OPEN_PAYOUTS,
        {
            "time": moment.time,
            "change_number": moment.change_number,
            "corridor": corridor,
            "currency": currency,
        },
    )
    return [
        OpenPayouts(
            corridor=row.corridor,
            currency=row.currency,
            day=row.day,
            amount_minor=row.amount_minor,
            count=row.payouts,
        )
        for row in rows
    ]

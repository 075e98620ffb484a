"""Balances at Stripe as they were found, kept; migration 0003_balances makes the table."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.balances.balance import Balance
from runtime.sql_files import read_sql

# So often one is written that stays as it is: it says that it was looked at.
KEPT_EVERY = timedelta(hours=1)
# What nobody has looked at for longer is not known.
KNOWN_FOR = timedelta(days=1)
# Nothing is known so long before.
_BEGINNING = datetime.min.replace(tzinfo=UTC) + KNOWN_FOR

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation.balances', 0))"
_KEEP = read_sql(__file__, "keep_balances")
_KNOWN = read_sql(__file__, "known_balances")


async def keep(connection: AsyncConnection, balances: Iterable[Balance], now: datetime) -> None:
    """Writes the balances that differ from what is known of them, one keeper at a time."""
    await connection.exec_driver_sql(_LOCK)
    found = [
        {
            "corridor": balance.corridor,
            "currency": balance.currency,
            "part": balance.part,
            "stripe_minor": balance.stripe_minor,
            "sum_minor": balance.sum_minor,
            "sweep_time": balance.sweep_time.isoformat(),
        }
        for balance in balances
    ]
    await connection.exec_driver_sql(
        _KEEP, {"balances": json.dumps(found), "now": now, "stale": now - KEPT_EVERY}
    )


async def known_at(
    connection: AsyncConnection, time: datetime, corridor: str = "", currency: str = ""
) -> Sequence[Balance]:
    """The balances as they were known at a time, by corridor, currency and part; filters that are
    empty match all."""
    time = max(time, _BEGINNING)
    rows = await connection.exec_driver_sql(
        _KNOWN,
        {
            "time": time,
            "since": time - KNOWN_FOR,
            "corridor": corridor,
            "currency": currency,
        },
    )
    return [
        Balance(
            corridor=row.corridor,
            currency=row.currency,
            part=row.part,
            stripe_minor=row.stripe_minor,
            sum_minor=row.sum_minor,
            differing_sweeps=0,
            differs_since=None,
            sweep_time=row.sweep_time,
        )
        for row in rows
    ]

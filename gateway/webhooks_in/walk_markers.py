"""The table webhook_walk: until when the database has the events of each account (`walks`)."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Column, DateTime, MetaData, Table, Text, select
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime.postgres import database_incarnation
from runtime.sql_files import sql_statement

WALK = Table(
    "webhook_walk",
    MetaData(),
    Column("corridor", Text, primary_key=True),
    # Empty for the corridor's own.
    Column("stripe_account", Text, primary_key=True),
    Column("walked_until", DateTime(timezone=True), nullable=False),
)
ADVANCE_WALKS = sql_statement(__file__, "advance_walks")

# A corridor, and a connected account of it or None for its own.
Account = tuple[str, str | None]


class WalkMarkers:
    """One marker of each account."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def walked_until(self, account: Account) -> datetime | None:
        """The database has every event of the account that was made before then and that was
        acknowledged or listed as undelivered; None if nobody has shown that yet."""
        corridor, stripe_account = account
        marker = select(WALK.c.walked_until).where(
            WALK.c.corridor == corridor, WALK.c.stripe_account == (stripe_account or "")
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(marker)).scalar_one_or_none()

    async def advance(self, walked: Mapping[Account, datetime], incarnation: str) -> bool:
        """Moves markers forward, and none back; False, and nothing is written, if the database is
        not the one in which that was shown."""
        if not walked:
            return True
        parameters = {
            "corridors": [corridor for corridor, _ in walked],
            "stripe_accounts": [stripe_account or "" for _, stripe_account in walked],
            "walked_until": list(walked.values()),
        }
        async with self._engine.begin() as connection:
            # A transaction is at one server from its begin to its end.
            if await database_incarnation(connection) != incarnation:
                return False
            await connection.execute(ADVANCE_WALKS, parameters)
        return True

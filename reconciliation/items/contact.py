"""When feeds were last known to be open, kept beside their cursors."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

# So often it is written at most.
KEPT_EVERY = timedelta(minutes=1)

# A process with a clock that is behind does not take back what another one has seen.
_KEEP = """
    INSERT INTO feed_contact AS c (source_name, contact_time) VALUES (%(name)s, %(now)s)
    ON CONFLICT (source_name) DO UPDATE SET contact_time = excluded.contact_time
    WHERE c.contact_time < excluded.contact_time
"""
_BEGIN = """
    INSERT INTO feed_contact (source_name, contact_time)
    SELECT n.name, %(now)s FROM unnest(%(names)s::text[]) AS n (name)
    ON CONFLICT (source_name) DO NOTHING
"""
_KNOWN = """
    SELECT source_name, contact_time FROM feed_contact WHERE source_name = any(%(names)s)
"""


async def keep_contact(connection: AsyncConnection, name: str, now: datetime) -> None:
    """A feed is open."""
    await connection.exec_driver_sql(_KEEP, {"name": name, "now": now})


async def contacts_of(
    connection: AsyncConnection, names: Sequence[str], now: datetime
) -> Mapping[str, datetime]:
    """When each of some feeds was last open; those that never were count from the first look."""
    values = {"names": list(names), "now": now}
    await connection.exec_driver_sql(_BEGIN, values)
    rows = await connection.exec_driver_sql(_KNOWN, values)
    return {row.source_name: row.contact_time for row in rows}

"""The tables as SQLAlchemy sees them; the migration 0004_scheduling makes them."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text

_metadata = MetaData()
_TIME = DateTime(timezone=True)

CANDIDATE = Table(
    "scheduling_candidate",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("session_key", Integer, nullable=False),
    Column("lease_until", _TIME, nullable=False),
)

DUTY = Table(
    "scheduling_duty",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("leader", Text),
    Column("term", BigInteger, nullable=False),
    Column("elect_time", _TIME),
)

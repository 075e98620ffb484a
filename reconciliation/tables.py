"""The tables that SQLAlchemy is told of; migrations are what makes them."""

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Table, Text

METADATA = MetaData()

MUTATION = Table(
    "mutation",
    METADATA,
    Column("method", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("request", LargeBinary),
    Column("response", LargeBinary),
    Column("failure", LargeBinary),
    Column("record_time", DateTime(timezone=True)),
)

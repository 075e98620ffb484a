"""Merchants and their snapshots in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.epochs import Epochs, FeedName, epochs
from gateway.v1 import merchant_pb2
from runtime.clock import Clock

# Notified with each new snapshot, listened to by WatchMerchants.
CHANNEL = "gateway_merchant"

metadata = MetaData()

MERCHANT = Table(
    "merchant",
    metadata,
    Column("merchant_number", BigInteger, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account_id", Text),
    Column("state", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("create_request_id", Text, nullable=False),
    Column("snapshot_sequence", BigInteger),
    Column("fetch_time", DateTime(timezone=True)),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)

SNAPSHOT = Table(
    "merchant_snapshot",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)

SNAPSHOT_COUNTER = Table(
    "merchant_snapshot_counter",
    metadata,
    Column("only_row", Boolean, primary_key=True),
    Column("last_sequence", BigInteger, nullable=False),
)

STATES: dict[str, Any] = {
    name.removeprefix("MERCHANT_STATE_"): number
    for name, number in merchant_pb2.MerchantState.items()
}
STATE_NAMES: dict[int, str] = {number: name for name, number in STATES.items()}

SNAPSHOT_COLUMNS = (
    SNAPSHOT.c.sequence,
    SNAPSHOT.c.content,
    SNAPSHOT.c.content_hash,
    SNAPSHOT.c.record_time,
)


@dataclass(frozen=True)
class StoredMerchant:
    """A merchant with the row that it came from."""

    number: int
    create_request_id: str
    message: merchant_pb2.Merchant
    fetch_time: datetime | None


class MerchantStore:
    """The tables merchant and merchant_snapshot."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def disconnect(self, merchant_id: str) -> None:
        """We may no longer act for the account."""
        async with self._engine.begin() as connection:
            await change(connection, merchant_id, self._clock.now(), state="DISCONNECTED")

    async def by_id(self, merchant_id: str) -> StoredMerchant | None:
        """The merchant with its last snapshot."""
        async with self._engine.connect() as connection:
            return await find(connection, merchant_id)

    async def by_account(self, stripe_account_id: str) -> StoredMerchant | None:
        """The merchant of a connected account."""
        return await self._one(
            _merchants().where(MERCHANT.c.stripe_account_id == stripe_account_id)
        )

    async def page(
        self, *, corridor: str, state: int, after_number: int, limit: int
    ) -> list[StoredMerchant]:
        """Merchants after a number, in the order in which they were asked for."""
        statement = (
            _merchants()
            .where(MERCHANT.c.merchant_number > after_number)
            .order_by(MERCHANT.c.merchant_number)
            .limit(limit)
        )
        if corridor:
            statement = statement.where(MERCHANT.c.corridor == corridor)
        if state:
            name = STATE_NAMES[state]
            statement = statement.where(MERCHANT.c.state == name)
        async with self._engine.connect() as connection:
            return [_stored(row) for row in await connection.execute(statement)]

    async def accounts_after(self, corridor: str, number: int, limit: int) -> list[tuple[int, str]]:
        """Connected accounts of merchants after a number, with their merchants' numbers."""
        statement = (
            select(MERCHANT.c.merchant_number, MERCHANT.c.stripe_account_id)
            .where(
                MERCHANT.c.corridor == corridor,
                MERCHANT.c.state == "CONNECTED",
                MERCHANT.c.merchant_number > number,
            )
            .order_by(MERCHANT.c.merchant_number)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [(row[0], row[1]) for row in await connection.execute(statement)]

    async def snapshots_after(self, sequence: int, limit: int) -> list[merchant_pb2.Merchant]:
        """Merchants with their snapshots after a sequence, in its order, each snapshot once."""
        statement = (
            select(MERCHANT, *SNAPSHOT_COLUMNS)
            .join(SNAPSHOT, SNAPSHOT.c.merchant_id == MERCHANT.c.merchant_id)
            .where(SNAPSHOT.c.sequence > sequence)
            .order_by(SNAPSHOT.c.sequence)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_stored(row).message for row in await connection.execute(statement)]

    async def snapshot_epochs(self) -> Epochs:
        """The epochs of the snapshots' sequences, and the last sequence."""
        async with self._engine.connect() as connection:
            newest = await connection.execute(select(SNAPSHOT_COUNTER.c.last_sequence))
            return await epochs(connection, FeedName.MERCHANTS, newest.scalar_one())

    async def save_snapshot(
        self,
        merchant_id: str,
        snapshot: merchant_pb2.AccountSnapshot,
        content_hash: bytes,
        fetch_time: datetime,
    ) -> bool:
        """Keeps what was fetched at a time; whether it differs from what was kept before.

        What was fetched before the last kept fetch is older news and is left out.
        """
        locked = select(MERCHANT).where(MERCHANT.c.merchant_id == merchant_id).with_for_update()
        async with self._engine.begin() as connection:
            merchant = (await connection.execute(locked)).one()
            if merchant.fetch_time is not None and merchant.fetch_time >= fetch_time:
                return False
            last = select(SNAPSHOT.c.content_hash).where(
                SNAPSHOT.c.sequence == merchant.snapshot_sequence
            )
            values: dict[str, Any] = {"fetch_time": fetch_time, "state": "CONNECTED"}
            changed = (await connection.execute(last)).scalar_one_or_none() != content_hash
            if changed:
                # The lock on the counter makes sequences gapless and in the order of commits.
                next_sequence = (
                    update(SNAPSHOT_COUNTER)
                    .values(last_sequence=SNAPSHOT_COUNTER.c.last_sequence + 1)
                    .returning(SNAPSHOT_COUNTER.c.last_sequence)
                )
                sequence = (await connection.execute(next_sequence)).scalar_one()
                await connection.execute(
                    insert(SNAPSHOT).values(
                        sequence=sequence,
                        merchant_id=merchant_id,
                        content=json_format.MessageToDict(
                            snapshot, preserving_proto_field_name=True
                        ),
                        content_hash=content_hash,
                        record_time=self._clock.now(),
                    )
                )
                values |= {"snapshot_sequence": sequence, "update_time": self._clock.now()}
                await connection.execute(select(func.pg_notify(CHANNEL, "")))
            await connection.execute(
                update(MERCHANT).where(MERCHANT.c.merchant_id == merchant_id).values(**values)
            )
        return changed

    async def _one(self, statement: Select[Any]) -> StoredMerchant | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return _stored(row) if row is not None else None


async def add(
    connection: AsyncConnection,
    *,
    merchant_id: str,
    corridor: str,
    request_id: str,
    now: datetime,
    stripe_account_id: str | None = None,
) -> StoredMerchant | None:
    """Adds a merchant, CREATING or, with its account, CONNECTED; or finds it.

    None if the account is another merchant's. That the merchant itself may be another
    request's is for the caller to look at.
    """
    statement = (
        insert_or_ignore(MERCHANT)
        .values(
            merchant_id=merchant_id,
            corridor=corridor,
            stripe_account_id=stripe_account_id,
            state="CREATING" if stripe_account_id is None else "CONNECTED",
            create_request_id=request_id,
            create_time=now,
            update_time=now,
        )
        .on_conflict_do_nothing()
    )
    await connection.execute(statement)
    return await find(connection, merchant_id)


async def find(connection: AsyncConnection, merchant_id: str) -> StoredMerchant | None:
    """The merchant with its last snapshot."""
    statement = _merchants().where(MERCHANT.c.merchant_id == merchant_id)
    row = (await connection.execute(statement)).one_or_none()
    return _stored(row) if row is not None else None


async def lock(connection: AsyncConnection, merchant_id: str) -> StoredMerchant | None:
    """The same, locked until the transaction ends."""
    locked = select(MERCHANT.c.merchant_id).where(MERCHANT.c.merchant_id == merchant_id)
    await connection.execute(locked.with_for_update())
    return await find(connection, merchant_id)


async def change(
    connection: AsyncConnection, merchant_id: str, now: datetime, **values: Any
) -> None:
    """Writes what became of a merchant."""
    statement = (
        update(MERCHANT)
        .where(MERCHANT.c.merchant_id == merchant_id)
        .values(update_time=now, **values)
    )
    await connection.execute(statement)


def _merchants() -> Select[Any]:
    return select(MERCHANT, *SNAPSHOT_COLUMNS).outerjoin(
        SNAPSHOT, SNAPSHOT.c.sequence == MERCHANT.c.snapshot_sequence
    )


def _stored(row: Any) -> StoredMerchant:
    merchant = merchant_pb2.Merchant(
        merchant_id=row.merchant_id,
        corridor=row.corridor,
        connected_account_id=row.stripe_account_id or "",
        state=STATES[row.state],
        failure_code=row.failure_code,
    )
    merchant.create_time.FromDatetime(row.create_time)
    merchant.update_time.FromDatetime(row.update_time)
    if row.sequence is not None:
        json_format.ParseDict(row.content, merchant.snapshot, ignore_unknown_fields=True)
        merchant.snapshot.sequence = row.sequence
        merchant.snapshot.content_hash = row.content_hash
        merchant.snapshot.record_time.FromDatetime(row.record_time)
        latest = row.sequence == row.snapshot_sequence
        merchant.snapshot.fetch_time.FromDatetime(row.fetch_time if latest else row.record_time)
    return StoredMerchant(
        number=row.merchant_number,
        create_request_id=row.create_request_id,
        message=merchant,
        fetch_time=row.fetch_time,
    )

"""Customers in PostgreSQL: which subject is which customer at Stripe. Nothing personal is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Select,
    Table,
    Text,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

metadata = MetaData()

CUSTOMER = Table(
    "customer",
    metadata,
    Column("customer_number", BigInteger, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_customer_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("failure_code", Text, nullable=False),
    Column("default_payment_method", Text, nullable=False),
    Column("create_request_id", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
)

CREATING, ACTIVE, FAILED, DELETED = "CREATING", "ACTIVE", "FAILED", "DELETED"
# What is kept of a customer that Stripe does not have any more.
GONE: Mapping[str, str] = {"state": DELETED, "default_payment_method": ""}


@dataclass(frozen=True, slots=True)
class StoredCustomer:
    """A customer as it stands."""

    customer_number: int
    customer_id: str
    corridor: str
    stripe_customer_id: str
    state: str
    failure_code: str
    default_payment_method: str
    create_request_id: str
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers to list; what is empty matches all."""

    customer_id: str = ""
    corridor: str = ""
    state: str = ""


class CustomerStore:
    """The table customer."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, customer_id: str, corridor: str) -> StoredCustomer | None:
        """The last customer of a subject in a corridor."""
        async with self._engine.connect() as connection:
            return await find(connection, customer_id, corridor)

    async def page(
        self, wanted: CustomerFilter, after_number: int, limit: int
    ) -> list[StoredCustomer]:
        """Customers after a number, in the order in which they were asked for."""
        statement = (
            select(CUSTOMER)
            .where(CUSTOMER.c.customer_number > after_number)
            .order_by(CUSTOMER.c.customer_number)
            .limit(limit)
        )
        for name in ("customer_id", "corridor", "state"):
            value = getattr(wanted, name)
            if value:
                statement = statement.where(CUSTOMER.c[name] == value)
        return await self._all(statement)

    async def _all(self, statement: Select[Any]) -> list[StoredCustomer]:
        async with self._engine.connect() as connection:
            return [StoredCustomer(**row._mapping) for row in await connection.execute(statement)]


async def add(
    connection: AsyncConnection, customer_id: str, corridor: str, request_id: str, now: datetime
) -> StoredCustomer:
    """The customer that this request makes, CREATING when it is new, or the living one that
    another request made before: the caller looks whose it is."""
    statement = (
        insert_or_ignore(CUSTOMER)
        .values(
            customer_id=customer_id,
            corridor=corridor,
            stripe_customer_id="",
            state=CREATING,
            failure_code="",
            default_payment_method="",
            create_request_id=request_id,
            create_time=now,
            update_time=now,
        )
        .on_conflict_do_nothing()
    )
    await connection.execute(statement)
    own = select(CUSTOMER).where(CUSTOMER.c.create_request_id == request_id)
    row = (await connection.execute(own)).one_or_none()
    if row is not None:
        return StoredCustomer(**row._mapping)
    other = await find(connection, customer_id, corridor)
    assert other is not None, "nothing else stands in its way, and customers stay"
    return other


async def find(
    connection: AsyncConnection, customer_id: str, corridor: str
) -> StoredCustomer | None:
    """The last customer of a subject in a corridor."""
    statement = (
        select(CUSTOMER)
        .where(CUSTOMER.c.customer_id == customer_id, CUSTOMER.c.corridor == corridor)
        .order_by(CUSTOMER.c.customer_number.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).one_or_none()
    return StoredCustomer(**row._mapping) if row is not None else None


async def of_stripe(
    connection: AsyncConnection, corridor: str, stripe_customer_id: str
) -> StoredCustomer | None:
    """The customer that one of Stripe's is, if we know already."""
    return await _one(
        connection,
        CUSTOMER.c.corridor == corridor,
        CUSTOMER.c.stripe_customer_id == stripe_customer_id,
        CUSTOMER.c.stripe_customer_id != "",
    )


async def preferring(
    connection: AsyncConnection, corridor: str, payment_method: str
) -> StoredCustomer | None:
    """The customer that prefers a payment method: one at most, as a method is attached once."""
    return await _one(
        connection,
        CUSTOMER.c.corridor == corridor,
        CUSTOMER.c.default_payment_method == payment_method,
        CUSTOMER.c.default_payment_method != "",
    )


async def created_by(connection: AsyncConnection, request_id: str) -> StoredCustomer | None:
    """The customer that a request asked for, if there is one."""
    return await _one(connection, CUSTOMER.c.create_request_id == request_id)


async def _one(
    connection: AsyncConnection, *conditions: ColumnElement[bool]
) -> StoredCustomer | None:
    row = (await connection.execute(select(CUSTOMER).where(*conditions).limit(1))).one_or_none()
    return StoredCustomer(**row._mapping) if row is not None else None


async def get(
    connection: AsyncConnection, customer_number: int, *, lock: bool = False
) -> StoredCustomer:
    """The customer as it stands; it must exist."""
    statement = select(CUSTOMER).where(CUSTOMER.c.customer_number == customer_number)
    if lock:
        statement = statement.with_for_update()
    return StoredCustomer(**(await connection.execute(statement)).one()._mapping)


async def change(
    connection: AsyncConnection, customer: StoredCustomer, now: datetime, **values: Any
) -> StoredCustomer:
    """Writes what became of a customer that the caller has locked."""
    statement = (
        update(CUSTOMER)
        .where(CUSTOMER.c.customer_number == customer.customer_number)
        .values(update_time=now, **values)
        .returning(*CUSTOMER.c)
    )
    return StoredCustomer(**(await connection.execute(statement)).one()._mapping)

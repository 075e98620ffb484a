"""Customers in PostgreSQL: which subject is which customer at Stripe. Nothing personal is here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncEngine

from runtime.clock import Clock

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

REQUEST = Table(
    "customer_request",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("method", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("subject_id", Text),
    Column("answer", LargeBinary),
    Column("failure", JSONB),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("answer_time", DateTime(timezone=True)),
)


CREATING, ACTIVE, FAILED, DELETED = "CREATING", "ACTIVE", "FAILED", "DELETED"


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

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def add(self, customer_id: str, corridor: str, request_id: str) -> StoredCustomer:
        """The customer that this request makes, CREATING when it is new, or the living one that
        another request made before: the caller looks whose it is."""
        now = self._clock.now()
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
        own = select(CUSTOMER).where(CUSTOMER.c.create_request_id == request_id)
        async with self._engine.begin() as connection:
            await connection.execute(statement)
            row = (await connection.execute(own)).one_or_none()
        if row is not None:
            return StoredCustomer(**row._mapping)
        other = await self.find(customer_id, corridor)
        assert other is not None, "nothing else stands in its way, and customers stay"
        return other

    async def activate(self, customer_number: int, stripe_customer_id: str) -> StoredCustomer:
        """Stripe has created the customer."""
        return await self._change(
            customer_number, state=ACTIVE, stripe_customer_id=stripe_customer_id
        )

    async def fail(self, customer_number: int, failure_code: str) -> StoredCustomer:
        """Stripe has refused to create the customer."""
        return await self._change(customer_number, state=FAILED, failure_code=failure_code)

    async def delete(self, customer_number: int) -> StoredCustomer:
        """Stripe has deleted the customer."""
        return await self._change(customer_number, state=DELETED, default_payment_method="")

    async def touch(self, customer_number: int) -> StoredCustomer:
        """Stripe has changed what it keeps about the customer."""
        return await self._change(customer_number)

    async def set_default(self, customer_number: int, payment_method: str) -> StoredCustomer:
        """The customer prefers this payment method; none if it is empty."""
        return await self._change(customer_number, default_payment_method=payment_method)

    async def find(self, customer_id: str, corridor: str) -> StoredCustomer | None:
        """The last customer of a subject in a corridor."""
        statement = (
            select(CUSTOMER)
            .where(CUSTOMER.c.customer_id == customer_id, CUSTOMER.c.corridor == corridor)
            .order_by(CUSTOMER.c.customer_number.desc())
            .limit(1)
        )
        found = await self._all(statement)
        return found[0] if found else None

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

    async def _change(self, customer_number: int, **values: Any) -> StoredCustomer:
        statement = (
            update(CUSTOMER)
            .where(CUSTOMER.c.customer_number == customer_number)
            .values(update_time=self._clock.now(), **values)
            .returning(*CUSTOMER.c)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(statement)).one()
        return StoredCustomer(**row._mapping)

    async def _all(self, statement: Select[Any]) -> list[StoredCustomer]:
        async with self._engine.connect() as connection:
            return [StoredCustomer(**row._mapping) for row in await connection.execute(statement)]

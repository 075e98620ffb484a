"""The inbox in PostgreSQL: every event once, in order, until it is dealt with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.webhooks_in import telemetry
from gateway.webhooks_in.event import ClaimedEvent, ReceivedEvent, StripeEvent, read_event
from runtime.batching import Batcher
from runtime.clock import Clock
from runtime.items import DeadLetter, Items
from runtime.postgres import database_incarnation, ping
from runtime.sql_files import sql_statement

# Notified by intake, listened to by the workers.
CHANNEL = "gateway_webhook"

metadata = MetaData()

EVENT = Table(
    "webhook_event",
    metadata,
    Column("sequence", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("corridor", Text, nullable=False),
    Column("stripe_account", Text),
    Column("event_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created_time", DateTime(timezone=True), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("lease_until", DateTime(timezone=True)),
    Column("fencing_token", BigInteger, nullable=False),
    Column("last_failure", Text),
    Column("receive_time", DateTime(timezone=True), nullable=False),
    Column("finish_time", DateTime(timezone=True)),
)

DEAD_LETTER = Table(
    "webhook_dead_letter",
    metadata,
    Column("dead_letter_number", BigInteger, primary_key=True),
    Column("corridor", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("receive_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("replay_request_id", Text),
)

UNREADABLE = Table(
    "webhook_unreadable",
    metadata,
    Column("unreadable_number", BigInteger, primary_key=True),
    Column("broker", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
)


STORE_EVENTS = sql_statement(__file__, "store_events")
CLAIM_EVENTS = sql_statement(__file__, "claim_events")
FINISH_EVENTS = sql_statement(__file__, "finish_events")
# Stripe lists events for 30 days, so nothing older can arrive again.
KEEP_DONE = timedelta(days=35)
PURGE_BATCH = 1000
# Some of those that came in last may have been made long before.
LAST_EVENTS = 100
MAX_FINISHED_AT_ONCE = 256
MAX_REASON_CHARACTERS = 200


@dataclass(frozen=True)
class InboxCounts:
    """How full the inbox of one corridor is."""

    pending: int
    oldest_pending_time: datetime | None
    dead_letters: int


class PostgresInbox:
    """The tables webhook_event and webhook_dead_letter."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        on_stored: Callable[[ReceivedEvent], None] | None = None,
    ) -> None:
        """`on_stored` is told of each event that was not there before."""
        self._engine = engine
        self._clock = clock
        self._on_stored = on_stored
        self._items = Items("webhook events")
        self._finishes: Batcher[ClaimedEvent, bool] = Batcher(
            self._finish_all, max_items=MAX_FINISHED_AT_ONCE
        )

    async def incarnation(self) -> tuple[str, datetime | None]:
        """Which database this is (`runtime.postgres.database_incarnation`), and when the newest of
        the events that came in last was made."""
        last = select(EVENT.c.created_time).order_by(EVENT.c.sequence.desc()).limit(LAST_EVENTS)
        newest = select(func.max(last.subquery().c.created_time))
        async with self._engine.connect() as connection:
            incarnation = await database_incarnation(connection)
            return incarnation, (await connection.execute(newest)).scalar_one()

    async def store(self, event: StripeEvent) -> bool:
        """Keeps one event; False if it was there already."""
        (stored,) = await self.store_all([ReceivedEvent(event, self._clock.now())])
        return stored

    async def store_all(
        self, received: Sequence[ReceivedEvent], connection: AsyncConnection | None = None
    ) -> list[bool]:
        """Keeps events in one transaction, in their order; False for each that was there already.

        On a connection that is given, or on one of its own.
        """
        if connection is None:
            async with self._engine.connect() as own:
                return await self.store_all(received, own)
        events = [one.event for one in received]
        parameters = {
            "event_ids": [event.event_id for event in events],
            "corridors": [event.corridor for event in events],
            "stripe_accounts": [event.stripe_account for event in events],
            "event_types": [event.event_type for event in events],
            "object_ids": [event.object_id for event in events],
            "subjects": [event.subject for event in events],
            "created_times": [event.created_time for event in events],
            "bodies": [event.body for event in events],
            "receive_times": [one.receive_time for one in received],
            "now": self._clock.now(),
            "channel": CHANNEL,
        }
        async with connection.begin():
            rows = (await connection.execute(STORE_EVENTS, parameters)).all()
        new = {(row.corridor, row.event_id) for row in rows}
        answers = []
        for one in received:
            key = (one.event.corridor, one.event.event_id)
            answers.append(key in new)
            if key in new and self._on_stored is not None:
                self._on_stored(one)
            # What is in the list twice was stored once.
            new.discard(key)
        return answers

    async def claim(self, limit: int, lease: timedelta) -> list[ClaimedEvent]:
        """At most `limit` events that are due, the oldest of each subject only. One whose body is
        no event becomes a dead letter."""
        now = self._clock.now()
        parameters = {"now": now, "limit": limit, "lease_until": now + lease}
        dead: list[Any] = []
        async with self._engine.begin() as connection:
            rows = (await connection.execute(CLAIM_EVENTS, parameters)).all()
            by_key = {str(row.sequence): row for row in rows}

            async def give_up(letters: Sequence[DeadLetter]) -> None:
                for letter in letters:
                    row = by_key[letter.key]
                    await self._give_up(connection, row.sequence, row.fencing_token, letter.reason)
                    dead.append(row)

            claims = await self._items.claimed(
                sorted(rows, key=lambda row: int(row.sequence)),
                _claimed,
                lambda row: str(row.sequence),
                give_up,
            )
        for row in dead:
            telemetry.dead_letters.labels(row.corridor).inc()
        return claims

    async def finish(self, claim: ClaimedEvent) -> bool:
        """The event is dealt with; False if the lease was lost to another worker."""
        return await self._finishes.submit(claim)

    async def _finish_all(self, claims: Sequence[ClaimedEvent]) -> list[bool]:
        parameters = {
            "sequences": [claim.sequence for claim in claims],
            "fencing_tokens": [claim.fencing_token for claim in claims],
            "now": self._clock.now(),
        }
        async with self._engine.begin() as connection:
            finished = set((await connection.execute(FINISH_EVENTS, parameters)).scalars())
        return [claim.sequence in finished for claim in claims]

    async def retry(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        """The event comes back at that time; later ones of its subject wait. False as above."""
        async with self._engine.begin() as connection:
            return await self._write_claimed(
                connection,
                claim,
                next_attempt_time=next_attempt_time,
                last_failure=reason[:MAX_REASON_CHARACTERS],
            )

    async def wait_out(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        async with self._engine.begin() as connection:
            return await self._write_claimed(
                connection,
                claim,
                attempts=EVENT.c.attempts - 1,
                next_attempt_time=next_attempt_time,
                last_failure=reason[:MAX_REASON_CHARACTERS],
            )

    async def postpone(self, claim: ClaimedEvent, reason: str, next_attempt_time: datetime) -> bool:
        """The event comes back at that time, behind the later ones of its subject. False as
        above."""
        async with self._engine.begin() as connection:
            return await self._write_claimed(
                connection,
                claim,
                sequence=text("DEFAULT"),
                next_attempt_time=next_attempt_time,
                last_failure=reason[:MAX_REASON_CHARACTERS],
            )

    async def dead_letter(self, claim: ClaimedEvent, reason: str) -> bool:
        """The event becomes a dead letter. False as above."""
        async with self._engine.begin() as connection:
            return await self._give_up(connection, claim.sequence, claim.fencing_token, reason)

    async def _give_up(
        self, connection: AsyncConnection, sequence: int, fencing_token: int, reason: str
    ) -> bool:
        settled = await self._write(
            connection,
            sequence,
            fencing_token,
            state="DEAD",
            finish_time=self._clock.now(),
            last_failure=reason[:MAX_REASON_CHARACTERS],
        )
        if settled:
            given_up = select(
                EVENT.c.corridor,
                EVENT.c.event_id,
                EVENT.c.event_type,
                EVENT.c.object_id,
                EVENT.c.last_failure,
                EVENT.c.attempts,
                EVENT.c.receive_time,
                EVENT.c.finish_time,
            ).where(EVENT.c.sequence == sequence)
            columns = [
                "corridor",
                "event_id",
                "event_type",
                "object_id",
                "reason",
                "attempts",
                "receive_time",
                "create_time",
            ]
            await connection.execute(insert(DEAD_LETTER).from_select(columns, given_up))
        return settled

    async def set_aside(
        self, broker: str, position: str, content: bytes, reason: str, connection: AsyncConnection
    ) -> None:
        """Keeps what came out of a broker and is no event."""
        values = {"broker": broker, "position": position, "content": content, "reason": reason}
        async with connection.begin():
            await connection.execute(
                insert(UNREADABLE).values(**values, create_time=self._clock.now())
            )

    async def ping(self) -> None:
        """Raises `SQLAlchemyError` if the database does not answer."""
        await ping(self._engine)

    async def count(self, corridor: str) -> InboxCounts:
        """How full the inbox of a corridor is."""
        pending = select(func.count(), func.min(EVENT.c.receive_time)).where(
            EVENT.c.corridor == corridor, EVENT.c.state == "PENDING"
        )
        dead = select(func.count()).where(
            DEAD_LETTER.c.corridor == corridor, DEAD_LETTER.c.replay_request_id.is_(None)
        )
        async with self._engine.connect() as connection:
            waiting, oldest = (await connection.execute(pending)).one()
            return InboxCounts(waiting, oldest, (await connection.execute(dead)).scalar_one())

    async def dead_letters(self, corridor: str, after_number: int, limit: int) -> list[Any]:
        """Rows of dead letters that were not replayed, oldest first, after a number."""
        statement = (
            select(DEAD_LETTER)
            .where(
                DEAD_LETTER.c.replay_request_id.is_(None),
                DEAD_LETTER.c.dead_letter_number > after_number,
            )
            .order_by(DEAD_LETTER.c.dead_letter_number)
            .limit(limit)
        )
        if corridor:
            statement = statement.where(DEAD_LETTER.c.corridor == corridor)
        async with self._engine.connect() as connection:
            return list((await connection.execute(statement)).all())

    async def replay(self, connection: AsyncConnection, event_id: str, request_id: str) -> bool:
        """Puts a dead letter back into the inbox, behind what is there, for one request; False if
        there is no such dead letter."""
        newest = (
            select(func.max(DEAD_LETTER.c.dead_letter_number))
            .where(DEAD_LETTER.c.event_id == event_id, DEAD_LETTER.c.replay_request_id.is_(None))
            .scalar_subquery()
        )
        mark = (
            update(DEAD_LETTER)
            .where(DEAD_LETTER.c.dead_letter_number == newest)
            .values(replay_request_id=request_id)
            .returning(DEAD_LETTER.c.corridor)
        )
        corridor = (await connection.execute(mark)).scalar_one_or_none()
        if corridor is None:
            return False
        await connection.execute(
            update(EVENT)
            .where(
                EVENT.c.corridor == corridor,
                EVENT.c.event_id == event_id,
                EVENT.c.state == "DEAD",
            )
            .values(
                sequence=text("DEFAULT"),
                state="PENDING",
                attempts=0,
                finish_time=None,
                lease_until=None,
                next_attempt_time=self._clock.now(),
            )
        )
        await connection.execute(select(func.pg_notify(CHANNEL, "")))
        return True

    async def purge(self) -> int:
        """Deletes events that are done and cannot arrive again, at most `PURGE_BATCH`."""
        old = (
            select(EVENT.c.sequence)
            .where(EVENT.c.state == "DONE", EVENT.c.finish_time < self._clock.now() - KEEP_DONE)
            .where(
                ~select(DEAD_LETTER.c.event_id)
                .where(
                    DEAD_LETTER.c.corridor == EVENT.c.corridor,
                    DEAD_LETTER.c.event_id == EVENT.c.event_id,
                )
                .exists()
            )
            .limit(PURGE_BATCH)
        )
        async with self._engine.begin() as connection:
            result = await connection.execute(delete(EVENT).where(EVENT.c.sequence.in_(old)))
            return int(result.rowcount)

    async def _write_claimed(
        self, connection: AsyncConnection, claim: ClaimedEvent, **values: Any
    ) -> bool:
        return await self._write(connection, claim.sequence, claim.fencing_token, **values)

    @staticmethod
    async def _write(
        connection: AsyncConnection, claimed: int, fencing_token: int, /, **values: Any
    ) -> bool:
        """Writes what came of a claim, unless another worker has claimed the event since."""
        result = await connection.execute(
            update(EVENT)
            .where(
                EVENT.c.sequence == claimed,
                EVENT.c.state == "PENDING",
                EVENT.c.fencing_token == fencing_token,
            )
            .values(lease_until=None, **values)
        )
        return int(result.rowcount) == 1


def _claimed(row: Any) -> ClaimedEvent:
    return ClaimedEvent(
        event=read_event(row.body, row.corridor),
        sequence=row.sequence,
        attempt=row.attempts,
        fencing_token=row.fencing_token,
    )

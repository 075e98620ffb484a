"""Cursors of a feed whose database was restored: nothing is left out, no name stands for two."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.epochs import (
    BEGINNING,
    FIRST,
    Cursor,
    Epoch,
    Epochs,
    FeedName,
    begin_epoch,
    check_cursor,
    epochs,
)
from runtime.errors import ServiceError

RESTORED = Epochs((Epoch(1_000, 4), Epoch(2_000, 9)), last_sequence=12)


@pytest.mark.parametrize(
    ("sequence", "epoch"), [(1, FIRST), (4, FIRST), (5, 1_000), (9, 1_000), (10, 2_000)]
)
def test_a_sequence_belongs_to_the_epoch_that_it_came_in(sequence: int, epoch: int) -> None:
    assert RESTORED.of(sequence) == epoch


@pytest.mark.parametrize(
    ("cursor", "begin"),
    [
        # What it has.
        (Cursor(FIRST, 0), Cursor(FIRST, 0)),
        (Cursor(FIRST, 4), Cursor(FIRST, 4)),
        (Cursor(1_000, 9), Cursor(1_000, 9)),
        (Cursor(2_000, 12), Cursor(2_000, 12)),
        # The history of an epoch has what was before it.
        (Cursor(2_000, 3), Cursor(2_000, 3)),
        # What it has not any more.
        (Cursor(FIRST, 5), Cursor(FIRST, 4)),
        (Cursor(1_000, 10), Cursor(1_000, 9)),
        # Restored once more, and nobody has said so yet.
        (Cursor(2_000, 13), Cursor(2_000, 12)),
        # An epoch that was lost itself.
        (Cursor(1_500, 3), BEGINNING),
    ],
)
def test_where_a_cursor_goes_on(cursor: Cursor, begin: Cursor) -> None:
    assert RESTORED.resume(cursor) == begin
    # What is answered is a cursor that goes on.
    assert RESTORED.resume(begin) == begin


def test_an_old_cursor_fails_and_says_where_to_begin() -> None:
    check_cursor(RESTORED, Cursor(FIRST, 4))
    with pytest.raises(ServiceError) as refused:
        check_cursor(RESTORED, Cursor(FIRST, 5))
    failure = refused.value
    assert failure.code is grpc.StatusCode.OUT_OF_RANGE
    assert failure.reason == "CURSOR_OUTDATED"
    assert failure.metadata == {"epoch": "0", "after_sequence": "4"}


@dataclass
class History:
    """A database's feed: each change a thing of its own, and the epochs that were begun."""

    changes: list[object] = field(default_factory=list)
    begun: list[Epoch] = field(default_factory=list)

    def copy(self) -> History:
        return History(list(self.changes), list(self.begun))

    @property
    def epochs(self) -> Epochs:
        return Epochs(tuple(self.begun), len(self.changes))

    def named(self, after: int) -> list[tuple[tuple[int, int], object]]:
        """Changes after a sequence under their names, as clients see them."""
        known = self.epochs
        return [
            ((known.of(sequence), sequence), change)
            for sequence, change in enumerate(self.changes, start=1)
            if sequence > after
        ]


@dataclass
class Client:
    """Follows the feed, and skips names that it knows."""

    cursor: Cursor = BEGINNING
    known: dict[tuple[int, int], object] = field(default_factory=dict)

    def read(self, history: History, count: int) -> None:
        self.cursor = history.epochs.resume(self.cursor)
        for name, change in history.named(self.cursor.sequence)[:count]:
            # A name that is known and stands for another change is one that is skipped wrongly.
            assert self.known.setdefault(name, change) is change
            self.cursor = Cursor(*name)


# First the older backup, then the younger one: the epoch that a client knows was lost.
OLDER_THEN_YOUNGER = [
    ("change", 4),
    ("back up", 0),
    ("change", 4),
    ("back up", 0),
    ("restore", 1),
    ("change", 2),
    ("read", 6),
    ("restore", 2),
]
# Each restore of the last is known to the next.
ONE_AFTER_THE_OTHER = [
    ("change", 4),
    ("back up", 0),
    ("change", 2),
    ("read", 6),
    ("restore", 1),
    ("change", 4),
    ("back up", 0),
    ("restore", 2),
    ("change", 1),
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(1, 4)),
        st.tuples(st.just("back up"), st.just(0)),
        st.tuples(st.just("restore"), st.integers(0, 5)),
        st.tuples(st.just("read"), st.integers(1, 9)),
    ),
    max_size=40,
)


@given(STEPS)
@example(OLDER_THEN_YOUNGER)
@example(ONE_AFTER_THE_OTHER)
def test_whatever_is_restored_clients_miss_nothing_and_mix_nothing_up(
    steps: list[tuple[str, int]],
) -> None:
    """Backups of any age, also older and younger ones in turn: epochs may be lost by a restore."""
    history, backups, clients = History(), [History()], [Client(), Client()]
    epoch = FIRST
    for turn, (step, number) in enumerate(steps):
        if step == "change":
            history.changes += [object() for _ in range(number)]
        elif step == "back up":
            backups.append(history.copy())
        elif step == "restore":
            history = backups[number % len(backups)].copy()
            epoch += 1
            history.begun.append(Epoch(epoch, len(history.changes)))
        else:
            clients[turn % len(clients)].read(history, number)
    for client in clients:
        client.read(history, len(history.changes))
        for name, change in history.named(0):
            assert client.known[name] is change


NUMBERED_PAYOUT = """
INSERT INTO payout_change
SELECT
    3, 'pyo_1', 'PAID', TRUE, 'po_1', '', TRUE, '', '', '', '', '', '', '', '', '', '', '', '',
    FALSE, NULL, NULL, NULL, '2026-11-30Z', '2026-11-30Z'
"""
NUMBERED_BILLING = """
INSERT INTO billing_change VALUES (2, 'default', 'invoice', 'in_1', '{}', '2026-11-30Z')
"""
NUMBERED_INCIDENT = """
INSERT INTO foresight_change VALUES
(8, 'default', 29000000, 'FORESEEN', '{}', TRUE, NULL, NULL, '2026-11-30Z')
"""
NUMBERED_SIGMA = "INSERT INTO sigma_change VALUES (4, 'default', 'sqr_1', '{}', '2026-11-30Z')"


async def test_an_epoch_begins_where_each_feed_ends(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE merchant_snapshot_counter SET last_sequence = 7"))
        await connection.execute(text("UPDATE verification_change_counter SET last_sequence = 5"))
        await connection.execute(text(NUMBERED_PAYOUT))
        await connection.execute(text(NUMBERED_BILLING))
        await connection.execute(text(NUMBERED_SIGMA))
        await connection.execute(text(NUMBERED_INCIDENT))
    async with engine.begin() as connection:
        first = await begin_epoch(connection)
    async with engine.begin() as connection:
        second = await begin_epoch(connection)
    # Of the time, so that no database that was lost has had it; later than any before.
    now_ms = await _now_ms(engine)
    assert now_ms - 60_000 < first < second <= now_ms + 1
    async with engine.connect() as connection:
        merchants = await epochs(connection, FeedName.MERCHANTS, 8)
        payments = await epochs(connection, FeedName.PAYMENTS, 0)
        verifications = await epochs(connection, FeedName.VERIFICATIONS, 6)
        payouts = await epochs(connection, FeedName.PAYOUTS, 4)
        billing = await epochs(connection, FeedName.BILLING, 3)
        sigma = await epochs(connection, FeedName.SIGMA, 5)
        foresight = await epochs(connection, FeedName.FORESIGHT, 9)
    assert merchants.begun == (Epoch(first, 7), Epoch(second, 7))
    assert payments.begun == (Epoch(first, 0), Epoch(second, 0))
    assert (merchants.of(7), merchants.of(8)) == (FIRST, second)
    assert verifications.begun == (Epoch(first, 5), Epoch(second, 5))
    assert payouts.begun == (Epoch(first, 3), Epoch(second, 3))
    assert billing.begun == (Epoch(first, 2), Epoch(second, 2))
    assert sigma.begun == (Epoch(first, 4), Epoch(second, 4))
    assert foresight.begun == (Epoch(first, 8), Epoch(second, 8))


async def _now_ms(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        now = text("SELECT cast(extract(EPOCH FROM clock_timestamp()) * 1000 AS bigint)")
        milliseconds: int = (await connection.execute(now)).scalar_one()
        return milliseconds

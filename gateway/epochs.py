"""Epochs of the feeds: which history of the database a sequence belongs to.

A gateway that was restored from a backup gives sequences again that clients know from before it
was. So whoever recovers it begins an epoch, and what follows carries it: in the cursors of
WatchPayments, WatchMerchants, WatchVerifications, WatchBalanceTransactions, WatchPayouts,
WatchBilling, WatchSigmaRuns and WatchIncidents and in the ids of webhooks. A change is named by
its epoch and its sequence together. Changes from before the backup keep their epoch, so who had
only read them goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import grpc
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ERRORS
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError
from runtime.sql_files import sql_statement

# The epoch of a database that was never restored.
FIRST = 0
# Numbers new changes of payments: gateway/payments/store/events.py. Any constant will do; it must
# differ from those of other advisory locks of the gateway.
NUMBERING_LOCK = 7_301_001
# Numbers changes of balance transactions: gateway/balance/changes.py.
BALANCE_NUMBERING_LOCK = 7_301_005
# Numbers changes of payouts: gateway/payouts/changes.py.
PAYOUT_NUMBERING_LOCK = 7_301_006
# Numbers changes of Billing: gateway/billing/store.py.
BILLING_NUMBERING_LOCK = 7_301_007
# Numbers changes of Sigma's runs: gateway/sigma/store.py.
SIGMA_NUMBERING_LOCK = 7_301_008
# Numbers changes of incidents: gateway/foresight_service/store.py.
FORESIGHT_NUMBERING_LOCK = 7_301_009
_NUMBERING_LOCKS = (
    *(NUMBERING_LOCK, BALANCE_NUMBERING_LOCK, PAYOUT_NUMBERING_LOCK, BILLING_NUMBERING_LOCK),
    *(SIGMA_NUMBERING_LOCK, FORESIGHT_NUMBERING_LOCK),
)

FEED_EPOCH = Table(
    "feed_epoch",
    MetaData(),
    Column("feed", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("after_sequence", BigInteger, nullable=False),
)

_BEGIN = sql_statement(__file__, "begin_epoch")
_LOCKS = (
    sql_statement(__file__, "lock_merchant_snapshots"),
    sql_statement(__file__, "lock_verification_changes"),
)


class FeedName(StrEnum):
    """What has sequences and is watched."""

    PAYMENTS = "payments"
    MERCHANTS = "merchants"
    VERIFICATIONS = "verifications"
    BALANCE_TRANSACTIONS = "balance_transactions"
    PAYOUTS = "payouts"
    BILLING = "billing"
    SIGMA = "sigma"
    FORESIGHT = "foresight"


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a client has handled: everything up to this sequence, as it was in this epoch."""

    epoch: int
    sequence: int


BEGINNING = Cursor(FIRST, 0)


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch and the last sequence of the one before."""

    number: int
    after_sequence: int


@dataclass(frozen=True, slots=True)
class Epochs:
    """The epochs of one feed, the oldest first, and the last sequence that it has."""

    begun: Sequence[Epoch]
    last_sequence: int

    def of(self, sequence: int) -> int:
        """The epoch of a sequence that the feed has."""
        return max((e.number for e in self.begun if e.after_sequence < sequence), default=FIRST)

    def resume(self, cursor: Cursor) -> Cursor:
        """Where to go on so that nothing is left out: at the cursor itself, unless it is of what
        the feed has not any more. Then it is the end of what the two have in common; all of it,
        if the epoch was lost itself, so that nothing is known of it."""
        if cursor.sequence == 0:
            return cursor
        end = self._end_of(cursor.epoch)
        if end is None:
            return BEGINNING
        return cursor if cursor.sequence <= end else Cursor(cursor.epoch, end)

    def _end_of(self, epoch: int) -> int | None:
        """The last sequence that this feed and its history in an epoch have in common."""
        if epoch not in (FIRST, *(e.number for e in self.begun)):
            return None
        return next((e.after_sequence for e in self.begun if e.number > epoch), self.last_sequence)


def epoch_of(feed: FeedName, sequence: Any) -> Any:
    """SQL for the epoch that a column's sequence belongs to."""
    epoch = select(func.coalesce(func.max(FEED_EPOCH.c.epoch), FIRST)).where(
        FEED_EPOCH.c.feed == feed, FEED_EPOCH.c.after_sequence < sequence
    )
    return epoch.scalar_subquery().label("epoch")


async def epochs(connection: AsyncConnection, feed: FeedName, last_sequence: int) -> Epochs:
    """The feed's epochs; the caller has read its last sequence before."""
    statement = (
        select(FEED_EPOCH.c.epoch, FEED_EPOCH.c.after_sequence)
        .where(FEED_EPOCH.c.feed == feed)
        .order_by(FEED_EPOCH.c.epoch)
    )
    rows = await connection.execute(statement)
    return Epochs(tuple(Epoch(row.epoch, row.after_sequence) for row in rows), last_sequence)


async def begin_epoch(connection: AsyncConnection) -> int:
    """Begins an epoch of every feed in the caller's transaction, once its database was restored.

    Gives its number: the Unix time in milliseconds, so that it differs from those that a database
    has had which is lost by now. Must be called before anything of after the restore is numbered;
    numbering waits until the transaction ends.
    """
    for key in _NUMBERING_LOCKS:
        await connection.execute(select(func.pg_advisory_xact_lock(key)))
    for lock in _LOCKS:
        await connection.execute(lock)
    # Another statement, so that it sees what was numbered before the locks were had.
    numbers = (await connection.execute(_BEGIN)).scalars().all()
    number: int = numbers[0]
    return number


def check_cursor(known: Epochs, cursor: Cursor) -> None:
    """Raises CURSOR_OUTDATED unless the feed goes on at the cursor."""
    begin = known.resume(cursor)
    if begin != cursor:
        raise cursor_outdated(begin)


def cursor_outdated(begin: Cursor) -> ServiceError:
    """The feed has not what the cursor stands for; `begin` is where to go on."""
    return ERRORS.error(
        grpc.StatusCode.OUT_OF_RANGE,
        ErrorReason.ERROR_REASON_CURSOR_OUTDATED,
        "the gateway's database was restored and does not have this change any more",
        metadata={"epoch": str(begin.epoch), "after_sequence": str(begin.sequence)},
    )

"""Follows the gateway's feed of changed accounts, so that both know of a change at the same time.

The gateway fetches an account at Stripe's event and stores what differs; the feed tells of it, and
the account is fetched from the gateway, which asks Stripe for nothing that it has just seen. The
rounds of `SnapshotRefresher` remain as the safety net: what cannot be fetched now is fetched then.
"""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import grpc
from sqlalchemy import select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.gateway_source import AccountUnavailableError, GatewayAccounts
from compliance.accounts.refreshing import FETCH_TIMEOUT_SECONDS, SnapshotRefresher
from compliance.accounts.store import LinkedAccount, changed_account
from compliance.feed_following import place_to_go_back_to, rounds_of
from compliance.tables import MERCHANT_WATCH
from compliance.wire_time import to_datetime
from gateway.v1 import merchant_service_pb2 as pb
from runtime.logs import get_logger
from runtime.loops import Loop, Rounds
from runtime.notifier import Notifier

# How long the loop rests at most while the feed has no news: it is woken by them.
POLL_SECONDS = 30.0
# A fetch that was under way when the account changed may have seen it before; the next has not.
MAX_FETCHES = 2

log = get_logger(__name__)


@dataclass(frozen=True)
class Cursor:
    """A place in the feed; sequences of a higher epoch come after those of a lower one."""

    epoch: int
    sequence: int


class MerchantWatch:
    """Fetches each account as soon as the gateway tells that it has changed."""

    def __init__(
        self, engine: AsyncEngine, source: GatewayAccounts, refresher: SnapshotRefresher
    ) -> None:
        self._engine = engine
        self._source = source
        self._refresher = refresher
        self._notifier = Notifier()

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the gateway was away."""
        return Loop(
            "account watch",
            session=self._follow,
            poll_seconds=POLL_SECONDS,
            notifier=self._notifier,
            expected=(grpc.aio.AioRpcError,),
        )

    async def _follow(self) -> Rounds:
        async with self._engine.connect() as connection:
            cursor = await _read(connection)
        feed = self._source.watch(cursor.epoch, cursor.sequence)
        rounds = rounds_of(feed, self._apply_each, self._notifier)
        try:
            async with aclosing(rounds):
                async for worked in rounds:
                    yield worked
        except grpc.aio.AioRpcError as error:
            # The gateway was restored from a backup, and says where its feed goes on.
            epoch, sequence = place_to_go_back_to(error)
            log.warning("account_watch_goes_back", epoch=epoch, sequence=sequence)
            async with self._engine.begin() as connection:
                await connection.execute(
                    update(MERCHANT_WATCH).values(epoch=epoch, sequence=sequence)
                )
            # This session is over; the next one is not to wait for news.
            self._notifier.notify()

    async def _apply_each(self, responses: Sequence[pb.WatchMerchantsResponse]) -> None:
        for response in responses:
            await self._apply(response)

    async def _apply(self, response: pb.WatchMerchantsResponse) -> None:
        merchant = response.merchant
        seen = to_datetime(merchant.snapshot.fetch_time)
        async with self._engine.connect() as connection:
            account = await changed_account(connection, merchant.connected_account_id, seen)
        if account is not None:
            await self._fetch(account, seen)
        async with self._engine.begin() as connection:
            await _advance(connection, Cursor(response.epoch, merchant.snapshot.sequence))

    async def _fetch(self, account: LinkedAccount, seen: datetime) -> None:
        """Fetches the account as it is since then; what fails is left to the next round of all."""
        for _ in range(MAX_FETCHES):
            try:
                snapshot = await self._refresher.fetch(account, timeout=FETCH_TIMEOUT_SECONDS)
            except AccountUnavailableError as error:
                account_id = account.connected_account_id
                log.warning("change_not_fetched", account=account_id, reason=str(error))
                return
            if snapshot.fetch_time >= seen:
                return


async def _read(connection: AsyncConnection) -> Cursor:
    rows = await connection.execute(select(MERCHANT_WATCH.c.epoch, MERCHANT_WATCH.c.sequence))
    row = rows.one()
    return Cursor(row.epoch, row.sequence)


async def _advance(connection: AsyncConnection, cursor: Cursor) -> None:
    """Never back: another replica may be further."""
    place = tuple_(MERCHANT_WATCH.c.epoch, MERCHANT_WATCH.c.sequence)
    await connection.execute(
        update(MERCHANT_WATCH)
        .where(place < (cursor.epoch, cursor.sequence))
        .values(epoch=cursor.epoch, sequence=cursor.sequence)
    )

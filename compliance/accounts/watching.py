"""Follows the gateway's feed of changed accounts, so that both know of a change at the same time.

The gateway fetches an account at Stripe's event and stores what differs; the feed tells of it, and
the account is fetched from the gateway, which asks Stripe for nothing that it has just seen. The
rounds of `SnapshotRefresher` remain as the safety net: what cannot be fetched now is fetched then.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.gateway_source import AccountUnavailableError, GatewayAccounts
from compliance.accounts.refreshing import FETCH_TIMEOUT_SECONDS, SnapshotRefresher
from compliance.accounts.store import LinkedAccount, changed_account
from compliance.gateway_feed import Cursor, GatewayFeed
from compliance.tables import MERCHANT_WATCH
from compliance.wire_time import to_datetime
from gateway.v1 import merchant_service_pb2 as pb
from runtime.logs import get_logger
from runtime.loops import Loop

# A fetch that was under way when the account changed may have seen it before; the next has not.
MAX_FETCHES = 2

log = get_logger(__name__)


class MerchantWatch:
    """Fetches each account as soon as the gateway tells that it has changed."""

    def __init__(
        self, engine: AsyncEngine, source: GatewayAccounts, refresher: SnapshotRefresher
    ) -> None:
        self._engine = engine
        self._refresher = refresher
        self._feed = GatewayFeed(
            "account watch",
            engine,
            MERCHANT_WATCH,
            lambda cursor: source.watch(cursor.epoch, cursor.sequence),
            self._apply,
        )

    def loop(self) -> Loop:
        """Follows the feed; goes on where it was after the gateway was away."""
        return self._feed.loop()

    async def _apply(self, response: pb.WatchMerchantsResponse) -> Cursor:
        merchant = response.merchant
        seen = to_datetime(merchant.snapshot.fetch_time)
        async with self._engine.connect() as connection:
            account = await changed_account(connection, merchant.connected_account_id, seen)
        if account is not None:
            await self._fetch(account, seen)
        return Cursor(response.epoch, merchant.snapshot.sequence)

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

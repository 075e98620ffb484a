"""Keeps snapshots fresh: off the path before they age, on the path when one is too old."""

import asyncio
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.gateway_source import AccountSource, AccountUnavailableError
from compliance.accounts.snapshot import AccountSnapshot
from compliance.accounts.store import LinkedAccount, accounts_to_refresh, store_snapshot
from compliance.evidence_news import EvidenceNews
from runtime import deadline
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop, is_unavailable
from runtime.notifier import Notifier
from runtime.tasks import cancel

# Snapshots are fetched again from this age on; they stop to count at 15 minutes.
REFRESH_AGE = timedelta(minutes=10)
# What the gateway itself saw this recently is as good as asking Stripe again.
ACCEPTED_AGE = timedelta(minutes=5)
ROUND_SIZE = 200
MAX_CONCURRENT_FETCHES = 8
FETCH_TIMEOUT_SECONDS = 20.0

FETCHES = Counter(
    "compliance_account_fetches_total", "Fetches of connected accounts by outcome.", ["outcome"]
)

log = get_logger(__name__)


class SnapshotRefresher:
    """Fetches and stores snapshots, one fetch of an account at a time in this process."""

    def __init__(
        self,
        engine: AsyncEngine,
        source: AccountSource | None,
        clock: Clock,
        news: EvidenceNews | None = None,
    ) -> None:
        self._engine = engine
        self._news = news or EvidenceNews()
        self._source = source
        self._clock = clock
        self._items = Items("accounts to refresh")
        # Notified of each snapshot that is stored.
        self.stored = Notifier()
        self._running: dict[str, asyncio.Task[AccountSnapshot]] = {}

    async def fetch(
        self, account: LinkedAccount, *, timeout: float, max_age: timedelta = ACCEPTED_AGE
    ) -> AccountSnapshot:
        """The snapshot just fetched and stored.

        Whoever asks while the same account is being fetched waits for that fetch, which goes on if
        the waiting ends. Raises `AccountUnavailableError`, also when `timeout` seconds are over.
        """
        key = account.connected_account_id
        task = self._running.get(key)
        if task is None:
            with deadline.detached():
                task = asyncio.create_task(self._fetch(account, max_age), name=f"fetch {key}")
            self._running[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        try:
            return await asyncio.wait_for(asyncio.shield(task), timeout)
        except TimeoutError as error:
            FETCHES.labels("late").inc()
            raise AccountUnavailableError("the gateway did not answer in time") from error

    def loop(self, interval_seconds: float) -> Loop:
        """Fetches accounts before their snapshots age."""

        async def refresh() -> bool:
            await self.refresh_round()
            return False

        return Loop("account refresh", refresh, poll_seconds=interval_seconds, rests_first=True)

    async def refresh_round(self) -> int:
        """Fetches accounts that were not fetched lately; how many it tried."""
        async with self._engine.connect() as connection:
            accounts = await accounts_to_refresh(
                connection, self._clock.now() - REFRESH_AGE, ROUND_SIZE
            )
        places = asyncio.Semaphore(MAX_CONCURRENT_FETCHES)

        async def fetch(account: LinkedAccount) -> AccountSnapshot:
            async with places:
                return await self.fetch(account, timeout=FETCH_TIMEOUT_SECONDS)

        results = await asyncio.gather(*map(fetch, accounts), return_exceptions=True)
        for account, result in zip(accounts, results, strict=True):
            if not isinstance(result, BaseException) or isinstance(result, AccountUnavailableError):
                continue
            if is_unavailable(result) or not isinstance(result, Exception):
                raise result
            self._items.unhandled(account.connected_account_id, result)
        return len(accounts)

    async def close(self) -> None:
        """Ends what is still being fetched."""
        await cancel(*self._running.values())

    async def _fetch(self, account: LinkedAccount, max_age: timedelta) -> AccountSnapshot:
        if self._source is None:
            raise AccountUnavailableError("no gateway is configured")
        async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
            snapshot = await self._source.fetch(account, max_age)
        async with self._engine.begin() as connection:
            await store_snapshot(connection, snapshot, self._clock.now())
        self.stored.notify()
        self._news.about([account.subject_id])
        return snapshot

    def _forget(self, key: str, task: asyncio.Task[AccountSnapshot]) -> None:
        self._running.pop(key, None)
        if task.cancelled():
            return
        error = task.exception()
        FETCHES.labels("ok" if error is None else "failed").inc()
        if error is not None:
            log.warning("account_not_fetched", account=key, error_type=type(error).__name__)

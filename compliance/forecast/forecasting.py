"""Forecasts at every change of an account, and of every account again and again as time goes by.

One process forecasts at a time: it holds a row for as long as a round takes. What was learnt is
read anew from time to time, since a hundred lengths more change little.
"""

from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.accounts.snapshot import AccountContent
from compliance.checks.payout_destinations import stopped_currencies
from compliance.forecast import store, watch_store
from compliance.forecast.durations import Durations
from compliance.forecast.record import Freeze, step
from compliance.forecast.rules import (
    AccountState,
    Forecast,
    Kind,
    Model,
    Standing,
    Volume,
    forecast,
)
from compliance.forecast.spans import Span, advance, answer_lengths, review_lengths
from compliance.forecast.stripe_figures import VolumeThreshold, read_delays
from compliance.forecast.volumes import VolumeSource, count_decisions
from runtime.clock import Clock
from runtime.items import Items
from runtime.loops import Loop
from runtime.notifier import Notifier

# However often snapshots are stored, a round follows the one before no sooner.
REST_SECONDS = 1.0
# Time alone changes a forecast, too: a deadline comes closer.
LOOK_AGAIN = timedelta(hours=1)
ROUND_SIZE = 200
# What was seen in this time, and of it the newest, teaches how long things take.
LEARNT_FROM = timedelta(days=180)
MOST_LEARNT = 20_000
LEARN_AGAIN = timedelta(minutes=10)

# The reason of a stop that is not Stripe's switch but where the payouts of a currency go.
DESTINATION_STOPPED = "external_account."

ALARMS = Gauge(
    "compliance_freeze_alarms", "Freezes that are expected and to be prevented now.", ["kind"]
)
NEXT = Gauge(
    "compliance_freeze_next_timestamp_seconds",
    "Unix time at which the first of them is expected; 0 if there is none.",
    ["kind"],
)


class Forecasting:
    """Keeps the forecasts of all accounts."""

    def __init__(
        self,
        engine: AsyncEngine,
        volumes: VolumeSource,
        thresholds: tuple[VolumeThreshold, ...],
        clock: Clock,
        stored: Notifier,
    ) -> None:
        """`stored` notifies of snapshots; `told` of forecasts that changed."""
        self._engine = engine
        self._volumes = volumes
        self._thresholds = thresholds
        self._delays = read_delays()
        self._clock = clock
        self._stored = stored
        self._items = Items("accounts to forecast")
        self._model: Model | None = None
        self._learn_time = datetime.min.replace(tzinfo=UTC)
        self.told = Notifier()
        for kind in Kind:
            ALARMS.labels(kind.value).set(0)
            NEXT.labels(kind.value).set(0)

    def loop(self, interval_seconds: float) -> Loop:
        """Looks at what has changed, at once, and at the others every hour."""
        return Loop(
            "freeze forecast",
            self.round,
            poll_seconds=interval_seconds,
            rest_seconds=REST_SECONDS,
            notifier=self._stored,
        )

    async def round(self) -> bool:
        """Looks at some accounts; whether there may be more to do."""
        async with self._engine.begin() as connection:
            more = await store.hold(connection) and await self._look(connection)
        # Whoever forecasts, each process tells how things stand.
        async with self._engine.connect() as connection:
            standing = await store.standing_alarms(connection)
        for kind in Kind:
            count, first = standing.get(kind.value, (0, None))
            ALARMS.labels(kind.value).set(count)
            NEXT.labels(kind.value).set(first.timestamp() if first else 0)
        self.told.notify()
        return more

    async def review_time(self, connection: AsyncConnection) -> timedelta:
        """How long a review is expected to take, by what was seen."""
        return (await self._learnt(connection, self._clock.now())).review_time

    async def _look(self, connection: AsyncConnection) -> bool:
        now = self._clock.now()
        more = await count_decisions(connection)
        accounts = await watch_store.accounts_to_look_at(
            connection, now - LOOK_AGAIN, now, ROUND_SIZE
        )
        model = await self._learnt(connection, now) if accounts else None
        for account_id in accounts:
            assert model is not None, "there are accounts"
            done = False
            with self._items.kept_apart(account_id):
                async with connection.begin_nested():
                    await self._look_at(connection, account_id, model, now)
                done = True
            if not done:
                await watch_store.put_off(connection, account_id, now + LOOK_AGAIN)
        return more or len(accounts) == ROUND_SIZE

    async def _learnt(self, connection: AsyncConnection, now: datetime) -> Model:
        if self._model is None or now - self._learn_time >= LEARN_AGAIN:
            self._model = await learn(connection, now, self._thresholds, self._delays)
            self._learn_time = now
        return self._model

    async def _look_at(
        self, connection: AsyncConnection, account_id: str, model: Model, now: datetime
    ) -> None:
        merchant_id, takes_part = await watch_store.merchant_of(connection, account_id)
        changes = await watch_store.changes_of(connection, account_id)
        known_hash = await watch_store.watched_hash(connection, account_id)
        before = (
            None
            if known_hash is None
            else await watch_store.content(connection, account_id, known_hash)
        )
        spans = await watch_store.open_spans(connection, account_id)
        volumes = await self._volumes.of(connection, merchant_id, now)
        # Each snapshot by its time; without one, the one that is known, by now.
        last = before
        for change in changes:
            content = await watch_store.content(connection, account_id, change.content_hash)
            after, ended = advance(
                spans, content.requirements, change.fetch_time, truncated=content.truncated
            )
            await watch_store.store_spans(connection, account_id, spans, after, ended)
            spans = list(after)
            stops = stopped(last, content)
            reason = "" if Kind.PAYOUTS in stops else destination_stopped(last, content)
            last = content
            if reason:
                # Nobody forecast that, and what Stripe wants is as it was: the forecasts stand.
                freeze = Freeze(Kind.PAYOUTS, change.fetch_time, reason, None)
                await store.store_freeze(connection, account_id, merchant_id, freeze)
            if stops:
                await self._tell(
                    connection,
                    account_id,
                    merchant_id,
                    {},
                    stops,
                    content.disabled_reason,
                    volumes,
                    change.fetch_time,
                    now,
                )
        if last is None:
            return
        standing = await store.open_forecasts(connection, account_id)
        told = {kind: kept.episode.told for kind, kept in standing.items()}
        found = forecast(state_of(last, spans), volumes, model, now, told) if takes_part else ()
        await self._tell(
            connection,
            account_id,
            merchant_id,
            {item.kind: item for item in found},
            (),
            "",
            volumes,
            now,
            now,
        )
        last_hash = changes[-1].content_hash if changes else known_hash
        assert last_hash is not None, "there is a content"
        await watch_store.looked_at(connection, account_id, last_hash, changes, now)

    async def _tell(
        self,
        connection: AsyncConnection,
        account_id: str,
        merchant_id: str,
        found: dict[Kind, Forecast],
        stops: tuple[Kind, ...],
        disabled_reason: str,
        volumes: tuple[Volume, ...],
        as_of: datetime,
        now: datetime,
    ) -> None:
        """Keeps what a look has changed; one at which something stopped says only that."""
        standing = await store.open_forecasts(connection, account_id)
        for kind in stops or tuple(Kind):
            kept = standing.get(kind)
            episode = kept.episode if kept else None
            if stops:
                since = episode.alarm_time if episode else None
                # One that was raised after Stripe had stopped, and before that was seen, is none.
                alarm_time = since if since is not None and since < as_of else None
                freeze = Freeze(kind, as_of, disabled_reason, alarm_time)
                await store.store_freeze(connection, account_id, merchant_id, freeze)
            after, change = step(episode, found.get(kind), kind, stopped=bool(stops), as_of=as_of)
            if change is not None and after is not None:
                await store.store_change(
                    connection,
                    kept.forecast_id if kept else None,
                    account_id,
                    kept.merchant_id if kept else merchant_id,
                    change,
                    after,
                    volumes,
                    now,
                )


async def learn(
    connection: AsyncConnection,
    now: datetime,
    thresholds: tuple[VolumeThreshold, ...],
    delays: dict[str, timedelta],
) -> Model:
    """What the snapshots of all accounts have taught."""
    ended = await watch_store.ended_spans(connection, now - LEARNT_FROM, MOST_LEARNT)
    spans = await watch_store.open_spans(connection)
    return Model(
        reviews=Durations.of(review_lengths(ended, spans, now)),
        answers=Durations.of(answer_lengths(ended, spans, now)),
        thresholds=thresholds,
        delays=delays,
    )


def stopped(before: AccountContent | None, content: AccountContent) -> tuple[Kind, ...]:
    """What Stripe has stopped between two snapshots."""
    if before is None:
        return ()
    charges = before.charges_enabled and not content.charges_enabled
    payouts = before.payouts_enabled and not content.payouts_enabled
    return (*((Kind.CHARGES,) if charges else ()), *((Kind.PAYOUTS,) if payouts else ()))


def destination_stopped(before: AccountContent | None, content: AccountContent) -> str:
    """Why payouts of a currency stopped between two snapshots although Stripe allows them.

    Empty if none did; one that could not be paid out to before is no news. Contents of earlier
    releases do not say.
    """
    if before is None or not content.payouts_enabled or not before.external_accounts:
        return ""
    then, now = (
        stopped_currencies(item.to_facts() for item in one.external_accounts)
        for one in (before, content)
    )
    for currency_code in sorted(now.keys() - then.keys()):
        return f"{DESTINATION_STOPPED}{now[currency_code].state.lower()}"
    return ""


def state_of(content: AccountContent, spans: list[Span]) -> AccountState:
    """A snapshot with since when its requirements have stood."""
    since = {span.field: span.since for span in spans}
    return AccountState(
        country_code=content.country_code,
        charges_enabled=content.charges_enabled,
        payouts_enabled=content.payouts_enabled,
        capabilities=tuple(item.name for item in content.capabilities if item.requested),
        standings=tuple(
            Standing(requirement, since[requirement.field]) for requirement in content.requirements
        ),
        truncated=content.truncated,
    )

"""Reads Billing at Stripe: what an event is about at once, and all of it again and again, so that
what was there before, or what no event has told, is not missed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.billing import store, telemetry
from gateway.billing.billing import (
    DELETED,
    ID_PREFIXES,
    BillingKind,
    Kept,
    UnreadableBillingError,
    kept,
    read_object,
)
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing
from gateway.webhooks_in.event import EventHandler, PoisonEventError, StripeEvent, object_of
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

POLL_SECONDS = 5.0
# The most that Stripe puts on a page, and more than a subscription can have items.
PAGE_SIZE = 100
# Until Stripe, which did not answer, is asked again.
AWAY = timedelta(minutes=1)
# Later walks leave out what was made longer ago. Not of subscriptions, which change as long as
# they last.
RECENT = timedelta(days=90)
EVENT_TYPES = {
    "invoice.*": BillingKind.INVOICE,
    "invoice_payment.*": BillingKind.INVOICE_PAYMENT,
    "credit_note.*": BillingKind.CREDIT_NOTE,
    "customer.subscription.*": BillingKind.SUBSCRIPTION,
}

log = get_logger(__name__)


class BillingEvents:
    """The handler of events about Billing."""

    def __init__(self, engine: AsyncEngine, stripe_client: StripeClient, clock: Clock) -> None:
        self._engine = engine
        self._reader = BillingReader(stripe_client)
        self._clock = clock

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that are dealt with; those of connected accounts are not."""
        return of_the_platform({name: self._handler(kind) for name, kind in EVENT_TYPES.items()})

    def _handler(self, kind: BillingKind) -> EventHandler:
        async def handle(event: StripeEvent) -> None:
            # What an invoice will be is no invoice yet: invoice.upcoming has no id.
            if event.object_id.startswith(ID_PREFIXES[kind]):
                await self._apply(kind, event.corridor, event.object_id)

        return handle

    async def _apply(self, kind: BillingKind, corridor: str, object_id: str) -> None:
        read_time = self._clock.now()
        outcome = await self._reader.retrieve(corridor, kind, object_id)
        if is_missing(outcome) or (outcome.object or {}).get("deleted") is True:
            await self._delete(kind, corridor, object_id, read_time)
            return
        told = object_of(outcome)
        try:
            objects = [await self._reader.read(corridor, kind, told)]
            if kind is BillingKind.INVOICE:
                objects += await self._payments(corridor, object_id)
        except UnreadableBillingError as error:
            raise PoisonEventError(f"{kind.value.upper()}_UNREADABLE: {error}") from error
        async with self._engine.begin() as connection:
            await store.keep(connection, corridor, objects, read_time)

    async def _payments(self, corridor: str, invoice_id: str) -> Sequence[Kept]:
        """What pays an invoice: not every change of these has an event of its own."""
        kind = BillingKind.INVOICE_PAYMENT
        params = {"invoice": invoice_id, "limit": PAGE_SIZE}
        page = object_of(await self._reader.page(corridor, kind, params))
        return [read_object(kind, told) for told in page["data"]]

    async def _delete(
        self, kind: BillingKind, corridor: str, object_id: str, read_time: datetime
    ) -> None:
        """Stripe has it no longer: drafts may be deleted. What is not known is left alone."""
        async with self._engine.begin() as connection:
            known = await store.find(connection, corridor, kind, object_id)
            if known is not None:
                gone = kept(kind, {**known, "status": DELETED})
                await store.keep(connection, corridor, [gone], read_time)


class BillingWalks:
    """Walks over Stripe's lists, one page a round, each list again after an interval."""

    def __init__(
        self, engine: AsyncEngine, stripe_client: StripeClient, interval: timedelta, clock: Clock
    ) -> None:
        self._engine = engine
        self._corridors = stripe_client.corridors
        self._reader = BillingReader(stripe_client)
        self._interval = interval
        self._clock = clock
        telemetry.INTERVAL_SECONDS.set(interval.total_seconds())
        for corridor in self._corridors:
            telemetry.corridor_known(corridor)

    def loop(self) -> Loop:
        """One process of all does it."""
        return Loop("billing walks", self.round, poll_seconds=POLL_SECONDS)

    async def round(self) -> bool:
        """Takes the walk that is due longest a page further; False if none is."""
        read_time = self._clock.now()
        async with self._engine.begin() as connection:
            walk = await store.due_walk(connection, self._corridors, read_time)
            if walk is None:
                _tell(await store.walks(connection, self._corridors))
                return False
        kind = BillingKind(walk.kind)
        outcome = await self._reader.page(walk.corridor, kind, _params(walk, kind))
        if not outcome.succeeded or outcome.object is None:
            await self._put_off(walk, outcome)
            return True
        page = outcome.object["data"]
        objects = await self._objects(walk.corridor, kind, page)
        is_page = bool(page and outcome.object["has_more"])
        if is_page:
            after: dict[str, object] = {"after_id": str(page[-1]["id"])}
        else:
            after = {
                "after_id": "",
                "since": None if kind is BillingKind.SUBSCRIPTION else read_time - RECENT,
                "next_time": read_time + self._interval,
                "finish_time": read_time,
            }
        async with self._engine.begin() as connection:
            await store.keep(connection, walk.corridor, objects, read_time)
            await store.write_walk(connection, walk, **after)
        result = telemetry.PAGE if is_page else telemetry.FINISHED
        telemetry.WALKS.labels(walk.corridor, walk.kind, result).inc()
        return True

    async def _objects(
        self, corridor: str, kind: BillingKind, page: Sequence[Mapping[str, Any]]
    ) -> Sequence[Kept]:
        """What can be read; one that cannot does not hold up the others."""
        objects = []
        for told in page:
            try:
                objects.append(await self._reader.read(corridor, kind, told))
            except UnreadableBillingError as error:
                telemetry.UNREADABLE.labels(corridor, kind.value).inc()
                log.error(
                    "billing_unreadable",
                    corridor=corridor,
                    kind=kind.value,
                    object_id=str(told.get("id")),
                    field=str(error),
                )
        return objects

    async def _put_off(self, walk: Row[Any], outcome: Outcome) -> None:
        told = outcome.failure.code if outcome.failure is not None else ""
        reason = outcome.not_sent_reason or told or outcome.outcome_class
        log.warning(
            "billing_walk_stopped", corridor=walk.corridor, kind=walk.kind, reason=str(reason)
        )
        telemetry.WALKS.labels(walk.corridor, walk.kind, telemetry.STOPPED).inc()
        values: dict[str, object] = {"next_time": self._clock.now() + (outcome.retry_after or AWAY)}
        if outcome.outcome_class is OutcomeClass.REJECTED:
            # Perhaps the last one of the page before was deleted: begins again.
            values["after_id"] = ""
        async with self._engine.begin() as connection:
            await store.write_walk(connection, walk, **values)


class BillingReader:
    """Asks Stripe, and makes of its answers what is kept."""

    def __init__(self, stripe_client: StripeClient) -> None:
        self._stripe = stripe_client.billing

    async def retrieve(self, corridor: str, kind: BillingKind, object_id: str) -> Outcome:
        """One object."""
        return await self._stripe.retrieve(corridor, kind.value, object_id)

    async def page(self, corridor: str, kind: BillingKind, params: dict[str, Any]) -> Outcome:
        """A page of a list."""
        return await self._stripe.list(corridor, kind.value, params)

    async def read(self, corridor: str, kind: BillingKind, told: Mapping[str, Any]) -> Kept:
        """What is kept of an object, with the items that Stripe left out of it. Raises
        UnreadableBillingError, and what `object_of` does if they cannot be had."""
        if kind is BillingKind.SUBSCRIPTION and (told.get("items") or {}).get("has_more"):
            params = {"subscription": str(told["id"]), "limit": PAGE_SIZE}
            items = object_of(await self._stripe.list(corridor, "subscription_item", params))
            told = {**told, "items": items}
        return read_object(kind, told)


def _tell(walks: Sequence[Row[Any]]) -> None:
    """Since when each list has been waiting to be walked over once more."""
    for walk in walks:
        last = walk.finish_time or walk.create_time
        telemetry.LAST_WALK.labels(walk.corridor, walk.kind).set(last.timestamp())


def _params(walk: Row[Any], kind: BillingKind) -> dict[str, Any]:
    params: dict[str, Any] = {"limit": PAGE_SIZE}
    if walk.after_id:
        params["starting_after"] = walk.after_id
    if walk.since is not None:
        params["created"] = {"gte": int(walk.since.timestamp())}
    if kind is BillingKind.SUBSCRIPTION:
        # Without it Stripe leaves out those that were canceled.
        params["status"] = "all"
    return params

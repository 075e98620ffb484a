"""Closing gaps: fetches the events that no webhook has brought."""

import asyncio
import json
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from gateway.rails.rails import Rails
from gateway.webhooks import telemetry
from gateway.webhooks.event import NotAnEventError, read_event
from gateway.webhooks.inbox import PostgresInbox
from runtime.clock import Clock
from runtime.logs import get_logger

# Stripe keeps events for 30 days: https://docs.stripe.com/api/events
EVENTS_KEPT = timedelta(days=30)
INTERVAL_SECONDS = 600.0
PAGE_SIZE = 100
MAX_PAGES = 100

log = get_logger(__name__)


class EventRecovery:
    """Lists undelivered events of every corridor at start and then on a schedule."""

    def __init__(self, rails: Rails, inbox: PostgresInbox, clock: Clock) -> None:
        self._rails = rails
        self._inbox = inbox
        self._clock = clock

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            for corridor in self._rails.corridors:
                try:
                    await self.recover(corridor)
                except (SQLAlchemyError, OSError) as error:
                    log.warning("webhook_recovery_failed", error=type(error).__name__)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def recover(self, corridor: str) -> int:
        """Stores what is missing of one corridor, oldest first; the number of events."""
        missing = await self._undelivered(corridor)
        stored = 0
        for values in reversed(missing):
            try:
                event = read_event(json.dumps(values), corridor)
            except NotAnEventError as error:
                log.warning("webhook_recovery_skipped", corridor=corridor, reason=str(error))
                continue
            stored += await self._inbox.store(event)
        if stored:
            telemetry.recovered.labels(corridor).inc(stored)
            log.warning("webhooks_recovered", corridor=corridor, events=stored)
        return stored

    async def _undelivered(self, corridor: str) -> list[dict[str, Any]]:
        params: dict[str, Any] = {
            "delivery_success": False,
            "created": {"gte": int((self._clock.now() - EVENTS_KEPT).timestamp())},
            "limit": PAGE_SIZE,
        }
        found: list[dict[str, Any]] = []
        for _ in range(MAX_PAGES):
            outcome = await self._rails.records.list_events(corridor, params)
            if not outcome.succeeded or outcome.object is None:
                log.warning("webhook_recovery_stopped", corridor=corridor)
                return found
            page: list[dict[str, Any]] = outcome.object["data"]
            found.extend(page)
            if not page or not outcome.object["has_more"]:
                return found
            params = {**params, "starting_after": page[-1]["id"]}
        log.error("webhook_recovery_truncated", corridor=corridor, events=len(found))
        return found

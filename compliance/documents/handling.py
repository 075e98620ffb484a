"""Brings documents to Stripe, looks what Stripe makes of them, and destroys them in time.

Each document is claimed for one step, under a lease: to be scanned, uploaded, attached, looked
after. What a step did is written under the claim's fence; a process that dies leaves its step to be
done again, which the gateway, asked under the same request_id, does not do twice.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.store import latest_snapshot
from compliance.documents import store
from compliance.documents.clamd import SCAN_SECONDS, Scanner, ScannerAwayError, ScannerError
from compliance.documents.document import OPEN, Document, Refusal, Side, State, names_of, verdict
from compliance.documents.gateway_files import (
    GATEWAY_SECONDS,
    GatewayAwayError,
    GatewayFiles,
    NeverHappenedError,
    NotTakenError,
)
from runtime.backoff import Backoff
from runtime.beside import beside
from runtime.clock import Clock
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.sealing import Sealer, UnreadableSecretError

# Longer than any step: a scan, or a look for the merchant and a call.
LEASE = timedelta(minutes=5)
assert LEASE.total_seconds() > SCAN_SECONDS + 2 * GATEWAY_SECONDS
# Until a step that failed is tried again.
RETRY = Backoff(timedelta(seconds=2), timedelta(minutes=5))
# A document that Stripe takes long to decide about is looked after more and more rarely.
LOOKS_PER_DOUBLING = 50
SCANNER_AWAY, SCANNER_REFUSED, KEY_MISSING = "SCANNER_AWAY", "SCANNER_REFUSED", "KEY_MISSING"
OTHER_SIDE_MISSING, NEVER_HAPPENED, UNEXPECTED = (
    "OTHER_SIDE_MISSING",
    "NEVER_HAPPENED",
    "UNEXPECTED",
)

DOCUMENTS = Gauge("compliance_documents", "Documents that are not at their end.", ["state"])
OLDEST = Gauge(
    "compliance_document_oldest_timestamp_seconds",
    "Unix time since when the oldest document is in a state; 0 if there is none.",
    ["state"],
)
SCANS = Counter("compliance_document_scans_total", "Scans of documents.", ["outcome"])
INFECTED = Counter(
    "compliance_documents_infected_total", "Documents in which the virus scanner found something."
)
DESTROYED = Counter("compliance_documents_destroyed_total", "Contents that were destroyed.")

log = get_logger(__name__)
_uniform = random.SystemRandom().random


class _LaterError(Exception):
    """The step is to be tried again."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class DocumentHandling:
    """Takes each document one step further."""

    def __init__(
        self,
        engine: AsyncEngine,
        sealer: Sealer,
        scanner: Scanner | None,
        gateway: GatewayFiles | None,
        clock: Clock,
        came: Notifier,
        *,
        unscanned: bool,
        retention: timedelta,
        interval: timedelta,
        uniform: Callable[[], float] = _uniform,
    ) -> None:
        """Without a scanner documents wait, unless they may go on `unscanned`. `came` notifies of
        new documents; `interval` is how often it is looked what has become of one."""
        self._engine = engine
        self._sealer = sealer
        self._scanner = scanner
        self._gateway = gateway
        self._unscanned = unscanned
        self._clock = clock
        self._came = came
        self._retention = retention
        self._interval = interval
        self._uniform = uniform
        self._items = Items("documents")
        self._steps = {
            State.RECEIVED: self._scan,
            State.CHECKED: self._upload,
            State.FORWARDED: self._attach,
            State.ATTACHED: self._look,
        }
        for state in OPEN:
            DOCUMENTS.labels(state.value)
            OLDEST.labels(state.value)
        for outcome in ("clean", "infected", "away", "refused"):
            SCANS.labels(outcome)

    def loop(self) -> Loop:
        """Goes on with what came at once, and with what is due."""
        return Loop(
            "documents",
            self.round,
            poll_seconds=self._interval.total_seconds(),
            notifier=self._came,
        )

    async def round(self) -> bool:
        """Takes one document a step further; whether there may be more to do."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            destroyed = await store.destroy(connection, now)
            claimed = await store.claim(connection, now, LEASE)
        DESTROYED.inc(destroyed)
        if claimed is not None:
            await self._step(claimed)
        async with self._engine.connect() as connection:
            for state, (count, oldest) in (await store.waiting(connection)).items():
                DOCUMENTS.labels(state.value).set(count)
                OLDEST.labels(state.value).set(oldest.timestamp() if oldest else 0)
        return claimed is not None or destroyed == store.DESTROYED_AT_ONCE

    async def _step(self, claimed: Document) -> None:
        word = UNEXPECTED
        with self._items.kept_apart(claimed.document_id):
            try:
                await self._steps[claimed.state](claimed)
                word = ""
            except _LaterError as later:
                word = later.word
            except GatewayAwayError as away:
                word = away.word
        if not word:
            return
        failures = claimed.failure_count + 1
        pause = RETRY.pause(failures, self._uniform())
        await self._write(
            claimed,
            failure=word,
            failure_count=failures,
            next_attempt_time=self._clock.now() + pause,
        )
        log.warning(
            "document_waits", document_id=claimed.document_id, state=claimed.state.value, why=word
        )

    async def _scan(self, claimed: Document) -> None:
        if self._scanner is None:
            if not self._unscanned:
                raise _LaterError(SCANNER_AWAY)
            await self._move(claimed, State.CHECKED)
            return
        content = await self._content(claimed)
        try:
            found = await self._scanner.scan(content)
        except ScannerAwayError:
            SCANS.labels("away").inc()
            raise _LaterError(SCANNER_AWAY) from None
        except ScannerError:
            SCANS.labels("refused").inc()
            raise _LaterError(SCANNER_REFUSED) from None
        if not found:
            SCANS.labels("clean").inc()
            await self._move(claimed, State.CHECKED)
            return
        now = self._clock.now()
        if await self._end(
            claimed, State.REFUSED, refusal=Refusal.INFECTED, sealed=None, destroy_time=now
        ):
            SCANS.labels("infected").inc()
            INFECTED.inc()
            DESTROYED.inc()
            log.error("document_infected", document_id=claimed.document_id, found=found)

    async def _upload(self, claimed: Document) -> None:
        try:
            file_id = await self._to_stripe.upload(claimed, await self._content(claimed))
        except NeverHappenedError:
            await self._ask_anew(claimed, forward_count=claimed.forward_count + 1)
        except NotTakenError as refused:
            await self._not_taken(claimed, refused.code)
        else:
            await self._move(claimed, State.FORWARDED, file_id=file_id)

    async def _attach(self, claimed: Document) -> None:
        back: Document | None = None
        async with self._engine.connect() as connection:
            is_outdated = await store.is_outdated(connection, claimed)
            if claimed.with_other_side and claimed.side is Side.FRONT:
                back = await store.other_side(connection, claimed)
        if is_outdated:
            # It was held up: attached now it would take the place of what came after it.
            await self._end(claimed, State.REPLACED)
            return
        if claimed.with_other_side and back is None:
            # Whichever comes last, it is the front that brings both.
            await self._write(
                claimed,
                failure=OTHER_SIDE_MISSING,
                next_attempt_time=self._clock.now() + self._interval,
            )
            return
        try:
            attach_time = await self._to_stripe.attach(claimed, back)
        except NeverHappenedError:
            await self._ask_anew(claimed, attach_count=claimed.attach_count + 1)
        except NotTakenError as refused:
            await self._not_taken(claimed, refused.code)
        else:
            await self._attached(claimed, back, attach_time)

    async def _attached(
        self, claimed: Document, back: Document | None, attach_time: datetime
    ) -> None:
        now = self._clock.now()
        values: dict[str, Any] = {
            "state": State.ATTACHED,
            "state_time": now,
            "attach_time": attach_time,
            "next_attempt_time": now + self._interval,
            "failure": "",
            "failure_count": 0,
        }
        async with self._engine.begin() as connection:
            if not await store.finish(connection, claimed, **values):
                return
            if back is not None:
                await store.attached_with(connection, back, **values)
            for one in (claimed, back):
                if one is not None:
                    await store.replace_older(connection, one, now, now + self._retention)

    async def _look(self, claimed: Document) -> None:
        now, attach_time = self._clock.now(), claimed.attach_time
        assert attach_time is not None, "it was attached"
        async with self._engine.connect() as connection:
            snapshot = await latest_snapshot(connection, claimed.connected_account_id)
        said = None
        if snapshot is not None:
            fields = names_of(claimed.field, claimed.person_id)
            requirements = snapshot.content.requirements
            said = verdict(fields, attach_time, requirements, snapshot.fetch_time)
        if said is None:
            wait = max(self._interval, (now - attach_time) / LOOKS_PER_DOUBLING)
            await self._write(claimed, next_attempt_time=now + wait, failure="")
        elif said.state is State.ACCEPTED:
            await self._end(claimed, State.ACCEPTED)
        else:
            await self._end(
                claimed,
                State.REFUSED,
                refusal=Refusal.NOT_VERIFIED,
                error_codes=list(said.error_codes),
            )

    @property
    def _to_stripe(self) -> GatewayFiles:
        if self._gateway is None:
            raise GatewayAwayError("GATEWAY_NOT_SET")
        return self._gateway

    async def _content(self, claimed: Document) -> bytes:
        async with self._engine.connect() as connection:
            sealed = await store.content(connection, claimed.document_id)
        if sealed is None:
            # It has expired since it was claimed.
            raise _LaterError(UNEXPECTED)
        try:
            return await beside(self._sealer.open, claimed.document_id, sealed, size=len(sealed))
        except UnreadableSecretError:
            raise _LaterError(KEY_MISSING) from None

    async def _not_taken(self, claimed: Document, code: str) -> None:
        await self._end(claimed, State.REFUSED, refusal=Refusal.NOT_TAKEN, error_codes=[code])

    async def _ask_anew(self, claimed: Document, **counts: int) -> None:
        await self._write(claimed, **counts)
        raise _LaterError(NEVER_HAPPENED)

    async def _move(self, claimed: Document, state: State, **values: Any) -> None:
        now = self._clock.now()
        await self._write(
            claimed,
            state=state,
            state_time=now,
            next_attempt_time=now,
            failure="",
            failure_count=0,
            **values,
        )

    async def _end(self, claimed: Document, state: State, **values: Any) -> bool:
        now = self._clock.now()
        destroy_time = min(claimed.destroy_time, now + self._retention)
        return await self._write(
            claimed,
            **{
                "state": state,
                "state_time": now,
                "next_attempt_time": None,
                "failure": "",
                "destroy_time": destroy_time,
                **values,
            },
        )

    async def _write(self, claimed: Document, **values: Any) -> bool:
        async with self._engine.begin() as connection:
            return await store.finish(connection, claimed, **values)

"""Has reports made: wants those of each day whose data is there, asks Stripe for them, and looks
what has become of the runs. Events only hurry what is looked at anyway."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.reports import store
from gateway.reports.report import ReportKind, ReportState, Wanted, days_to_want
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import KEPT_FAILURE, Outcome, OutcomeClass
from gateway.stripe_times import time_of
from gateway.webhooks_in.event import EventHandler, StripeEvent, object_of
from gateway.webhooks_in.router import of_the_platform
from runtime.clock import Clock
from runtime.logs import get_logger
from runtime.loops import Loop

# Which types stand for which kinds, with the version whose columns are read.
STRIPE_TYPES = {
    ReportKind.ACTIVITY: "balance_change_from_activity.itemized.3",
    ReportKind.PAYOUTS: "payouts.itemized.3",
    ReportKind.SUMMARY: "balance.summary.1",
    ReportKind.PAYOUT_CONTENTS: "payout_reconciliation.itemized.5",
    ReportKind.ENDING_BALANCE: "ending_balance_reconciliation.itemized.4",
}
# Those that every account has; the others are of automatic payouts.
DEFAULT_KINDS = (ReportKind.ACTIVITY, ReportKind.PAYOUTS, ReportKind.SUMMARY)
POLL_SECONDS = 5.0
MAX_LOOKS = 20
# Until a run that is under way, a type, or Stripe that was silent is looked at again.
RUN_LOOK, TYPE_LOOK, AWAY = timedelta(minutes=2), timedelta(hours=1), timedelta(minutes=1)
# Until one that failed is asked for again, which doubles up to a day.
FAILED = timedelta(minutes=5)
MAX_FAILED = timedelta(days=1)
_TYPE_UPDATED = "reporting.report_type.updated"
_RUN_EVENTS = ("reporting.report_run.succeeded", "reporting.report_run.failed")

log = get_logger(__name__)


class ReportRuns:
    """Wants, asks and looks; `first_days` is how many days back the first reports go, `zones` are
    the time zones of corridors whose days are not UTC's."""

    def __init__(
        self,
        engine: AsyncEngine,
        stripe_client: StripeClient,
        first_days: int,
        clock: Clock,
        zones: Mapping[str, tzinfo] = MappingProxyType({}),
        kinds: Collection[ReportKind] = DEFAULT_KINDS,
    ) -> None:
        self._engine = engine
        self._corridors = stripe_client.corridors
        self._stripe = stripe_client.reports
        self._first_days = first_days
        self._zones = zones
        self._kinds = [kind for kind in STRIPE_TYPES if kind in kinds]
        self._clock = clock
        self._next_type_look: dict[tuple[str, ReportKind], datetime] = {}

    def loop(self) -> Loop:
        """One process of all does it."""
        return Loop("reports", self.round, poll_seconds=POLL_SECONDS)

    def routes(self) -> Mapping[str, EventHandler]:
        """The types of events that are dealt with."""
        routes: dict[str, EventHandler] = dict.fromkeys(_RUN_EVENTS, self.run_ended)
        return of_the_platform({**routes, _TYPE_UPDATED: self.type_updated})

    async def round(self) -> bool:
        """Wants what is due and takes some of it further; whether there may be more."""
        for corridor in self._corridors:
            for kind in self._kinds:
                await self._look_at_type(corridor, kind)
        async with self._engine.connect() as connection:
            due = await store.due(connection, self._clock.now(), MAX_LOOKS)
        for report in due:
            if report.corridor in self._corridors:
                await self._advance(report)
            else:
                # A corridor that is not configured any more, or not yet.
                await self._put_off(report, TYPE_LOOK)
        return len(due) == MAX_LOOKS

    async def run_ended(self, event: StripeEvent) -> None:
        """A run has succeeded or failed: it is looked at, if it is one of ours."""
        async with self._engine.connect() as connection:
            report = await store.by_run(connection, event.corridor, event.object_id)
        if report is not None and report.state == ReportState.RUNNING.value:
            outcome = await self._stripe.retrieve_report_run(event.corridor, event.object_id)
            await self._take(report, object_of(outcome))

    async def type_updated(self, event: StripeEvent) -> None:
        """There is new data: what it is of is wanted now."""
        for kind in self._kinds:
            name = STRIPE_TYPES[kind]
            if event.object_id == name:
                outcome = await self._stripe.retrieve_report_type(event.corridor, name)
                await self._want(event.corridor, kind, object_of(outcome))

    async def _look_at_type(self, corridor: str, kind: ReportKind) -> None:
        now = self._clock.now()
        if now < self._next_type_look.get((corridor, kind), now):
            return
        outcome = await self._stripe.retrieve_report_type(corridor, STRIPE_TYPES[kind])
        told = outcome.object if outcome.succeeded else None
        if told is None:
            _warn("report_type_not_told", corridor, outcome, kind=kind.value)
        else:
            await self._want(corridor, kind, told)
        self._next_type_look[corridor, kind] = now + (AWAY if told is None else TYPE_LOOK)

    async def _want(self, corridor: str, kind: ReportKind, told: Mapping[str, Any]) -> None:
        start, end = (
            time_of(told.get("data_available_start")),
            time_of(told.get("data_available_end")),
        )
        if start is None or end is None:
            log.warning("report_type_unreadable", corridor=corridor, kind=kind.value)
            return
        async with self._engine.begin() as connection:
            last = await store.last_end(connection, corridor, kind)
            zone = self._zones.get(corridor, UTC)
            days = days_to_want(start, end, last, self._first_days, zone)
            wanted = [Wanted(corridor, kind, STRIPE_TYPES[kind], *day) for day in days]
            await store.want(connection, wanted, self._clock.now())

    async def _advance(self, report: Row[Any]) -> None:
        if report.state == ReportState.WANTED.value:
            wanted = Wanted(
                report.corridor,
                ReportKind(report.kind),
                report.stripe_type,
                report.start_time,
                report.end_time,
            )
            # Under the same key the same run, should the answer be lost.
            key = f"{report.report_id}-{report.attempt}"
            outcome = await self._stripe.create_report_run(report.corridor, wanted.params(), key)
        else:
            outcome = await self._stripe.retrieve_report_run(report.corridor, report.stripe_run_id)
        if outcome.succeeded and outcome.object is not None:
            await self._take(report, outcome.object)
            return
        _warn("report_not_told", report.corridor, outcome, report_id=report.report_id)
        reason = outcome.failure.reason if outcome.failure is not None else ""
        if outcome.outcome_class is OutcomeClass.REJECTED or reason == KEPT_FAILURE:
            # The same key, or the same run, brings the same answer for good: another one may not.
            await self._fail(report, reason)
        else:
            await self._put_off(report, outcome.retry_after or AWAY)

    async def _take(self, report: Row[Any], run: Mapping[str, Any]) -> None:
        """Writes what a run is; one that failed is wanted again."""
        status, result = run.get("status"), run.get("result")
        now = self._clock.now()
        if status == "failed":
            await self._fail(report, "RUN_FAILED")
        elif status == "succeeded" and isinstance(result, Mapping):
            await self._write(
                report,
                state=ReportState.READY.value,
                stripe_run_id=str(run["id"]),
                stripe_file_id=str(result["id"]),
                ready_time=now,
                next_look_time=None,
            )
            log.info("report_ready", report_id=report.report_id, corridor=report.corridor)
        else:
            await self._write(
                report,
                state=ReportState.RUNNING.value,
                stripe_run_id=str(run["id"]),
                next_look_time=now + RUN_LOOK,
            )

    async def _fail(self, report: Row[Any], reason: str) -> None:
        log.warning("report_failed", report_id=report.report_id, reason=reason)
        pause = min(FAILED * 2 ** min(report.attempt - 1, 10), MAX_FAILED)
        await self._write(
            report,
            state=ReportState.WANTED.value,
            attempt=report.attempt + 1,
            failure=reason,
            stripe_run_id="",
            next_look_time=self._clock.now() + pause,
        )

    async def _put_off(self, report: Row[Any], pause: timedelta) -> None:
        await self._write(report, next_look_time=self._clock.now() + pause)

    async def _write(self, report: Row[Any], **values: object) -> None:
        async with self._engine.begin() as connection:
            await store.write(connection, report, **values)


def _warn(event: str, corridor: str, outcome: Outcome, **more: Sequence[str] | str) -> None:
    told = outcome.failure.reason if outcome.failure is not None else ""
    reason = outcome.not_sent_reason or told or outcome.outcome_class
    log.warning(event, corridor=corridor, reason=str(reason), **more)

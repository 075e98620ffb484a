"""Looks at open cases again when what they are about may have changed, and ends those in time.

Whoever changes a subject, a match, a list or an account says so; what was missed is found when all
open cases are looked at, one page after the other. Nothing is decided here: the check that the
caller repeats is what is logged. It may be repeated at once, since a case that was cleared is told.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.cases import store
from compliance.cases.case import (
    CaseChange,
    Checked,
    ReviewCase,
    after_check,
    overdue,
    scope_of,
)
from compliance.cases.keeping import CaseKeeping, count
from compliance.checks.facts import CheckKind
from compliance.checks.facts_store import CheckInput, load_facts
from compliance.checks.history_store import facts_of
from compliance.checks.rules import evaluate, verdict_of
from compliance.evidence_news import EvidenceNews
from compliance.policies.in_force import PolicyInForce
from runtime.clock import Clock
from runtime.connections import Connections
from runtime.items import Items
from runtime.loops import Loop

# Open cases that are looked at in one round.
PAGE = 200


class CaseLooks:
    """Finds open cases that have no cause any more, or another one."""

    def __init__(
        self,
        engine: AsyncEngine,
        connections: Connections,
        keeping: CaseKeeping,
        in_force: PolicyInForce,
        news: EvidenceNews,
        list_names: Sequence[str],
        clock: Clock,
    ) -> None:
        """`list_names` are the sanctions lists that every subject has to be screened against."""
        self._engine = engine
        self._connections = connections
        self._keeping = keeping
        self._in_force = in_force
        self._news = news
        self._list_names = list_names
        self._clock = clock
        self._items = Items("cases to look at")
        # How far the look at all open cases is, and whether it goes on without a rest.
        self._after = 0
        self._hurries = False

    def loop(self, interval_seconds: float) -> Loop:
        """Looks at once at what has changed, and now and then at a page of all."""
        return Loop(
            "case looks",
            self.round,
            poll_seconds=interval_seconds,
            notifier=self._news.notifier,
            rests_first=True,
        )

    async def round(self) -> bool:
        """Looks at the cases that news are about, or else at the next page of all; True if more is
        to be looked at without a rest."""
        subjects, everybody = self._news.take()
        if everybody:
            self._after, self._hurries = 0, True
        async with self._engine.connect() as connection:
            if subjects:
                page = await store.open_cases_about(connection, subjects, PAGE)
            else:
                page = await store.open_cases_after(connection, self._after, PAGE)
        for case in self._items.readable(page, store.case_of, _id_of):
            with self._items.kept_apart(case.case_id):
                await self.look(case)
        is_full = len(page) == PAGE
        if subjects:
            # More cases of one subject than fit are found by the look at all.
            self._hurries = self._hurries or is_full
            return self._hurries
        self._after = page[-1].ordinal if is_full else 0
        self._hurries = self._hurries and is_full
        return self._hurries

    async def look(self, case: ReviewCase) -> None:
        """Compares a case with what is found now, and writes down what is otherwise."""
        found = await self._found_now(case)
        if not after_check(case, "", found, "", timedelta(0)):
            return
        async with self._engine.begin() as connection:
            changes = await self._keeping.keep(store.runs_on(connection), [found])
        count(changes)

    async def _found_now(self, case: ReviewCase) -> Checked:
        movement = case.scope.movement
        asked = CheckInput(
            kind=CheckKind(movement.kind),
            request_id="",
            reference_id=movement.reference_id,
            merchant_id=movement.merchant_id,
            customer_id=movement.customer_id,
            currency_code=movement.currency_code,
            amount_minor=movement.amount_minor,
            corridor=case.corridor,
            connected_account_id=movement.connected_account_id,
            country_codes=movement.country_codes,
            payment_method_type=movement.payment_method_type,
            card_fingerprint=movement.card_fingerprint,
        )
        loaded = await load_facts(self._connections, asked, self._list_names)
        policy, now = self._in_force.policy, self._clock.now()
        history = await facts_of(self._connections, asked.to_counted(now, policy))
        facts = loaded.to_facts(asked, loaded.account, now, history)
        findings = evaluate(facts, policy)
        ruling = facts.ruling
        return Checked(
            verdict=verdict_of(findings),
            scope=scope_of(facts, findings, policy.version),
            as_of=facts.as_of,
            corridor=case.corridor,
            ruling_case_id="" if ruling is None else ruling.case_id,
            looked_case_id=case.case_id,
        )


class CaseExpiry:
    """Ends cases that nobody decided in time, or asks about any more."""

    def __init__(self, engine: AsyncEngine, idle_for: timedelta, clock: Clock) -> None:
        """A case may be open for `idle_for` without being asked about."""
        self._engine = engine
        self._idle_for = idle_for
        self._items = Items("cases to end")
        self._clock = clock

    def loop(self, interval_seconds: float) -> Loop:
        """Looks again and again."""
        return Loop("case expiry", self.round, poll_seconds=interval_seconds)

    async def round(self) -> bool:
        """Ends those whose time is over; True if there may be more."""
        now = self._clock.now()
        async with self._engine.begin() as connection:
            rows = await store.lock_overdue(connection, now, now - self._idle_for, PAGE)
            cases = self._items.readable(rows, store.case_of, _id_of)
            changes: list[CaseChange] = [overdue(case, now) for case in cases]
            await store.write_changes(store.runs_on(connection), changes, now)
        count(changes)
        return len(cases) == PAGE


def _id_of(row: Any) -> str:
    return str(row.case_id)

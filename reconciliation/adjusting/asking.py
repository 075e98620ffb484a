"""What people ask for: an adjustment is written down, and decided once enough have agreed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.adjusting import store
from reconciliation.adjusting.adjustment import (
    Accounts,
    AdjustmentError,
    AdjustmentRules,
    AdjustmentState,
    check_accounts,
    ledger_request_id,
)
from reconciliation.adjusting.store import Adjustment
from reconciliation.breaks import store as breaks
from reconciliation.errors import (
    adjustment_not_allowed,
    adjustment_under_way,
    break_ended,
    break_not_adjustable,
    needs_another_person,
)
from reconciliation.matching.item import Leg, Source
from reconciliation.matching.policy import BreakKind
from reconciliation.runs import store as runs
from reconciliation.runs.matcher import BEGINNING
from runtime.clock import Clock

# What the ledger is adjusted to: without it there is nothing that says how much is right.
ADJUSTED_TO = {Leg.BOOKED.value: Source.STRIPE, Leg.BANKED.value: Source.BANK}
# Kinds whose amounts are what is at stake, and not what the two sides differ by.
NO_DIFFERENCE = frozenset(
    {BreakKind.AMBIGUOUS.value, BreakKind.UNEXPLAINED.value, BreakKind.RETURNED.value}
)
_FINISHED = (AdjustmentState.COMPLETED, AdjustmentState.FAILED)


class Asking:
    """Takes what is asked for. Each is one transaction of the caller's."""

    def __init__(self, rules: AdjustmentRules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    async def ask(
        self,
        connection: AsyncConnection,
        request_id: str,
        break_id: int,
        accounts: Sequence[Accounts],
        client: str,
        note: str,
    ) -> Adjustment:
        """The adjustment, decided if nobody else has to agree. Raises what is in the way."""
        # Whoever changes what the break is of waits, and of two who ask at a time the second does.
        await runs.lock(connection, BEGINNING)
        now = self._clock.now()
        row = await breaks.get_break(connection, break_id, breaks.moment_now(now))
        if row.has_ended:
            raise break_ended(break_id)
        keys = await breaks.keys_of(connection, row.item_ids or ())
        adjusted_to = ADJUSTED_TO.get(row.leg)
        if adjusted_to not in {k.source for k, _ in keys.values()}:
            raise break_not_adjustable(break_id)
        differences = {code: int(amount) for code, amount in row.amounts if amount}
        if not differences or row.kind in NO_DIFFERENCE:
            raise break_not_adjustable(break_id)
        try:
            check_accounts(Leg(row.leg), row.corridor, differences, accounts, self._rules)
        except AdjustmentError as error:
            raise adjustment_not_allowed(str(error)) from error
        before = [
            each
            for each in await store.read(connection, break_id=break_id)
            if each.state not in _FINISHED
        ]
        if not before:
            return await self._add(connection, request_id, row, differences, accounts, client, note)
        (asked,) = before
        if asked.state is not AdjustmentState.ASKED or asked.accounts != tuple(sorted(accounts)):
            raise adjustment_under_way(break_id, asked.adjustment_id)
        if asked.client == client:
            raise needs_another_person(client)
        await store.add_step(
            connection, asked.adjustment_id, 1, AdjustmentState.DECIDED, now, approver=client
        )
        (decided,) = await store.read(connection, adjustment_id=asked.adjustment_id)
        return decided

    async def _add(
        self,
        connection: AsyncConnection,
        request_id: str,
        row: Any,
        differences: dict[str, int],
        accounts: Sequence[Accounts],
        client: str,
        note: str,
    ) -> Adjustment:
        now = self._clock.now()
        item_ids = list(row.item_ids)
        needs_two = self._rules.needs_two(differences)
        adjustment_id = await store.add(
            connection,
            differences=differences,
            accounts=accounts,
            break_id=row.difference_id,
            ledger_request_id=ledger_request_id(request_id),
            corridor=row.corridor,
            item_ids=item_ids,
            token=await store.first_token(connection, item_ids),
            needs_two=needs_two,
            client=client,
            note=note,
            now=now,
        )
        if not needs_two:
            await store.add_step(connection, adjustment_id, 1, AdjustmentState.DECIDED, now)
        (added,) = await store.read(connection, adjustment_id=adjustment_id)
        return added

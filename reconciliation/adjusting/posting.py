"""Posts what was decided and completes matches by it. Each step is done again until it is written
down that it was, and does the same each time: the ledger has a transaction once for its
request_id, and an item is in one match."""

from datetime import datetime
from typing import Any

import grpc
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from ledger.v1.transaction_mutations_pb2 import CreateTransactionRequest
from ledger.v1.transaction_pb2 import TransactionInput
from money.v1.money_pb2 import Money
from reconciliation.adjusting import store
from reconciliation.adjusting.adjustment import KIND, AdjustmentState, item_key, postings
from reconciliation.adjusting.store import Adjustment
from reconciliation.breaks import store as breaks
from reconciliation.breaks.deciding import Deciding
from reconciliation.runs import store as runs
from reconciliation.runs.matcher import BEGINNING
from runtime.clock import Clock
from runtime.errors import ServiceError, from_rpc_error
from runtime.items import Items
from runtime.loops import Loop
from runtime.notifier import Notifier

POLL_SECONDS = 1.0
# What the ledger says for good; anything else may go well when it is sent again.
_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
    }
)
MATCHED_OTHERWISE = "its item is in another match"

FINISHED = Counter(
    "reconciliation_adjustments_total", "Adjustments that were completed or failed.", ["state"]
)
for _state in (AdjustmentState.COMPLETED, AdjustmentState.FAILED):
    FINISHED.labels(_state.value)


class AdjustmentPoster:
    """Takes what was decided to its end."""

    def __init__(
        self,
        engine: AsyncEngine,
        stub: LedgerServiceStub,
        ledger: str,
        deciding: Deciding,
        clock: Clock,
        decided: Notifier,
    ) -> None:
        """`decided` is notified of what was decided."""
        self._engine = engine
        self._stub: Any = stub
        self._ledger = ledger
        self._deciding = deciding
        self._clock = clock
        self._decided = decided
        self._items = Items("adjustments")

    def loop(self) -> Loop:
        """Looks for what is under way again and again."""
        return Loop(
            "adjustments",
            self.round,
            poll_seconds=POLL_SECONDS,
            notifier=self._decided,
            expected=(grpc.aio.AioRpcError,),
        )

    async def round(self) -> bool:
        """Takes each that is under way a step further, if it can go one."""
        async with self._engine.connect() as connection:
            under_way = await store.read(connection, is_under_way=True)
        went_on = False
        for adjustment in under_way:
            with self._items.kept_apart(str(adjustment.adjustment_id)):
                if adjustment.state is AdjustmentState.DECIDED:
                    await self._post(adjustment)
                    went_on = True
                else:
                    went_on = await self._complete(adjustment) or went_on
        return went_on

    async def _post(self, adjustment: Adjustment) -> None:
        """Has it posted: sent again, it is the transaction that was posted before."""
        try:
            answer = await self._stub.CreateTransaction(self._request(adjustment))
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REFUSALS:
                raise
            failure = from_rpc_error(error).reason or error.code().name
            await self._write(adjustment, 2, AdjustmentState.FAILED, failure=failure)
            return
        sequence = answer.transaction.sequence
        await self._write(adjustment, 2, AdjustmentState.POSTED, ledger_sequence=sequence)

    def _request(self, adjustment: Adjustment) -> CreateTransactionRequest:
        entries = [
            EntryInput(
                account=each.account,
                direction=DIRECTION_DEBIT if each.is_debit else DIRECTION_CREDIT,
                amount=Money(currency_code=each.currency, minor_units=each.amount_minor),
            )
            for each in postings(adjustment.differences, adjustment.accounts)
        ]
        transaction = TransactionInput(
            entries=entries,
            reference=f"break {adjustment.break_id}",
            metadata={"kind": KIND, "break": str(adjustment.break_id)},
        )
        if adjustment.token:
            transaction.metadata["adjusts_id"] = adjustment.token
        # The same whenever it is sent.
        assert adjustment.decide_time is not None, "it was decided"
        transaction.effective_time.FromDatetime(adjustment.decide_time)
        return CreateTransactionRequest(
            request_id=adjustment.ledger_request_id,
            ledger=self._ledger,
            transaction=transaction,
        )

    async def _complete(self, adjustment: Adjustment) -> bool:
        """Whether its items have come, so that it has ended."""
        async with self._engine.begin() as connection:
            place = await runs.lock(connection, BEGINNING)
            (now_,) = await store.read(connection, adjustment_id=adjustment.adjustment_id)
            if now_.state is not AdjustmentState.POSTED:
                return False
            keys = [item_key(adjustment.ledger_request_id, code) for code in adjustment.differences]
            items = await store.ledger_items(
                connection, adjustment.leg, adjustment.corridor, keys, place.last_ordinal
            )
            if len(items) < len(keys):
                return False
            failure = await self._match(connection, adjustment, items)
            state = AdjustmentState.FAILED if failure else AdjustmentState.COMPLETED
            now = self._clock.now()
            await _add_step(connection, adjustment, 3, state, now, failure=failure)
        FINISHED.labels(state.value).inc()
        return True

    async def _match(
        self, connection: AsyncConnection, adjustment: Adjustment, items: list[store.LedgerItem]
    ) -> str:
        """Why the items did not complete the match; empty if they did. The rules have matched them
        already where all of them hang together by references."""
        wanted = {*adjustment.item_ids, *(item.item_id for item in items)}
        match_ids = {item.match_id for item in items}
        if match_ids != {0}:
            matched = set.union(
                *[await store.members(connection, match_id) for match_id in match_ids - {0}]
            )
            return "" if wanted <= matched else MATCHED_OTHERWISE
        keys = await breaks.keys_of(connection, wanted)
        try:
            async with connection.begin_nested():
                await self._deciding.resolve(
                    connection,
                    adjustment.break_id,
                    adjustment.leg,
                    sorted(wanted),
                    [key for key, _ in keys.values()],
                    adjustment.approver or adjustment.client,
                    adjustment.note,
                )
        except ServiceError as error:
            return error.reason
        return ""

    async def _write(
        self, adjustment: Adjustment, step: int, state: AdjustmentState, **values: Any
    ) -> None:
        async with self._engine.begin() as connection:
            # Another process may have been first; what it did is the same.
            await runs.lock(connection, BEGINNING)
            (now_,) = await store.read(connection, adjustment_id=adjustment.adjustment_id)
            if now_.state is not adjustment.state:
                return
            await _add_step(connection, adjustment, step, state, self._clock.now(), **values)
        if state is AdjustmentState.FAILED:
            FINISHED.labels(state.value).inc()


async def _add_step(
    connection: AsyncConnection,
    adjustment: Adjustment,
    step: int,
    state: AdjustmentState,
    now: datetime,
    **values: Any,
) -> None:
    await store.add_step(connection, adjustment.adjustment_id, step, state, now, **values)

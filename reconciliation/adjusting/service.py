"""AdjustmentService: the handlers."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from money.v1.money_pb2 import Money
from reconciliation.adjusting import store
from reconciliation.adjusting.adjustment import Accounts
from reconciliation.adjusting.asking import Asking
from reconciliation.breaks.messages import stamp
from reconciliation.errors import adjustment_not_found
from reconciliation.v1 import adjustment_service_pb2 as pb
from reconciliation.v1.adjustment_service_pb2_grpc import AdjustmentServiceServicer
from runtime.auth import client_name
from runtime.mutations import Mutations
from runtime.notifier import Notifier


class AdjustmentService(AdjustmentServiceServicer):
    """Takes what is to be adjusted and shows how far it is."""

    def __init__(
        self, engine: AsyncEngine, mutations: Mutations, asking: Asking, decided: Notifier
    ) -> None:
        """`decided` is notified of what was decided."""
        self._engine = engine
        self._mutations = mutations
        self._asking = asking
        self._decided = decided

    async def AdjustBreak(
        self, request: pb.AdjustBreakRequest, _context: Any
    ) -> pb.AdjustBreakResponse:
        accounts = [
            Accounts(each.currency_code, each.balance_account, each.counter_account)
            for each in request.accounts
        ]

        async def ask(connection: AsyncConnection) -> pb.AdjustBreakResponse:
            asked = await self._asking.ask(
                connection,
                request.request_id,
                request.break_id,
                accounts,
                client_name(),
                request.note,
            )
            return pb.AdjustBreakResponse(adjustment=_message(asked))

        answer = await self._mutations.run(request, pb.AdjustBreakResponse, ask)
        self._decided.notify()
        return answer

    async def GetAdjustment(
        self, request: pb.GetAdjustmentRequest, _context: Any
    ) -> pb.GetAdjustmentResponse:
        wanted = request.adjustment_id
        async with self._engine.connect() as connection:
            found = await store.read(connection, adjustment_id=wanted)
        if not found:
            raise adjustment_not_found(wanted)
        return pb.GetAdjustmentResponse(adjustment=_message(found[0]))


def _message(adjustment: store.Adjustment) -> pb.Adjustment:
    return pb.Adjustment(
        adjustment_id=adjustment.adjustment_id,
        break_id=adjustment.break_id,
        state=pb.AdjustmentState.Value(f"ADJUSTMENT_STATE_{adjustment.state}"),
        amounts=[
            Money(currency_code=code, minor_units=-amount)
            for code, amount in sorted(adjustment.differences.items())
        ],
        accounts=[
            pb.AdjustmentAccounts(
                currency_code=each.currency,
                balance_account=each.balance_account,
                counter_account=each.counter_account,
            )
            for each in adjustment.accounts
        ],
        client=adjustment.client,
        approver=adjustment.approver,
        note=adjustment.note,
        ledger_request_id=adjustment.ledger_request_id,
        ledger_sequence=adjustment.ledger_sequence,
        failure=adjustment.failure,
        create_time=stamp(adjustment.record_time),
    )

"""LiquidityService: the handler."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from money.v1.money_pb2 import Money
from reconciliation.bank.accounts import BankAccounts
from reconciliation.breaks import store as break_store
from reconciliation.breaks.messages import to_datetime
from reconciliation.liquidity import store
from reconciliation.liquidity.position import Position
from reconciliation.v1 import liquidity_service_pb2 as pb
from reconciliation.v1.liquidity_service_pb2_grpc import LiquidityServiceServicer
from runtime.clock import Clock


class LiquidityServicer(LiquidityServiceServicer):
    """Says where the money is."""

    def __init__(self, engine: AsyncEngine, accounts: BankAccounts, clock: Clock) -> None:
        self._engine = engine
        self._accounts = accounts
        self._clock = clock

    async def GetLiquidity(
        self, request: pb.GetLiquidityRequest, _context: Any
    ) -> pb.GetLiquidityResponse:
        now = self._clock.now()
        moment = break_store.moment_now(now)
        async with self._engine.connect() as connection:
            if request.HasField("as_of_time"):
                time = min(to_datetime(request.as_of_time), now)
                moment = await break_store.moment_at(connection, time)
            found = await store.positions_at(
                connection, moment, self._accounts, request.corridor, request.currency_code
            )
        response = pb.GetLiquidityResponse(liquidity=[_message(position) for position in found])
        response.as_of_time.FromDatetime(moment.time)
        return response


def _message(position: Position) -> pb.Liquidity:
    def money(minor: int) -> Money:
        return Money(currency_code=position.currency, minor_units=minor)

    message = pb.Liquidity(
        corridor=position.corridor,
        currency_code=position.currency,
        in_transit=money(position.in_transit_minor),
        late=money(position.late_minor),
        expected=[
            pb.ExpectedPayouts(
                day=payouts.day.isoformat(),
                amount=money(payouts.amount_minor),
                payouts=payouts.count,
            )
            for payouts in position.expected
        ],
    )
    if position.balance_time is not None:
        assert position.available_minor is not None, "both are known or none is"
        assert position.pending_minor is not None, "both are known or none is"
        message.available.CopyFrom(money(position.available_minor))
        message.pending.CopyFrom(money(position.pending_minor))
        message.balance_time.FromDatetime(position.balance_time)
    if position.at_bank is not None:
        message.at_bank.CopyFrom(money(position.at_bank.amount_minor))
        message.at_bank_day = position.at_bank.day.isoformat()
    return message

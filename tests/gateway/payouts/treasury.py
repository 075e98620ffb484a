"""Somebody who pays merchants out, over gRPC."""

from collections.abc import Callable
from typing import Any, Self

import grpc

from gateway.v1 import merchant_service_pb2 as merchants
from gateway.v1 import payout_service_pb2 as pb
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.v1.payout_pb2 import Payout
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import AccountState, BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.accounts import ACTIVE_ACCOUNT
from tests.gateway.payments.shop import RefusedError, Shop, euros, fresh

MERCHANT = "shop-1"
# What the merchant has at Stripe, available.
BALANCE_MINOR = 1_000_00


class Treasury:
    """Calls PayoutService and waits for what it shows."""

    def __init__(self, shop: Shop, twin: Twin, account_id: str) -> None:
        self.shop = shop
        self.twin = twin
        self.account_id = account_id
        self.stub = PayoutServiceStub(shop.channel)

    @classmethod
    async def open(cls, shop: Shop, twin: Twin) -> Self:
        """Makes the merchant and puts money on its balance."""
        stub = MerchantServiceStub(shop.channel)
        created = await stub.CreateMerchant(
            merchants.CreateMerchantRequest(
                request_id="create-1",
                merchant_id=MERCHANT,
                country_code="DE",
                dashboard=merchants.MERCHANT_DASHBOARD_EXPRESS,
                requested_capabilities=["card_payments", "transfers"],
            )
        )
        account_id: str = created.merchant.connected_account_id
        twin.override_account(account_id, AccountState.model_validate(ACTIVE_ACCOUNT))
        money = BalanceEntry(type="topup", amount=BALANCE_MINOR, currency="eur")
        twin.record_transaction(account_id, money)
        return cls(shop, twin, account_id)

    async def create(
        self, minor_units: int = 100_00, request_id: str = "", **fields: Any
    ) -> Payout:
        request = pb.CreatePayoutRequest(
            **{
                "request_id": request_id or fresh(),
                "merchant_id": MERCHANT,
                "amount": euros(minor_units),
                **fields,
            }
        )
        answer: pb.CreatePayoutResponse = await self.call("CreatePayout", request)
        return answer.payout

    async def cancel(self, payout_id: str, request_id: str = "") -> Payout:
        request = pb.CancelPayoutRequest(request_id=request_id or fresh(), payout_id=payout_id)
        answer: pb.CancelPayoutResponse = await self.call("CancelPayout", request)
        return answer.payout

    async def get(self, payout_id: str) -> Payout:
        answer: pb.GetPayoutResponse = await self.call(
            "GetPayout", pb.GetPayoutRequest(payout_id=payout_id)
        )
        return answer.payout

    async def until(self, payout_id: str, condition: Callable[[Payout], bool]) -> Payout:
        """The payout once the condition holds."""
        return await poll(lambda: self.get(payout_id), condition)

    async def listed(
        self, condition: Callable[[list[Payout]], bool], **filters: Any
    ) -> list[Payout]:
        """The payouts once the condition holds."""

        async def read() -> list[Payout]:
            answer = await self.call("ListPayouts", pb.ListPayoutsRequest(**filters))
            return list(answer.payouts)

        return await poll(read, condition)

    async def call(self, method: str, request: Any) -> Any:
        try:
            return await getattr(self.stub, method)(request)
        except grpc.aio.AioRpcError as error:
            raise RefusedError(from_rpc_error(error)) from error

    @property
    def at_stripe(self) -> list[dict[str, Any]]:
        """The account's payouts at the twin."""
        return list(self.twin.account().connected[self.account_id].objects("payout"))

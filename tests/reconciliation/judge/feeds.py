"""The gateway's feeds as a gateway would tell them that looks at the twin's objects once a day."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.v1 import payout_pb2
from gateway.v1.balance_transaction_pb2 import (
    BALANCE_TRANSACTION_STATE_EXPLAINED,
    BALANCE_TRANSACTION_STATE_MISSING,
    BalanceTransaction,
)
from gateway.v1.balance_transaction_service_pb2 import WatchBalanceTransactionsResponse
from gateway.v1.payout_service_pb2 import WatchPayoutsResponse
from money.v1.money_pb2 import Money
from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.store import JsonObject

EPOCH = 1
COMPLETED = "completed"
_STATES = {
    "pending": payout_pb2.PAYOUT_STATE_PENDING,
    "in_transit": payout_pb2.PAYOUT_STATE_IN_TRANSIT,
    "paid": payout_pb2.PAYOUT_STATE_PAID,
    "failed": payout_pb2.PAYOUT_STATE_FAILED,
    "canceled": payout_pb2.PAYOUT_STATE_CANCELED,
}


class Feeds:
    """What was told of one corridor's account."""

    def __init__(self, corridor: str, account: TwinAccount) -> None:
        self.corridor = corridor
        self.account = account
        self.movements: list[WatchBalanceTransactionsResponse] = []
        self.payouts: list[WatchPayoutsResponse] = []
        self.missing: set[str] = set()
        self._told: dict[str, Any] = {}

    def look(self) -> None:
        """Tells of all that has changed."""
        for payout in self.account.objects("payout"):
            state = (payout["status"], payout["trace_id"]["value"], payout["reconciliation_status"])
            if self._told.get(payout["id"]) != state:
                self._told[payout["id"]] = state
                self.payouts.append(WatchPayoutsResponse(payout=self._payout(payout), epoch=EPOCH))
        for moved in self.account.books.transactions:
            paid_out = self.paid_out_with(moved)
            if self._told.get(moved["id"]) != paid_out:
                self._told[moved["id"]] = paid_out
                self._tell(moved, paid_out, BALANCE_TRANSACTION_STATE_EXPLAINED)

    def paid_out_with(self, moved: JsonObject) -> str:
        """The payout whose content it is, as far as Stripe says so."""
        payout_id = self.account.paid_out.get(moved["id"])
        if payout_id is None or moved["source"] in self.account.split_payouts:
            # A part of a payout that was split is none of what its parts contain.
            return ""
        payout = self.account.objects("payout").get(payout_id)
        return payout_id if payout["reconciliation_status"] == COMPLETED else ""

    def tell_missing(self, moved: JsonObject) -> None:
        """Stripe lists it no longer."""
        self.missing.add(moved["id"])
        self._tell(moved, self.paid_out_with(moved), BALANCE_TRANSACTION_STATE_MISSING)

    def _tell(self, moved: JsonObject, payout_id: str, state: Any) -> None:
        code = moved["currency"].upper()
        message = BalanceTransaction(
            id=moved["id"],
            corridor=self.corridor,
            type=moved["type"],
            reporting_category=moved["reporting_category"] or "",
            amount=Money(currency_code=code, minor_units=moved["amount"]),
            fee=Money(currency_code=code, minor_units=moved["fee"]),
            net=Money(currency_code=code, minor_units=moved["net"]),
            source_id=moved["source"] or "",
            stripe_payout_id=payout_id,
            stripe_create_time=Timestamp(seconds=moved["created"]),
            available_time=Timestamp(seconds=moved["available_on"]),
            state=state,
        )
        self.movements.append(
            WatchBalanceTransactionsResponse(balance_transaction=message, epoch=EPOCH)
        )

    def _payout(self, payout: JsonObject) -> payout_pb2.Payout:
        code = payout["currency"].upper()
        return payout_pb2.Payout(
            id=f"payout_{payout['id']}",
            corridor=self.corridor,
            state=_STATES[payout["status"]],
            amount=Money(currency_code=code, minor_units=payout["amount"]),
            automatic=payout["automatic"],
            stripe_payout_id=payout["id"],
            arrival_time=Timestamp(seconds=int(payout["arrival_date"])),
            stripe_create_time=Timestamp(seconds=payout["created"]),
            method=payout["method"],
            reconciliation_status=payout["reconciliation_status"],
            trace_id=payout["trace_id"]["value"] or "",
            trace_id_status=payout["trace_id"]["status"],
            primary_payout_id=self.account.split_payouts.get(payout["id"], ""),
            content_complete=payout["reconciliation_status"] == COMPLETED,
            balance_transaction_id=payout["balance_transaction"],
        )

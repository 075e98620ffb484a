"""What a payout contains: Stripe's balance transactions, with the payments they come from."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.bookkeeping.reporting import BOOKING
from gateway.money import from_stripe
from gateway.payments.rendering import money
from gateway.payments.store.schema import PAYMENT
from gateway.payouts.domain import Payout
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.v1 import payout_pb2

_EXPANDED_LIST = ["data.source"]
# Stripe's own bound of a page.
MAX_PAGE_SIZE = 100


class PayoutTransactions:
    """Lists them, page by page, as Stripe has them."""

    def __init__(self, engine: AsyncEngine, stripe_client: StripeClient) -> None:
        self._engine = engine
        self._stripe = stripe_client

    async def page(
        self, payout: Payout, after_id: str, limit: int
    ) -> tuple[list[payout_pb2.PayoutTransaction], str]:
        """One page, and the id after which the next one begins; empty if there is none.

        Stripe tells only of automatic payouts what they contain. Raises `ServiceError`.
        """
        if not payout.automatic or not payout.stripe_payout_id:
            return [], ""
        params: dict[str, Any] = {
            "payout": payout.stripe_payout_id,
            "limit": limit,
            "expand": _EXPANDED_LIST,
        }
        if after_id:
            params["starting_after"] = after_id
        outcome = await self._stripe.records.list_balance_transactions(
            payout.corridor, params, connected_account=payout.account_id or None
        )
        if outcome.object is None:
            raise call_failed(payout.corridor, outcome)
        listed: list[dict[str, Any]] = outcome.object["data"]
        contained = [item for item in listed if item["type"] != "payout"]
        payments = await self._payments(payout.corridor, contained)
        more = bool(listed) and outcome.object["has_more"]
        return (
            [_message(item, payments.get(item["id"], "")) for item in contained],
            str(listed[-1]["id"]) if more else "",
        )

    async def _payments(
        self, corridor: str, transactions: Sequence[Mapping[str, Any]]
    ) -> dict[str, str]:
        """The payments of ours that balance transactions come from, by their ids: by the charge,
        or on a merchant's account by the transfer that brought the money."""
        charges: dict[str, str] = {}
        facts: dict[str, str] = {}
        for transaction in transactions:
            source = transaction["source"]
            if not isinstance(source, Mapping):
                continue
            if transfer := source.get("source_transfer"):
                facts[transaction["id"]] = f"transfer.{transfer}"
            elif source["object"] == "charge":
                charges[transaction["id"]] = str(source["id"])
            elif charge := source.get("charge") or source.get("source_transaction"):
                charges[transaction["id"]] = str(charge)
        of_charge = select(PAYMENT.c.charge_id, PAYMENT.c.id).where(
            PAYMENT.c.corridor == corridor, PAYMENT.c.charge_id.in_(list(charges.values()))
        )
        of_fact = select(BOOKING.c.fact_id, BOOKING.c.payment_id).where(
            BOOKING.c.fact_id.in_(list(facts.values()))
        )
        async with self._engine.connect() as connection:
            by_charge = {row[0]: row[1] for row in await connection.execute(of_charge)}
            by_fact = {row[0]: row[1] for row in await connection.execute(of_fact)}
        return {
            **{key: by_charge[name] for key, name in charges.items() if name in by_charge},
            **{key: by_fact[name] for key, name in facts.items() if name in by_fact},
        }


def _message(transaction: Mapping[str, Any], payment_id: str) -> payout_pb2.PayoutTransaction:
    currency = str(transaction["currency"]).upper()
    return payout_pb2.PayoutTransaction(
        balance_transaction_id=str(transaction["id"]),
        reporting_category=str(transaction["reporting_category"]),
        gross=money(currency, from_stripe(currency, int(transaction["amount"]))),
        fee=money(currency, from_stripe(currency, int(transaction["fee"]))),
        net=money(currency, from_stripe(currency, int(transaction["net"]))),
        payment_id=payment_id,
    )

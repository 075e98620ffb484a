"""A small model of the books: what a ledger posts for each balance transaction, and what it gets
wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import ENTRY_EFFECT_HOLD, ENTRY_EFFECT_POST, Entry
from ledger.v1.transaction_pb2 import Transaction
from money.v1.money_pb2 import Money
from tests.reconciliation.judge.history import Booked, Name

# Of a hundred converted movements so many are booked in the payment's currency first.
CONVERTED_APART = 60
# Of a hundred movements with a fee so many have it in a transaction of its own.
FEE_APART = 15
_SOURCES = {"ch": "charge_id", "re": "refund_id", "du": "dispute_id", "po": "payout_id"}


@dataclass(frozen=True)
class Leg:
    """What one transaction does at Stripe: by currency, minor units."""

    label: str
    amounts: tuple[tuple[str, int], ...]


class Bookkeeping:
    """Books balance transactions of all corridors into one ledger."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.transactions: list[Transaction] = []
        self.booked: list[Booked] = []

    def book(
        self, corridor: str, moved: dict[str, Any], *, off_by: int = 0, times: int = 1
    ) -> None:
        """The transactions of a movement: once, twice, or by another amount."""
        legs = list(self._legs(moved))
        if off_by:
            (code, amount), *rest = legs[-1].amounts[::-1]
            legs[-1] = Leg(legs[-1].label, (*rest[::-1], (code, amount + off_by)))
        for time in range(times):
            for leg in legs:
                request_id = _request_id(moved, leg) + (f":{time}" if time else "")
                self._post(corridor, request_id, moved, leg)
        if self._random.random() < 0.2:
            self._move_within(corridor, moved)

    def invent(self, corridor: str, currency: str, amount: int, now: int) -> None:
        """A transaction of a movement that Stripe has never heard of."""
        number = len(self.transactions)
        moved = {
            "id": f"txn_invented{number}",
            "source": f"ch_invented{number}",
            "currency": currency,
            "net": amount,
            "created": now,
            "type": "charge",
        }
        leg = Leg("charge", ((currency.upper(), amount),))
        self._post(corridor, f"charge.invented{number}", moved, leg)

    def _legs(self, moved: dict[str, Any]) -> Iterator[Leg]:
        code, net, fee = moved["currency"].upper(), moved["net"], moved["fee"]
        if moved["exchange_rate"] is not None and self._random.randrange(100) < CONVERTED_APART:
            # In the payment's currency, and then its conversion, which takes that back.
            foreign = self._random.randint(1, 10_000) * (1 if net > 0 else -1)
            yield Leg("paid", (("GBP", foreign),))
            yield Leg("converted", (("GBP", -foreign), (code, net)))
        elif 0 < fee != moved["amount"] != 0 and self._random.randrange(100) < FEE_APART:
            yield Leg("gross", ((code, moved["amount"]),))
            yield Leg("fee", ((code, -fee),))
        else:
            yield Leg("net", ((code, net),))

    def _post(self, corridor: str, request_id: str, moved: dict[str, Any], leg: Leg) -> None:
        transaction = _transaction(request_id, moved)
        for code, amount in leg.amounts:
            part = self._random.choice(("available", "pending"))
            _entry(transaction, f"{corridor}/{code.lower()}/stripe/{part}", code, amount)
            _entry(transaction, f"{corridor}/{code.lower()}/other", code, -amount)
            if amount:
                self.booked.append(
                    Booked(
                        Name("LEDGER", corridor, f"{request_id}:{code}"),
                        code,
                        amount,
                        moved["id"],
                        request_id.startswith(("payout.", "payout_failed.")),
                    )
                )
        self._add(transaction)

    def _move_within(self, corridor: str, moved: dict[str, Any]) -> None:
        """What became available, and a hold of a payment: neither changes what is at Stripe."""
        code = moved["currency"].upper()
        where = f"{corridor}/{code.lower()}/stripe"
        transaction = _transaction(f"available.{moved['id']}", moved)
        _entry(transaction, f"{where}/available", code, abs(moved["net"]))
        _entry(transaction, f"{where}/pending", code, -abs(moved["net"]))
        held = transaction.entries.add()
        held.CopyFrom(transaction.entries[0])
        held.effect = ENTRY_EFFECT_HOLD
        self._add(transaction)

    def _add(self, transaction: Transaction) -> None:
        transaction.sequence = len(self.transactions) + 1
        self.transactions.append(transaction)


def _request_id(moved: dict[str, Any], leg: Leg) -> str:
    kind = {"payout": "payout", "payout_failure": "payout_failed"}.get(moved["type"])
    kind = "payout_failed" if moved["type"] == "payout_cancel" else kind
    return f"{kind}.{moved['source']}" if kind else f"{leg.label}.{moved['id']}"


def _transaction(request_id: str, moved: dict[str, Any]) -> Transaction:
    source = moved["source"] or ""
    metadata = {"fact": "judge", "payment_id": f"pay_{moved['id']}", "merchant_id": "one"}
    name = _SOURCES.get(source.partition("_")[0])
    if name:
        metadata[name] = source
    if name != "payout_id":
        # Of payouts the books name the payout alone.
        metadata["balance_transaction_id"] = moved["id"]
    return Transaction(
        ledger="payments",
        request_id=request_id,
        effective_time=Timestamp(seconds=moved["created"]),
        metadata=metadata,
    )


def _entry(transaction: Transaction, account: str, code: str, amount: int) -> None:
    transaction.entries.append(
        Entry(
            account=account,
            direction=DIRECTION_DEBIT if amount >= 0 else DIRECTION_CREDIT,
            amount=Money(currency_code=code, minor_units=abs(amount)),
            effect=ENTRY_EFFECT_POST,
        )
    )

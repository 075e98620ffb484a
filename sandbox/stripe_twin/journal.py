"""What the judge of a chaos test asks: the requests that came, and the books of each account."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sandbox.stripe_twin.account import TwinAccount

MAX_REQUESTS_KEPT = 100_000


@dataclass(slots=True)
class SeenRequest:
    """One API request. `acted` is False where a fault or a replay kept its endpoint from running.

    `status` is None where the connection was reset instead of answered. `body_hash` tells bodies
    apart: one key must never come with two.
    """

    request_id: str
    time: float
    method: str
    path: str
    account: str | None = None
    idempotency_key: str | None = None
    status: int | None = None
    acted: bool = False
    replayed: bool = False
    body_hash: str = ""


class RequestJournal:
    """The last requests, and counts over all."""

    def __init__(self) -> None:
        self.seen: deque[SeenRequest] = deque(maxlen=MAX_REQUESTS_KEPT)
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def add(self, request: SeenRequest) -> None:
        """Notes a request; its outcome is filled in when it is known."""
        self.seen.append(request)
        self.counts[request.method] += 1
        if request.method == "POST" and request.idempotency_key is None:
            self.counts["posts_without_key"] += 1
        self._notify()

    def answer(self, request: SeenRequest, status: int) -> None:
        """Notes how a request was answered."""
        request.status = status
        self._notify()

    async def wait_for(self, reached: Callable[[Sequence[SeenRequest]], bool]) -> None:
        """Waits until the requests so far satisfy `reached`."""
        while not reached(self.seen):
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def posts_without_key(self) -> int:
        """How many POSTs came without an idempotency key, refused ones included."""
        return self.counts["posts_without_key"]

    def posts_by_key(self, account: str | None = None) -> dict[str, Any]:
        """The kept POSTs by idempotency key: how many came, how many acted and were replayed.

        `account` is an account id. A key that acted more than once was sent again after Stripe had
        forgotten it, or to another account.
        """
        keys: dict[str, dict[str, Any]] = {}
        without_key: list[str] = []
        for request in self.seen:
            if request.method != "POST" or account not in (None, request.account):
                continue
            if request.idempotency_key is None:
                without_key.append(request.path)
                continue
            use = keys.setdefault(
                request.idempotency_key,
                {"accounts": [], "paths": [], "posts": 0, "acted": 0, "replayed": 0},
            )
            for name, value in (("accounts", request.account), ("paths", request.path)):
                if value not in use[name]:
                    use[name].append(value)
            use["posts"] += 1
            use["acted"] += request.acted
            use["replayed"] += request.replayed
        return {"keys": keys, "without_key": without_key, "posts": self.counts["POST"]}

    def matching(self, method: str | None = None, path: str | None = None) -> list[SeenRequest]:
        """The kept requests of a method and a path's beginning, oldest first."""
        return [
            request
            for request in self.seen
            if method in (None, request.method) and request.path.startswith(path or "")
        ]


def dump_books(accounts: Iterable[TwinAccount]) -> dict[str, Any]:
    """Per account its charges, refunds, fees and balances, after checking that they agree.

    Raises AssertionError if the twin's own books do not add up.
    """
    return {account.name: _dump(account) for account in accounts}


def _dump(account: TwinAccount) -> dict[str, Any]:
    now = account.now()
    account.books.check(now)
    charges = list(account.objects("charge"))
    transactions = list(account.books.transactions)
    fees: Counter[str] = Counter()
    for transaction in transactions:
        fees[transaction["currency"]] += transaction["fee"]
    _check_charges(account)
    return {
        "account": account.account_id,
        "payment_intents": list(account.objects("payment_intent")),
        "charges": charges,
        "refunds": list(account.objects("refund")),
        "disputes": list(account.objects("dispute")),
        "payouts": list(account.objects("payout")),
        "balance_transactions": transactions,
        "fees": dict(fees),
        "balances": account.books.balances(now),
        "journal": account.books.journal(),
        "connected": {item.account_id: _dump(item) for item in account.connected.values()},
    }


def _check_charges(account: TwinAccount) -> None:
    """One paid charge per intent at most; what is refunded is what the refunds say."""
    paid: Counter[str] = Counter()
    for charge in account.objects("charge"):
        if charge["paid"] and charge["payment_intent"] is not None:
            paid[charge["payment_intent"]] += 1
        refunded = (
            sum(
                refund["amount"]
                for refund in account.objects("refund")
                if refund["charge"] == charge["id"] and refund["status"] != "failed"
            )
            if charge["amount_refunded"]
            else 0
        )
        if refunded != charge["amount_refunded"] or refunded > charge["amount_captured"]:
            raise AssertionError(f"{charge['id']} has refunded {charge['amount_refunded']}")
    doubled = [intent for intent, count in paid.items() if count > 1]
    if doubled:
        raise AssertionError(f"paid more than once: {doubled}")


def describe(request: SeenRequest) -> dict[str, Any]:
    """The request as JSON."""
    return asdict(request)

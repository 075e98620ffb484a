"""The requests that came: which acted, which were replayed, and what key each had."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

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


def describe(request: SeenRequest) -> dict[str, Any]:
    """The request as JSON."""
    return asdict(request)

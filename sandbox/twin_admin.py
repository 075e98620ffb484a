"""A client of the Stripe twin's admin API, for a twin in another process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, Self

import aiohttp

from sandbox.stripe_twin.accounts import DEFAULT_ACCOUNT

OutageMode = Literal["off", "reset", "error", "hang"]


class TwinAdminError(RuntimeError):
    """The twin refused an admin request; the message is its answer."""


class TwinAdmin:
    """Steers a twin and reads its books."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """`session` has the twin's address as its base URL."""
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Self]:
        """A client of the twin at `http://host:port`."""
        async with aiohttp.ClientSession(url) as session:
            yield cls(session)

    async def send_webhooks_to(self, url: str, account: str = DEFAULT_ACCOUNT.name) -> None:
        """Registers an endpoint for the platform's events and one for its connected accounts'."""
        for connect in (False, True):
            body = {"url": url, "account": account, "connect": connect}
            await self._call("POST", "webhooks", body)

    async def set_outage(self, mode: OutageMode) -> None:
        """Makes every API request fail in one way, or ends that with `off`."""
        await self._call("POST", "outage", {"mode": mode})

    async def add_fault(self, **rule: Any) -> str:
        """Switches a fault on (see `stripe_twin.faults.Fault`); gives its id."""
        answer = await self._call("POST", "faults", rule)
        return str(answer["id"])

    async def clear_faults(self) -> None:
        """Switches all faults off; requests that hang on them go on."""
        await self._call("DELETE", "faults")

    async def authenticate(self, payment_intent: str, *, passed: bool = True) -> None:
        """Plays the customer on the 3-D Secure page."""
        outcome = "succeed" if passed else "fail"
        await self._call("POST", f"authenticate/{payment_intent}/{outcome}")

    async def pause_webhooks(self) -> None:
        """Keeps webhooks back until `resume_webhooks`."""
        await self._call("POST", "webhooks/pause")

    async def resume_webhooks(self) -> None:
        """Sends what was kept back."""
        await self._call("POST", "webhooks/resume")

    async def webhooks_delivered(self) -> None:
        """Waits until no webhook is on its way."""
        await self._call("POST", "webhooks/drain")

    async def books(self, account: str = DEFAULT_ACCOUNT.name) -> dict[str, Any]:
        """Charges, refunds, fees and balances of an account, checked by the twin itself."""
        books: dict[str, dict[str, Any]] = await self._call("GET", "books")
        return books[account]

    async def balance(self, currency: str, account: str = DEFAULT_ACCOUNT.name) -> int:
        """Pending and available money of an account, in minor units; lower-case currency."""
        balances = (await self.books(account))["balances"].get(currency, {})
        return sum(balances.values())

    async def requests(self, method: str, path: str) -> list[dict[str, Any]]:
        """The API requests that came, of a method, whose path begins so."""
        query = {"method": method, "path": path}
        answer = await self._call("GET", "requests", query=query)
        found: list[dict[str, Any]] = answer["requests"]
        return found

    async def _call(
        self, method: str, path: str, body: Any = None, query: dict[str, str] | None = None
    ) -> Any:
        async with self._session.request(
            method, f"/_twin/{path}", json=body, params=query
        ) as response:
            if response.status != 200:
                raise TwinAdminError(f"{method} {path}: {await response.text()}")
            return await response.json()

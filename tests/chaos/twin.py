"""The Stripe twin as a chaos run controls and reads it, beyond what a sandbox needs."""

from typing import Any

from gateway.customers.domain import REQUEST_KEY
from sandbox.stripe_twin.accounts import ACCOUNTS, PlatformAccount
from sandbox.twin_admin import DisputeOutcome, TwinAdmin, TwinAdminError

PAGE = 100
MAX_PAGES = 1_000


class ChaosTwin(TwinAdmin):
    """Everything goes through the admin API."""

    async def clear_fault(self, fault_id: str) -> None:
        """Switches one fault off; what hangs on it goes on."""
        await self._call("DELETE", f"faults/{fault_id}")

    async def clear_webhook_fault(self, fault_id: str) -> None:
        """Switches one off, and sends what was held back."""
        await self._call("DELETE", f"webhook_faults/{fault_id}")

    async def all_books(self) -> dict[str, dict[str, Any]]:
        """The books of every account, by its name, checked by the twin itself."""
        books: dict[str, dict[str, Any]] = await self._call("GET", "books")
        return books

    async def deliveries(self) -> list[dict[str, Any]]:
        """Every attempt to deliver a webhook."""
        attempts: list[dict[str, Any]] = await self._call("GET", "webhooks")
        return attempts

    async def decide_disputes(self, intent_id: str, outcome: DisputeOutcome) -> None:
        """The bank decides the disputes of a payment. Raises `TwinAdminError` if it has before."""
        for account in ACCOUNTS:
            for dispute in await self._all_of(account, "disputes", payment_intent=intent_id):
                await self.decide_dispute(dispute["id"], outcome)

    async def saved(self) -> list[tuple[str, dict[str, Any]]]:
        """All customers and SetupIntents, each with what of the engine's it was made for."""
        return [
            (f"{account.name} {kind} {made['metadata'].get(REQUEST_KEY, '')}", made)
            for account in ACCOUNTS
            for kind in ("customers", "setup_intents")
            for made in await self._all_of(account, kind)
        ]

    async def undelivered(self) -> set[str]:
        """Ids of the events that some endpoint has not acknowledged yet, over all accounts."""
        return {
            event["id"]
            for account in ACCOUNTS
            for event in await self._all_of(account, "events", delivery_success="false")
        }

    async def _all_of(
        self, account: PlatformAccount, kind: str, **query: str
    ) -> list[dict[str, Any]]:
        """Everything that Stripe's API lists of a kind."""
        found: list[dict[str, Any]] = []
        headers = {"Authorization": f"Bearer {account.secret_key}"}
        query |= {"limit": str(PAGE)}
        for _ in range(MAX_PAGES):
            async with self._session.get(f"/v1/{kind}", params=query, headers=headers) as answer:
                page = await answer.json()
            if answer.status != 200:
                # A fault of the run: whoever needs it looks again.
                raise TwinAdminError(f"GET {kind}: {page}")
            found += page["data"]
            if not page["has_more"]:
                break
            query["starting_after"] = page["data"][-1]["id"]
        return found

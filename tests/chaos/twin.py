"""The Stripe twin as a chaos run steers and reads it, beyond what a sandbox needs."""

from typing import Any

from sandbox.stripe_twin.accounts import ACCOUNTS
from sandbox.twin_admin import TwinAdmin

PAGE = 100
MAX_PAGES = 1_000


class SteeredTwin(TwinAdmin):
    """Everything goes through the admin API."""

    async def change_settings(self, **settings: Any) -> None:
        """Sets some of `stripe_twin.settings.TwinSettings`."""
        await self._call("POST", "settings", settings)

    async def clear_fault(self, fault_id: str) -> None:
        """Switches one fault off; what hangs on it goes on."""
        await self._call("DELETE", f"faults/{fault_id}")

    async def add_webhook_fault(self, **rule: Any) -> str:
        """Switches a webhook fault on (see `stripe_twin.webhook_faults.WebhookFault`)."""
        answer = await self._call("POST", "webhook_faults", rule)
        return str(answer["id"])

    async def clear_webhook_faults(self, fault_id: str = "") -> None:
        """Switches one off, or all, and sends what was held back."""
        await self._call("DELETE", f"webhook_faults/{fault_id}".rstrip("/"))

    async def advance(self, seconds: float) -> None:
        """Moves Stripe's clock."""
        await self._call("POST", "clock", {"seconds": seconds})

    async def all_books(self) -> dict[str, dict[str, Any]]:
        """The books of every account, by its name, checked by the twin itself."""
        books: dict[str, dict[str, Any]] = await self._call("GET", "books")
        return books

    async def deliveries(self) -> list[dict[str, Any]]:
        """Every attempt to deliver a webhook."""
        attempts: list[dict[str, Any]] = await self._call("GET", "webhooks")
        return attempts

    async def undelivered(self) -> set[str]:
        """Ids of the events that some endpoint has not acknowledged yet, over all accounts."""
        found: set[str] = set()
        for account in ACCOUNTS:
            query = {"delivery_success": "false", "limit": str(PAGE)}
            headers = {"Authorization": f"Bearer {account.secret_key}"}
            for _ in range(MAX_PAGES):
                async with self._session.get("/v1/events", params=query, headers=headers) as answer:
                    page = await answer.json()
                found |= {event["id"] for event in page["data"]}
                if not page["has_more"]:
                    break
                query["starting_after"] = page["data"][-1]["id"]
        return found

"""What others do at Stripe, where the gateway has no part in it."""

import hashlib
from typing import Any

import aiohttp

from sandbox.stripe_twin.twin import Twin


async def at_stripe(
    twin: Twin, path: str, form: dict[str, str], account: str | None = None
) -> dict[str, Any]:
    """Posts a form to the twin; the same twice does nothing the second time."""
    key = hashlib.sha256(f"{path} {sorted(form.items())}".encode()).hexdigest()
    headers = {"Authorization": f"Bearer {twin.account().secret_key}", "Idempotency-Key": key}
    if account is not None:
        headers["Stripe-Account"] = account
    async with (
        aiohttp.ClientSession() as http,
        http.post(twin.url + path, data=form, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        return dict(await response.json())

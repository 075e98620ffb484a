"""A connected account at the twin as Stripe shows one that may do everything."""

from typing import Any

_ACTIVE = {"status": "active", "requirements": {}}
ACTIVE_ACCOUNT: dict[str, Any] = {
    "charges_enabled": True,
    "payouts_enabled": True,
    "details_submitted": True,
    "requirements": {},
    "future_requirements": {},
    "capabilities": {"card_payments": _ACTIVE, "transfers": _ACTIVE},
}

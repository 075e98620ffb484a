"""The `Stripe-Signature` header, and what somebody sends who is not Stripe."""

import hmac
from hashlib import sha256

from sandbox.stripe_twin.webhook_faults import Forgery

# Far outside of any tolerance for the age of a signature.
STALE_SECONDS = 24 * 60 * 60


def sign(payload: str, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header: https://docs.stripe.com/webhooks#verify-manually."""
    mac = hmac.new(secret.encode(), f"{timestamp}.{payload}".encode(), sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


def forge(payload: str, secret: str, timestamp: int, forgery: Forgery) -> tuple[str, str | None]:
    """The body and the header of a webhook that must be refused."""
    match forgery:
        case Forgery.WRONG_SECRET:
            return payload, sign(payload, f"{secret}x", timestamp)
        case Forgery.EMPTY_SECRET:
            return payload, sign(payload, "", timestamp)
        case Forgery.NO_SIGNATURE:
            return payload, None
        case Forgery.TAMPERED:
            changed = payload.replace('"livemode": false', '"livemode": true')
            return changed, sign(payload, secret, timestamp)
        case Forgery.OLD:
            return payload, sign(payload, secret, timestamp - STALE_SECONDS)
        case Forgery.FUTURE:
            return payload, sign(payload, secret, timestamp + STALE_SECONDS)

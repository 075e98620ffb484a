"""Signatures as Standard Webhooks has them: https://www.standardwebhooks.com"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 (what every secret begins with)
SECRET_BYTES = 32
VERSION = "v1"


def new_secret() -> str:
    """A fresh secret, as it is shown to the client."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def webhook_id(sequence: int) -> str:
    """The message's id: the same for every attempt and replay of one event."""
    return f"evt_{sequence}"


def signed_headers(
    message_id: str, now: datetime, body: bytes, signed_with: Sequence[str]
) -> Mapping[str, str]:
    """The three headers; one signature per secret. Raises ValueError without any secret."""
    if not signed_with:
        raise ValueError("a message is signed with at least one secret")
    timestamp = str(int(now.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, content) for secret in signed_with),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"

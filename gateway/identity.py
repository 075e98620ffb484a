"""Ids of what requests make."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from gateway.ids import RequestMetadata, derived_id
from runtime.idempotency import fingerprint_of, method_of

_FINGERPRINT_DIGITS = 32


def fingerprint_at_stripe(request: Message) -> str:
    """Stands for a request among what Stripe keeps of it; 128 bits in hexadecimal."""
    return fingerprint_of(request).hex()[:_FINGERPRINT_DIGITS]


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """The ids of what requests make; those of another deployment are others.

    Two deployments may charge through the same Stripe account: `deployment` keeps their objects
    apart. Whoever changes it makes all requests new ones.
    """

    deployment: str

    def of(self, prefix: str, request: Any) -> str:
        """The id of what a request makes; `request` has a request_id."""
        return self.named(prefix, method_of(request), request.request_id)

    def named(self, prefix: str, method: str, request_id: str) -> str:
        """The same for a request of which no more is known; `method` is the name of its type."""
        return derived_id(prefix, self.deployment, method, request_id)

    def metadata_of(self, request: Any) -> RequestMetadata:
        """What Stripe is to keep of a request, which has a request_id."""
        return RequestMetadata(self.deployment, request.request_id, fingerprint_at_stripe(request))

"""Identifiers: a prefix and 130 bits that are derived from what they stand for.

None is drawn at random. A gateway whose database has lost its last commits, by a restore or by a
failover to a server that lagged behind, is sent the same requests again: it then makes the same
ids, the same idempotency keys and the same bytes, by which Stripe and the ledger know what they
have already (docs/adr/0026-restored-databases.md).

The digits are Crockford's base 32 (https://www.crockford.com/base32.html).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 26
_BITS_PER_CHARACTER = 5
# What the engine finds its own objects at Stripe by; clients cannot set keys with this prefix.
METADATA_PREFIX = "engine_"
DEPLOYMENT_KEY = "engine_deployment"
# SHA-256.
_WHOLE_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def derived_id(prefix: str, *parts: str) -> str:
    """An id like `pay_1J9Z8M3T7Q0F8W6V5K4H3G2D1C`, the same for the same parts."""
    # With their lengths, so that no two lists of parts read alike.
    text = "".join(f"{len(part)}:{part}" for part in (prefix, *parts))
    digest = hashlib.sha256(text.encode()).digest()
    number = int.from_bytes(digest) >> (len(digest) * 8 - _CHARACTERS * _BITS_PER_CHARACTER)
    digits = []
    for _ in range(_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """A request as Stripe's objects carry it in their metadata, so that a gateway which has lost
    its own rows knows what they were made for."""

    deployment: str
    request_id: str
    fingerprint: str

    def as_metadata(self, what: str = "") -> dict[str, str]:
        """Keys and values for Stripe; `what` tells apart the requests that one object carries."""
        between = f"{what}_" if what else ""
        return {
            DEPLOYMENT_KEY: self.deployment,
            f"{METADATA_PREFIX}{between}request_id": self.request_id,
            f"{METADATA_PREFIX}{between}fingerprint": self.fingerprint,
        }

    @classmethod
    def read(cls, metadata: Mapping[str, str], what: str = "") -> "RequestMetadata | None":
        """What an object carries; None if it carries none."""
        between = f"{what}_" if what else ""
        request_id = metadata.get(f"{METADATA_PREFIX}{between}request_id")
        fingerprint = metadata.get(f"{METADATA_PREFIX}{between}fingerprint")
        deployment = metadata.get(DEPLOYMENT_KEY)
        if request_id is None or fingerprint is None or deployment is None:
            return None
        return cls(deployment, request_id, fingerprint)

    @classmethod
    def read_whole(cls, metadata: Mapping[str, str]) -> "RequestMetadata | None":
        """The request that an object carries with all of its fingerprint, so that it can be written
        down again; None if it carries less."""
        carried = cls.read(metadata)
        whole = carried is not None and _WHOLE_FINGERPRINT.fullmatch(carried.fingerprint)
        return carried if whole else None


# Of what the engine does by itself.
NO_REQUEST = RequestMetadata("", "", "")

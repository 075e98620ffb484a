"""Identifiers: a prefix, the time in milliseconds and 80 random bits, so they sort by time.

The layout is ULID's (https://github.com/ulid/spec): 26 characters of Crockford's base 32.
"""

import secrets
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 26
_RANDOM_BITS = 80


def new_id(prefix: str, now: datetime) -> str:
    """A fresh id like `pay_01J9Z8M3T7Q0F8W6V5K4H3G2D1`."""
    number = int(now.timestamp() * 1000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    digits = []
    for _ in range(_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(digits))}"

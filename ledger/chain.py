"""The accounts as a hash chain, in order of their numbers: a checkpoint covers their definitions.

The chain's hash after account n is SHA-256(the hash before || SHA-256(the account's line)); before
the first it is 32 zero bytes.
"""

from hashlib import sha256

EMPTY_CHAIN = bytes(32)


def extended(chain: bytes, line: bytes) -> bytes:
    """The chain's hash after one more account's line, which is without its line end."""
    return sha256(chain + sha256(line).digest()).digest()

"""Contents at rest that the service has to read again: encrypted where it has a key.

AES-256-GCM with a nonce for each, and with what they belong to as associated data, so that nothing
that was sealed for one row opens in another.
"""

import base64
import binascii
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
# The first byte says how the rest is to be read.
_PLAIN, _AES_GCM = b"\x00", b"\x01"


class UnreadableSecretError(Exception):
    """No key that the service has opens it."""


class Sealer:
    """Seals with the first key and opens with any, so that keys can be rolled."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Without keys, contents are kept as they are."""
        self._ciphers = [AESGCM(key) for key in keys]

    @property
    def has_keys(self) -> bool:
        """Whether what is sealed is encrypted."""
        return bool(self._ciphers)

    def seal(self, owner: str, content: bytes) -> bytes:
        """The content as it is stored; bound to its owner."""
        if not self._ciphers:
            return _PLAIN + content
        nonce = os.urandom(_NONCE_BYTES)
        return _AES_GCM + nonce + self._ciphers[0].encrypt(nonce, content, owner.encode())

    def open(self, owner: str, sealed: bytes) -> bytes:
        """The content again. Raises UnreadableSecretError."""
        kind, rest = sealed[:1], sealed[1:]
        if kind == _PLAIN:
            return rest
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], owner.encode())
            except InvalidTag:
                continue
        raise UnreadableSecretError(owner)


def keys_of(listed: str) -> list[bytes]:
    """Keys out of a setting: comma separated, base 64 of 32 bytes each. Raises ValueError."""
    keys = []
    for item in listed.split(","):
        try:
            key = base64.b64decode(item.strip(), validate=True)
        except binascii.Error:
            raise ValueError("a key is not base 64") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has not {KEY_BYTES} bytes")
        keys.append(key)
    return keys

"""Endpoints' secrets at rest: encrypted where the service has a key, because signing needs them."""

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
    """No key that the service has opens a secret."""


class Sealer:
    """Seals with the first key and opens with any, so that keys can be rolled."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Without keys, secrets are kept as they are."""
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, endpoint_id: str, secret: str) -> bytes:
        """The secret as it is stored; bound to its endpoint."""
        if not self._ciphers:
            return _PLAIN + secret.encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, secret.encode(), endpoint_id.encode())
        return _AES_GCM + nonce + sealed

    def open(self, endpoint_id: str, sealed: bytes) -> str:
        """The secret again. Raises UnreadableSecretError."""
        kind, rest = sealed[:1], sealed[1:]
        if kind == _PLAIN:
            return rest.decode()
        for cipher in self._ciphers:
            try:
                opened = cipher.decrypt(
                    rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], endpoint_id.encode()
                )
            except InvalidTag:
                continue
            return opened.decode()
        raise UnreadableSecretError(endpoint_id)


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

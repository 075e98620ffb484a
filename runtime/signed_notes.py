"""Signed notes, and the keys that sign them.

The format is that of C2SP signed-note (https://c2sp.org), with Ed25519 (RFC 8032): lines of text,
an empty line, and

    — <key name> <base64 of 4 bytes of key id and the signature>

Reading is strict, down to the last byte, because what a note says twice it says to two readers.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_PREFIX = "— "
PRIVATE_PREFIX = "PRIVATE+KEY+"
ED25519 = b"\x01"
KEY_ID_BYTES = 4
KEY_BYTES = 32
SIGNATURE_BYTES = 64

# C2SP: not empty, neither white space nor a plus.
_KEY_NAME = re.compile(r"[^\s+]{1,128}")


class NoteError(ValueError):
    """A note or a key is not what it should be; the message says where and why."""


class Statement(Protocol):
    """What can be signed."""

    def text(self) -> str:
        """Lines, each with a line feed."""
        ...


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name, line feed, algorithm, public key)."""
        named = self.name.encode() + b"\n" + ED25519 + self.public
        return sha256(named).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode(ED25519 + self.public)}"

    @staticmethod
    def parse(text: str) -> "VerifierKey":
        """Reads `<name>+<id in hex>+<base64>`; raises `NoteError`."""
        name, key_id, key = _parts(text, "verifier key")
        found = VerifierKey(name, key)
        if found.key_id.hex() != key_id:
            raise NoteError(f"the verifier key's id is {found.key_id.hex()}, not {key_id}")
        return found


def given_verifier_key(given: str) -> VerifierKey:
    """The key in a file of that name, or given as it is. Raises `NoteError`, which does not repeat
    what was given: it may be a signer key."""
    path = Path(given)
    if path.is_file():
        return VerifierKey.parse(path.read_text(encoding="utf-8", errors="replace"))
    try:
        return VerifierKey.parse(given)
    except NoteError as error:
        raise NoteError(f"there is no file of that name, and it is no key: {error}") from None


class SignerKey:
    """A private key with its name. Its text is a secret."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not _KEY_NAME.fullmatch(name):
            raise NoteError("a key's name is 1 to 128 characters without white space and plus")
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @staticmethod
    def generate(name: str) -> "SignerKey":
        """A new key from the system's randomness."""
        return SignerKey(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @staticmethod
    def parse(text: str) -> "SignerKey":
        """Reads `PRIVATE+KEY+<name>+<id in hex>+<base64>`; raises `NoteError` without the key."""
        if not text.startswith(PRIVATE_PREFIX):
            raise NoteError(f"a signer key starts with {PRIVATE_PREFIX}")
        name, key_id, seed = _parts(text.removeprefix(PRIVATE_PREFIX), "signer key")
        key = SignerKey(name, seed)
        if key.verifier.key_id.hex() != key_id:
            raise NoteError("the signer key's id is not that of its name and key")
        return key

    def secret_text(self) -> str:
        """The key as `parse` reads it."""
        verifier = self.verifier
        encoded = encode(ED25519 + self._seed)
        return f"{PRIVATE_PREFIX}{verifier.name}+{verifier.key_id.hex()}+{encoded}"

    def sign(self, statement: Statement) -> str:
        """The statement as a signed note."""
        text = statement.text()
        signature = encode(self.signature_of(text.encode()))
        return f"{text}\n{SIGNATURE_PREFIX}{self.verifier.name} {signature}\n"

    def signature_of(self, text: bytes) -> bytes:
        """What a note's last line has in base64: the key's id and the signature."""
        return self.verifier.key_id + self._key.sign(text)


def open_lines(note: bytes, key: VerifierKey, max_bytes: int) -> list[str]:
    """The lines of a note, without their line feeds, if exactly this key has signed it; raises
    `NoteError`."""
    if len(note) > max_bytes:
        raise NoteError(f"a note has at most {max_bytes} bytes")
    try:
        lines = note.decode().split("\n")
    except UnicodeDecodeError as error:
        raise NoteError(f"byte {error.start + 1} is not UTF-8") from None
    if len(lines) < 4 or lines[-1] != "" or lines[-3] != "" or "" in lines[:-3]:
        raise NoteError("is not lines, an empty one and one signature, each with a line feed")
    text = "".join(f"{line}\n" for line in lines[:-3])
    _check_signature(text, lines[-2], key, f"line {len(lines) - 1}")
    return lines[:-3]


def _check_signature(text: str, line: str, key: VerifierKey, place: str) -> None:
    name, _, encoded = line.removeprefix(SIGNATURE_PREFIX).partition(" ")
    if not line.startswith(SIGNATURE_PREFIX) or not _KEY_NAME.fullmatch(name):
        raise NoteError(f'{place}: is not "{SIGNATURE_PREFIX}", a name and a signature')
    signed = decode(encoded, KEY_ID_BYTES + SIGNATURE_BYTES, f"{place}: the signature")
    if (name, signed[:KEY_ID_BYTES]) != (key.name, key.key_id):
        raise NoteError(
            f"{place}: signed by {name}+{signed[:KEY_ID_BYTES].hex()}, "
            f"not by {key.name}+{key.key_id.hex()}"
        )
    try:
        public = Ed25519PublicKey.from_public_bytes(key.public)
        public.verify(signed[KEY_ID_BYTES:], text.encode())
    except InvalidSignature:
        raise NoteError(f"{place}: the signature is not that of the text above it") from None


def _parts(text: str, what: str) -> tuple[str, str, bytes]:
    """Name, id and key of `<name>+<id>+<base64>`; the base64 may have a plus of its own."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not _KEY_NAME.fullmatch(parts[0]):
        raise NoteError(f"a {what} is a name, an id and a key with a plus between each")
    key = decode(parts[2], len(ED25519) + KEY_BYTES, f"the key of the {what}")
    if key[:1] != ED25519:
        raise NoteError(f"the {what} is not for Ed25519")
    return parts[0], parts[1], key[1:]


def encode(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def decode(text: str, length: int, what: str) -> bytes:
    """Standard base64 of so many bytes, in the one way that there is to write it."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
    if len(data) != length or encode(data) != text:
        raise NoteError(f"{what} is not base64 of {length} bytes")
    return data

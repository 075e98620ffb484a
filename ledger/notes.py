"""Checkpoints as signed notes.

The format is that of C2SP tlog-checkpoint (https://c2sp.org). A checkpoint of a ledger is

    ledger/<name of the ledger>
    <number of transactions>
    <base64 of the Merkle root>
    accounts <number of accounts> <base64 of the hash of their chain>

    — <key name> <base64 of 4 bytes of key id and the signature>
"""

import re
from dataclasses import dataclass

from runtime.merkle import HASH_BYTES
from runtime.signed_notes import NoteError, VerifierKey, decode, encode, open_lines

ORIGIN_PREFIX = "ledger/"
MAX_NOTE_BYTES = 4_096

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_ORIGIN = re.compile(r"ledger/[a-z][a-z0-9_-]{0,63}")
TEXT_LINES = 4


@dataclass(frozen=True)
class Checkpoint:
    """What a note says: the first `tree_size` transactions and `account_count` accounts."""

    origin: str
    tree_size: int
    root_hash: bytes
    account_count: int
    accounts_hash: bytes

    @property
    def ledger(self) -> str:
        """The ledger's name."""
        return self.origin.removeprefix(ORIGIN_PREFIX)

    def text(self) -> str:
        """The signed text."""
        return (
            f"{self.origin}\n{self.tree_size}\n{encode(self.root_hash)}\n"
            f"accounts {self.account_count} {encode(self.accounts_hash)}\n"
        )


def open_note(note: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint that a note says, if exactly this key has signed it; raises `NoteError`."""
    lines = open_lines(note, key, MAX_NOTE_BYTES)
    if len(lines) != TEXT_LINES:
        raise NoteError("is not four lines and a signature")
    if not _ORIGIN.fullmatch(lines[0]):
        raise NoteError(f"line 1: the origin is not {ORIGIN_PREFIX} and a ledger's name")
    if not _NUMBER.fullmatch(lines[1]) or lines[1] == "0":
        raise NoteError("line 2: the tree size is not a number above zero")
    accounts = lines[3].split(" ")
    if len(accounts) != 3 or accounts[0] != "accounts" or not _NUMBER.fullmatch(accounts[1]):
        raise NoteError('line 4: is not "accounts", a number and a hash')
    return Checkpoint(
        origin=lines[0],
        tree_size=int(lines[1]),
        root_hash=decode(lines[2], HASH_BYTES, "line 3: the root hash"),
        account_count=int(accounts[1]),
        accounts_hash=decode(accounts[2], HASH_BYTES, "line 4: the accounts' hash"),
    )

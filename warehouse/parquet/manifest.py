"""Manifests: what an export has written, and how far it reaches. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

FORMAT = 1
FOLDER = "manifests"
# Manifests are read in the order of their names.
NUMBER_DIGITS = 12


class ManifestError(Exception):
    """What is there is not a manifest of ours."""


@dataclass(frozen=True)
class LedgerEnd:
    """How far a ledger is exported, and the hash of the last leaf, in hex."""

    sequence: int
    leaf_hash: str


@dataclass(frozen=True)
class NamedFile:
    """A Parquet file. `first` and `last` are positions: sequences of the ledger, or numbers of
    loads. `proven` says against what: `trial balance`, `feed` (without gaps), `list`, or
    `file` (the rows of files of Stripe's, each as it was)."""

    path: str
    table: str
    of: str
    record_day: str
    rows: int
    first: int
    last: int
    bytes: int
    sha256: str
    columns: Sequence[Mapping[str, str]]
    proven: str


@dataclass(frozen=True)
class Manifest:
    """One export."""

    number: int
    # SHA-256, in hex, of the manifest before; empty for the first.
    previous_sha256: str
    warehouse: str
    create_time: str
    ledgers: Mapping[str, LedgerEnd]
    # By source: the number of the last load that is exported.
    loads: Mapping[str, int]
    files: Sequence[NamedFile]

    def to_json(self) -> bytes:
        """As it is written."""
        content = {"format": FORMAT, **asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def read_manifest(content: bytes) -> Manifest:
    """The manifest of its bytes. Raises `ManifestError`."""
    try:
        told: dict[str, Any] = json.loads(content)
        if told.pop("format") != FORMAT:
            raise ManifestError("the last manifest is of another release")
        told["ledgers"] = {name: LedgerEnd(**end) for name, end in told["ledgers"].items()}
        told["files"] = [NamedFile(**file) for file in told["files"]]
        return Manifest(**told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"the last manifest cannot be read: {type(error).__name__}") from None


def manifest_name(number: int) -> str:
    """Where a manifest is."""
    return f"{FOLDER}/{number:0{NUMBER_DIGITS}}.json"


def file_name(table: str, ledger: str, day: date, first: int, last: int, sha256: str) -> str:
    """Where a file is. Two files of other bytes never have one name."""
    of = f"ledger={quote(ledger, safe='')}/" if ledger else ""
    return f"{table}/{of}record_day={day.isoformat()}/{first}-{last}-{sha256[:16]}.parquet"


def sha256_of(content: bytes) -> str:
    """In hex."""
    return hashlib.sha256(content).hexdigest()

"""Where lists come from: files that something else fetches, so that no source can stop a start.

A list may be published in several formats; each says which files it has and how they are read.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from compliance.screening import eu_csv, ofac_xml, sdn, uk_csv, un_xml
from compliance.screening.entries import BrokenListError, ParsedList

OFAC_SDN, OFAC_CONSOLIDATED = "OFAC_SDN", "OFAC_CONSOLIDATED"
UN_CONSOLIDATED, EU_CONSOLIDATED, UK = "UN_CONSOLIDATED", "EU_CONSOLIDATED", "UK"
MAX_FILE_BYTES = 200 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ListFormat:
    """`main` is the file that is named, by any name; `beside` may lie beside it, by theirs."""

    name: str
    main: str
    beside: tuple[str, ...]
    parse: Callable[[Mapping[str, bytes]], ParsedList]


SDN_CSV = ListFormat("OFAC_SDN_CSV", sdn.SDN_FILES.main, sdn.SDN_FILES[1:], sdn.parse)
CONSOLIDATED_CSV = ListFormat(
    "OFAC_CONSOLIDATED_CSV",
    sdn.CONSOLIDATED_FILES.main,
    sdn.CONSOLIDATED_FILES[1:],
    sdn.parse_consolidated,
)
OFAC_XML = ListFormat("OFAC_ADVANCED_XML", ofac_xml.FILE, (), ofac_xml.parse)
CONSOLIDATED_XML = ListFormat(
    "OFAC_CONSOLIDATED_ADVANCED_XML", ofac_xml.FILE, (), ofac_xml.parse_consolidated
)
UN_XML = ListFormat("UN_XML", un_xml.FILE, (), un_xml.parse)
EU_CSV = ListFormat("EU_CSV", eu_csv.FILE, (), eu_csv.parse)
UK_CSV = ListFormat("UK_CSV", uk_csv.FILE, (), uk_csv.parse)


@dataclass(frozen=True)
class KnownList:
    """A list: who keeps it, and its formats; `xml` is for files whose name ends so."""

    authority: str
    usual: ListFormat
    xml: ListFormat


_OFAC = "US Treasury, Office of Foreign Assets Control"
LISTS = {
    OFAC_SDN: KnownList(_OFAC, SDN_CSV, OFAC_XML),
    OFAC_CONSOLIDATED: KnownList(_OFAC, CONSOLIDATED_CSV, CONSOLIDATED_XML),
    UN_CONSOLIDATED: KnownList("United Nations Security Council", UN_XML, UN_XML),
    EU_CONSOLIDATED: KnownList("European Union", EU_CSV, EU_CSV),
    UK: KnownList("United Kingdom, Foreign, Commonwealth & Development Office", UK_CSV, UK_CSV),
}
FORMATS = {item.name: item for known in LISTS.values() for item in (known.usual, known.xml)}


@dataclass(frozen=True)
class Fingerprint:
    """What files held, as a SHA-256, and when the oldest was written; None: there is no file."""

    checksum: bytes
    oldest: datetime | None


@dataclass(frozen=True)
class ListSource:
    """One list's files.

    A list is as old as its oldest file, so that a fetcher that stopped working is noticed. The
    sandbox's list is never fetched: there `is_fetched` is False and the list is as old as its
    reading.
    """

    list_name: str
    file: Path
    format: ListFormat
    is_fetched: bool

    @classmethod
    def of(cls, list_name: str, file: Path, *, is_fetched: bool) -> "ListSource":
        """A known list in a file, in the format that the file's name says."""
        known = LISTS[list_name]
        is_xml = file.suffix.lower() == ".xml"
        return cls(list_name, file, known.xml if is_xml else known.usual, is_fetched)

    def fingerprint(self, max_bytes: int = MAX_FILE_BYTES) -> Fingerprint:
        """What the files are now, a piece of them at a time. Raises `BrokenListError`."""
        return self._read(lambda _name, _content: None, max_bytes)

    def read(self, max_bytes: int = MAX_FILE_BYTES) -> tuple[ParsedList, Fingerprint]:
        """What is in the files. Raises `BrokenListError` unless they can be had and are whole."""
        files: dict[str, bytearray] = {}

        def keep(name: str, content: bytes) -> None:
            files.setdefault(name, bytearray()).extend(content)

        fingerprint = self._read(keep, max_bytes)
        content = {name: bytes(files.pop(name)) for name in list(files)}
        return self.format.parse(content), fingerprint

    def observed_time(self, fingerprint: Fingerprint, now: datetime) -> datetime:
        """Since when the files are known to be the newest state."""
        is_dated = self.is_fetched and fingerprint.oldest is not None
        return min(fingerprint.oldest, now) if is_dated and fingerprint.oldest else now

    def to_plain(self) -> dict[str, Any]:
        """In the types of JSON, for another process."""
        return {
            "list": self.list_name,
            "file": str(self.file),
            "format": self.format.name,
            "is_fetched": self.is_fetched,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "ListSource":
        return cls(
            list_name=plain["list"],
            file=Path(plain["file"]),
            format=FORMATS[plain["format"]],
            is_fetched=plain["is_fetched"],
        )

    def _read(self, keep: Callable[[str, bytes], None], max_bytes: int) -> Fingerprint:
        digest = hashlib.sha256()
        oldest: float | None = None
        for name, path in sorted(self._paths()):
            try:
                # A pipe would be waited for without an end.
                with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                    information = os.fstat(file.fileno())
                    if not stat.S_ISREG(information.st_mode):
                        raise BrokenListError(f"{name} is no file")
                    digest.update(f"{name} {information.st_size}\n".encode())
                    too_large = BrokenListError(f"{name} has more than {max_bytes} bytes")
                    if information.st_size > max_bytes:
                        raise too_large
                    keep(name, b"")
                    left = max_bytes
                    while content := file.read(CHUNK_BYTES):
                        left -= len(content)
                        # It grows while it is read.
                        if left < 0:
                            raise too_large
                        digest.update(content)
                        keep(name, content)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise BrokenListError(f"{name} cannot be read: {error.strerror}") from error
            written = information.st_mtime
            oldest = written if oldest is None else min(oldest, written)
        return Fingerprint(
            digest.digest(), None if oldest is None else datetime.fromtimestamp(oldest, UTC)
        )

    def _paths(self) -> Iterator[tuple[str, Path]]:
        """The format's files beside the one named, which may itself have any name."""
        yield self.format.main, self.file
        for name in self.format.beside:
            yield name, self.file.with_name(name)

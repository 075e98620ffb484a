"""Where lists come from: files that something else fetches, so that no source can stop a start."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from compliance.screening import sdn
from compliance.screening.entries import BrokenListError, ParsedList
from runtime.clock import Clock

OFAC_SDN = "OFAC_SDN"
MAX_FILE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True)
class SourceContent:
    """What a source held, and since when that is known to be its newest state."""

    files: Mapping[str, bytes]
    observed_time: datetime


class ListSource(Protocol):
    """One list's source."""

    @property
    def list_name(self) -> str:
        """The list, by the value of the contract's enum."""
        ...

    def read(self) -> SourceContent:
        """The files now. Raises `BrokenListError` if they cannot be had."""
        ...

    def parse(self, content: SourceContent) -> ParsedList:
        """What is in the files. Raises `BrokenListError` unless they are whole."""
        ...


class SdnFileSource:
    """OFAC's SDN list in a folder: sdn.csv, alt.csv, add.csv and perhaps sdn_comments.csv.

    The list is as old as its oldest file, so that a fetcher that stopped working is noticed. The
    sandbox's list is never fetched: there `is_fetched` is False and the list is as old as its
    reading.
    """

    list_name = OFAC_SDN

    def __init__(self, sdn_file: Path, clock: Clock, *, is_fetched: bool) -> None:
        self._sdn_file = sdn_file
        self._clock = clock
        self._is_fetched = is_fetched

    def read(self) -> SourceContent:
        files: dict[str, bytes] = {}
        times: list[datetime] = []
        for name, path in self._paths().items():
            try:
                information = path.stat()
                if information.st_size > MAX_FILE_BYTES:
                    raise BrokenListError(f"{name} has more than {MAX_FILE_BYTES} bytes")
                files[name] = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise BrokenListError(f"{name} cannot be read: {error.strerror}") from error
            times.append(datetime.fromtimestamp(information.st_mtime, UTC))
        now = self._clock.now()
        oldest = min(times, default=now)
        return SourceContent(files, min(oldest, now) if self._is_fetched else now)

    def parse(self, content: SourceContent) -> ParsedList:
        return sdn.parse(content.files)

    def _paths(self) -> dict[str, Path]:
        """OFAC's files beside the one named, which may itself have any name."""
        beside: Callable[[str], Path] = self._sdn_file.with_name
        return {
            sdn.SDN: self._sdn_file,
            **{name: beside(name) for name in (sdn.ALT, sdn.ADD, sdn.COMMENTS)},
        }

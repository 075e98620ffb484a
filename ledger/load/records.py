"""What an import keeps beside its input: which items were refused, and how far it came."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ledger.load.batches import Batch
from ledger.load.sending import Report, Sent

FORMAT = 1


@dataclass(frozen=True)
class State:
    """How far an import came. It only saves time: without it the ledger finds what it has.

    `request_id` is that of a transaction made; a ledger that does not know it is another one.
    """

    ledger: str
    input: str
    after: int
    accounts: int
    transactions: int
    refused: int
    rejected_bytes: int
    request_id: str

    @classmethod
    def beginning(cls, ledger: str, identity: str) -> "State":
        """Before anything was sent."""
        return cls(ledger, identity, 0, 0, 0, 0, 0, "")

    def advanced(self, batch: Batch, sent: Sent, rejected_bytes: int) -> "State":
        """After one more batch."""
        return replace(
            self,
            after=batch.last,
            accounts=self.accounts + len(batch.accounts),
            transactions=self.transactions + len(batch.items),
            refused=self.refused + len(sent.refused),
            rejected_bytes=rejected_bytes,
            request_id=sent.request_id or self.request_id,
        )


class StateFile:
    """The file of a state, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> State | None:
        """What was kept; None for nothing, or nothing that makes sense."""
        try:
            kept: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if kept.pop("format") == FORMAT:
                return State(**kept)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None

    def write(self, state: State) -> None:
        """Keeps how far the import came."""
        writing = self._path.with_name(f"{self._path.name}.new")
        text = json.dumps({"format": FORMAT, **asdict(state)})
        writing.write_text(text, encoding="utf-8")
        writing.replace(self._path)

    def remove(self) -> None:
        """Forgets: the input is in the ledger, as far as it can be."""
        self._path.unlink(missing_ok=True)


class RejectedFile:
    """A line of JSON for each item that the ledger refused."""

    def __init__(self, path: Path, kept_bytes: int) -> None:
        """Goes on after so many bytes, which is what the state counts; later ones come again."""
        self.path = path
        self.size = kept_bytes
        if path.exists():
            with path.open("rb+") as file:
                file.truncate(kept_bytes)
            if kept_bytes == 0:
                path.unlink()

    def add(self, lines: list[Report]) -> None:
        """Adds refused items; the file is there once there are any."""
        if lines:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            with self.path.open("ab") as file:
                self.size += file.write(text.encode())

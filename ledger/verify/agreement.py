"""What one or several checkpoints say of a growing log, against what the log turns out to be."""

from collections.abc import Sequence

from ledger.verify.finding import Finding


class Agreement:
    """Takes hashes of ever longer beginnings and compares those that some checkpoint covers.

    A beginning that differs is reported only at the end: if what the newest checkpoint covers is
    right, both are signed, and the log has forked; otherwise somebody has changed the export.
    """

    def __init__(self, what: str, signed: Sequence[tuple[int, bytes]]) -> None:
        """`signed` are lengths with their hashes, the newest checkpoint's last."""
        self._what = what
        self._newest = signed[-1]
        self._signed: dict[int, list[bytes]] = {}
        for length, digest in signed:
            self._signed.setdefault(length, []).append(digest)
        self._agreed = 0
        self._difference: Finding | None = None
        self._newest_agrees = False

    def speaks_of(self, length: int) -> bool:
        """Whether a checkpoint ends here."""
        return length in self._signed

    def compare(self, length: int, digest: bytes) -> None:
        """Takes the hash of the first so many."""
        differing = [signed for signed in self._signed.get(length, ()) if signed != digest]
        if differing and self._difference is None:
            self._difference = Finding(
                f"the hash of the first {length} is {digest.hex()}, "
                f"a checkpoint says {differing[0].hex()}",
                f"{self._what} {self._agreed + 1} to {length}",
            )
        if length in self._signed and not differing:
            self._agreed = length
        if (length, digest) == self._newest:
            self._newest_agrees = True

    def finish(self) -> None:
        """Raises the first difference."""
        if self._difference is None:
            return
        if self._newest_agrees:
            raise Finding(
                f"FORK: the older checkpoint is of other {self._what}: {self._difference.message}",
                self._difference.place,
            )
        raise self._difference

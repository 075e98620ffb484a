"""The first thing wrong with an export."""

from pathlib import Path


class Finding(Exception):  # noqa: N818 (what a verification finds is its result, not an error)
    """What is wrong and where. `place` is filled in on the way up by who knows it."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def at(self, place: str) -> "Finding":
        """The same with a place, unless it has one."""
        return self if self.place else Finding(self.message, place)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class UnusableError(Exception):
    """The verification could not be asked for like that: no export, no key."""

    def __init__(self, message: str, path: Path | None = None) -> None:
        super().__init__(f"{path}: {message}" if path is not None else message)

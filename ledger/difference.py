"""What a recomputation finds."""

from typing import NamedTuple


class Difference(NamedTuple):
    """Something kept that is not what the entries say."""

    projection: str
    account: str
    sequence: int
    expected: str
    found: str


class DifferenceError(Exception):
    """Ends a recomputation at the first difference."""

    def __init__(
        self, projection: str, account: str, sequence: int, expected: str, found: str
    ) -> None:
        super().__init__(projection, sequence)
        self.difference = Difference(projection, account, sequence, expected, found)

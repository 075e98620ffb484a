"""Why a file is refused. Nothing of a file is taken then.

Messages name the format, the place and what was expected, never what stood there: files are full of
names, accounts and texts of people.
"""

from dataclasses import dataclass, replace
from enum import Enum


class Reason(Enum):
    """The kinds of refusals."""

    UNREADABLE = "not of its format"
    UNSUPPORTED = "a format, version or feature that is not read"
    FORBIDDEN_XML = "XML with declarations that data never needs"
    ENCODING = "not in its declared encoding"
    TOO_LARGE = "larger than a limit"
    MISSING = "a field is missing"
    REPEATED = "a field is there more than once"
    INVALID = "a field is not as its format says"
    DECIMALS = "an amount has more decimals than its currency"
    CURRENCY = "another currency than the account's"
    ACCOUNT = "another account's statement"
    FUTURE_DATE = "a date that has not come"
    BALANCE = "opening balance and entries do not come to the closing balance"
    BATCH = "transactions of a batch do not come to their entry"
    TOTALS = "a total of the file is not that of its records"
    PROOF_MISSING = "without balances that would prove it"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file. Statements and entries count from 1, and so do lines; 0 is unknown.

    `field` is a name of the format (`Ntry/Amt`, `:61:`), never a value.
    """

    source: str
    statement: int = 0
    entry: int = 0
    line: int = 0
    field: str = ""

    def __str__(self) -> str:
        parts = [self.source]
        numbers = {"statement": self.statement, "entry": self.entry, "line": self.line}
        parts += [f"{name} {number}" for name, number in numbers.items() if number]
        return ", ".join(parts + [self.field] * bool(self.field))


class StatementRefusedError(Exception):
    """A file is refused: why, where, and what was expected there. Nothing in it is personal."""

    def __init__(self, reason: Reason, place: Place, expected: str) -> None:
        super().__init__(f"{place}: {expected}")
        self.reason = reason
        self.place = place
        self.expected = expected


class FieldError(Exception):
    """What is wrong with a field, from a reader that does not know where in the file it is."""

    def __init__(self, reason: Reason, field: str, expected: str, line: int = 0) -> None:
        super().__init__(f"{field}: {expected}")
        self.reason = reason
        self.field = field
        self.expected = expected
        self.line = line

    def at(self, place: Place) -> StatementRefusedError:
        """The refusal of the file, with the place that only the caller knows."""
        field = "/".join(filter(None, (place.field, self.field)))
        return StatementRefusedError(
            self.reason, replace(place, field=field, line=self.line or place.line), self.expected
        )

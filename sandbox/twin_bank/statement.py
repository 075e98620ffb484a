"""What a bank says of an account and a day."""

from dataclasses import dataclass
from datetime import date

from sandbox.twin_bank.books import Entry

# ISO 4217's minor units where they are not two, written down once more.
_WITHOUT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"


def decimals_of(currency: str) -> int:
    """Decimal places of a currency, by its code in capitals."""
    if currency in _WITHOUT.split():
        return 0
    return 3 if currency in _WITH_THREE.split() else 2


def major(minor: int, currency: str, mark: str = ".") -> str:
    """An amount without its sign, as banks write it: 12.34, 1234, 1.234."""
    decimals = decimals_of(currency)
    digits = str(abs(minor)).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}{mark}{digits[-decimals:]}" if decimals else digits


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of a day, or a report of the day that is not over (`is_final` False).

    `number` begins with 1 each year. `opened` is the day at whose end the opening balance stood.
    What it says is right by construction, unless a fault was wanted: then `is_whole` tells whether
    the balances still come out.
    """

    account: str
    is_iban: bool
    currency: str
    number: int
    first_day: date
    day: date
    opened: date
    opening: int
    closing: int
    entries: tuple[Entry, ...]
    is_final: bool = True

    @property
    def statement_id(self) -> str:
        """The bank's name for it, at most 16 characters."""
        return f"S{self.day:%Y%m%d}{self.number:05}"

    @property
    def is_whole(self) -> bool:
        """Whether opening balance and entries come to the closing balance."""
        return self.opening + sum(entry.amount for entry in self.entries) == self.closing


@dataclass(frozen=True, slots=True)
class IssuedFile:
    """A statement as it was delivered; `file_id` counts deliveries."""

    file_id: str
    statement: Statement

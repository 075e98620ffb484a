"""How a bank's CSV is to be read: declared by an operator, and never guessed from the file."""

import re
from dataclasses import dataclass, fields
from enum import Enum

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reconciliation.statements.source import is_encoding

_NOTHING_ELSE = ConfigDict(extra="forbid")
# What a date may be made of; %b and the like depend on the machine's language.
_DATE_FORMAT = re.compile(r"(?:%[Ymdy]|[-./ ])+")
MAX_NAME_CHARS = 64
MAX_ROWS_AROUND = 100


class MappingError(ValueError):
    """A mapping that cannot be used: which key, and what was expected of it."""


class Sign(Enum):
    """How a file says credits from debits."""

    # `amount` has a minus for debits.
    SIGNED = "signed"
    # `amount` has no sign, and `indicator` one of the declared words.
    INDICATOR = "indicator"
    # `credit` and `debit`: one of the two is filled, without a sign.
    TWO_COLUMNS = "two_columns"


class Order(Enum):
    """Which row is the first of the account."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


@dataclass(frozen=True, slots=True)
class Columns:
    """The headings under which the file has what; empty for what it does not have."""

    __pydantic_config__ = _NOTHING_ELSE

    booking_date: str
    amount: str = ""
    credit: str = ""
    debit: str = ""
    indicator: str = ""
    value_date: str = ""
    balance: str = ""
    account: str = ""
    currency: str = ""
    bank_reference: str = ""
    customer_reference: str = ""
    end_to_end_id: str = ""
    remittance: str = ""
    counterparty: str = ""
    transaction_code: str = ""

    def declared(self) -> dict[str, str]:
        """The headings that the file has to have, by what they are for."""
        headings = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: heading for name, heading in headings.items() if heading}


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """A bank's CSV. Raises MappingError if it contradicts itself.

    `heading_row` counts from 1: rows before it are passed over, and so are the last
    `footer_rows`. `balance` is the account's after each row, which proves every row by itself.
    """

    __pydantic_config__ = _NOTHING_ELSE

    name: str
    encoding: str
    columns: Columns
    date_format: str
    decimal_mark: str
    sign: Sign
    order: Order
    delimiter: str = ","
    quote: str = '"'
    thousands_mark: str = ""
    credit_words: tuple[str, ...] = ()
    debit_words: tuple[str, ...] = ()
    heading_row: int = 1
    footer_rows: int = 0

    def __post_init__(self) -> None:
        columns = self.columns
        headings = list(columns.declared().values())
        wanted = {
            Sign.SIGNED: ({"amount"}, {"credit", "debit", "indicator"}),
            Sign.INDICATOR: ({"amount", "indicator"}, {"credit", "debit"}),
            Sign.TWO_COLUMNS: ({"credit", "debit"}, {"amount", "indicator"}),
        }
        needed, excluded = wanted[self.sign]
        declared = columns.declared().keys()
        words = (*self.credit_words, *self.debit_words)
        for key, is_right, expected in (
            ("name", 0 < len(self.name) <= MAX_NAME_CHARS, f"1 to {MAX_NAME_CHARS} characters"),
            ("encoding", is_encoding(self.encoding), "an encoding that Python knows"),
            ("columns.booking_date", "booking_date" in declared, "a heading"),
            ("columns", len(set(headings)) == len(headings), "each heading once"),
            ("columns", declared >= needed, f"{_list(needed)} with this sign"),
            ("columns", not declared & excluded, f"no {_list(excluded)} with this sign"),
            ("date_format", _has_a_day(self.date_format), "%d, %m and either %Y or %y"),
            ("decimal_mark", self.decimal_mark in (".", ","), "a point or a comma"),
            (
                "thousands_mark",
                self.thousands_mark in ("", ".", ",", " ", "'", "\u00a0", "\u202f")
                and self.thousands_mark != self.decimal_mark,
                "nothing, or another mark than the decimal one",
            ),
            ("delimiter", _is_mark(self.delimiter), "one character"),
            ("quote", _is_mark(self.quote) and self.quote != self.delimiter, "one other character"),
            (
                "credit_words, debit_words",
                len(set(words)) == len(words)
                and (self.sign is Sign.INDICATOR)
                == bool(self.credit_words)
                == bool(self.debit_words),
                "words of each with the sign indicator, and none with others",
            ),
            ("heading_row", 1 <= self.heading_row <= MAX_ROWS_AROUND, f"1 to {MAX_ROWS_AROUND}"),
            ("footer_rows", 0 <= self.footer_rows <= MAX_ROWS_AROUND, f"0 to {MAX_ROWS_AROUND}"),
        ):
            if not is_right:
                raise MappingError(f"{key}: {expected} was expected")


_DOCUMENT = TypeAdapter(CsvMapping)


def mapping_of(document: str) -> CsvMapping:
    """A mapping from a JSON document with its fields. Raises MappingError for the first that is
    missing, unknown, of another type or contradicts others."""
    try:
        return _DOCUMENT.validate_json(document, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, MappingError):
            raise cause from None
        place = ".".join(map(str, first["loc"])) or "mapping"
        raise MappingError(f"{place}: {first['msg']}") from None


def document_of_mapping(mapping: CsvMapping) -> str:
    """The JSON document that `mapping_of` makes the same mapping of."""
    return _DOCUMENT.dump_json(mapping).decode()


def _has_a_day(date_format: str) -> bool:
    parts = sorted(re.findall("%.", date_format))
    return bool(_DATE_FORMAT.fullmatch(date_format)) and parts in (
        ["%Y", "%d", "%m"],
        ["%d", "%m", "%y"],
    )


def _is_mark(text: str) -> bool:
    return len(text) == 1 and text not in "\r\n\0" and not text.isalnum()


def _list(names: set[str]) -> str:
    return " and ".join(sorted(names))

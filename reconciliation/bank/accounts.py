"""The operator's bank accounts, declared in one file: what to expect of their statements."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from money.currencies import CURRENCIES
from reconciliation.matching.calendars import Calendar
from reconciliation.matching.item import MAX_KEY_BYTES
from reconciliation.statements.csv_mapping import MappingError, mapping_of
from reconciliation.statements.model import ExpectedAccount, Format
from reconciliation.statements.reading import Declared

MAX_ACCOUNTS = 200
MAX_IDENTIFICATION_CHARACTERS = 64
MAX_INTERVAL_BUSINESS_DAYS = 31
MAX_PAYOUT_TEXTS = 20
MAX_PAYOUT_TEXT_CHARACTERS = 64
# Of a number that people are shown.
SHOWN_CHARACTERS = 4
# The format of an account whose files differ: found out from each file.
DETECT = "detect"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_REQUIRED = frozenset({"identification", "currency", "corridor", "format", "from_day"})
_OPTIONAL = frozenset({"calendar", "interval_business_days", "encoding", "csv", "payout_texts"})


class BankAccountError(ValueError):
    """The file cannot be used; the message names the account, the key and what is wrong, and never
    a number of an account."""


@dataclass(frozen=True)
class BankAccount:
    """One account. `name` is the operator's own word for it; its number is shown to nobody."""

    name: str
    identification: str = field(repr=False)
    """As the bank's files name it, without spaces."""
    currency: str
    corridor: str
    """Whose payouts it receives."""
    declared: Declared | None
    """What its files are; None where that is found out from each."""
    calendar: Calendar
    interval_business_days: int
    """A statement is expected for every so many of the bank's days."""
    from_day: date
    """Lines of earlier days are not compared with anything."""
    payout_texts: tuple[str, ...] = ()
    """In lower case: what a line has to say, wherever, to be compared; of none, nothing."""

    @property
    def masked(self) -> str:
        """The end of its number, by which people tell accounts apart."""
        return f"…{self.identification[-SHOWN_CHARACTERS:]}"

    def expected(self) -> ExpectedAccount:
        """What a file has to be of."""
        return ExpectedAccount(self.identification, self.currency)


BankAccounts = Mapping[str, BankAccount]


def read_bank_accounts(
    path: Path | None, calendars: Mapping[str, Calendar], default_calendar: str
) -> BankAccounts:
    """The accounts of a file, by their names; none without one. Raises `BankAccountError`."""
    if path is None:
        return {}
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BankAccountError(f"{path.name}: {error.strerror}") from error
    except ValueError:
        # Its message would quote the line.
        raise BankAccountError(f"{path.name}: is no TOML in UTF-8") from None
    tables = given.get("accounts")
    if set(given) != {"accounts"} or not isinstance(tables, dict) or not tables:
        raise BankAccountError(f"{path.name}: has not exactly tables [accounts.NAME]")
    if len(tables) > MAX_ACCOUNTS:
        raise BankAccountError(f"{path.name}: has more than {MAX_ACCOUNTS} accounts")
    accounts = {
        name: _account(f"{path.name} [accounts.{name}]", name, table, calendars, default_calendar)
        for name, table in tables.items()
    }
    numbers: dict[tuple[str, str], str] = {}
    for name, account in accounts.items():
        other = numbers.setdefault((account.identification, account.currency), name)
        if other != name:
            raise BankAccountError(f"{path.name}: {other} and {name} are the same account")
    return accounts


def _account(
    where: str, name: str, table: Any, calendars: Mapping[str, Calendar], default_calendar: str
) -> BankAccount:
    if not _NAME.fullmatch(name):
        raise BankAccountError(f"{where}: is not a name of a-z, 0-9 and hyphens")
    if not isinstance(table, dict):
        raise BankAccountError(f"{where}: is not a table")
    if missing := sorted(_REQUIRED - set(table)):
        raise BankAccountError(f"{where}: lacks {', '.join(missing)}")
    if unknown := sorted(set(table) - _REQUIRED - _OPTIONAL):
        raise BankAccountError(f"{where}: does not know {', '.join(unknown)}")
    identification = _text(where, table, "identification").replace(" ", "")
    if not 0 < len(identification) <= MAX_IDENTIFICATION_CHARACTERS:
        raise BankAccountError(
            f"{where} identification: is not of 1 to {MAX_IDENTIFICATION_CHARACTERS} characters"
        )
    currency, corridor = _text(where, table, "currency"), _text(where, table, "corridor")
    if currency not in CURRENCIES:
        raise BankAccountError(f"{where} currency: is not a code of ISO 4217")
    if not 0 < len(corridor.encode()) <= MAX_KEY_BYTES:
        raise BankAccountError(f"{where} corridor: is not of 1 to {MAX_KEY_BYTES} bytes")
    calendar = _text(where, {"calendar": default_calendar, **table}, "calendar")
    if calendar not in calendars:
        raise BankAccountError(f"{where} calendar: there are {', '.join(sorted(calendars))}")
    interval = table.get("interval_business_days", 1)
    if type(interval) is not int or not 1 <= interval <= MAX_INTERVAL_BUSINESS_DAYS:
        raise BankAccountError(
            f"{where} interval_business_days: is not 1 to {MAX_INTERVAL_BUSINESS_DAYS}"
        )
    from_day = table["from_day"]
    # A time of day is a date, too.
    if not isinstance(from_day, date) or isinstance(from_day, datetime):
        raise BankAccountError(f"{where} from_day: is not a date")
    return BankAccount(
        name,
        identification,
        currency,
        corridor,
        _declared(where, table),
        calendars[calendar],
        interval,
        from_day,
        _payout_texts(where, table),
    )


def _payout_texts(where: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    texts = table.get("payout_texts", [])
    if not isinstance(texts, list) or len(texts) > MAX_PAYOUT_TEXTS:
        raise BankAccountError(f"{where} payout_texts: is no list of up to {MAX_PAYOUT_TEXTS}")
    for text in texts:
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_PAYOUT_TEXT_CHARACTERS:
            raise BankAccountError(
                f"{where} payout_texts: one is not of 1 to {MAX_PAYOUT_TEXT_CHARACTERS} characters"
            )
    return tuple(text.strip().casefold() for text in texts)


def _declared(where: str, table: Mapping[str, Any]) -> Declared | None:
    word = _text(where, table, "format")
    formats = {each.value: each for each in Format}
    if word not in formats and word != DETECT:
        raise BankAccountError(f"{where} format: there are {', '.join([*formats, DETECT])}")
    mapping = None
    if "csv" in table:
        try:
            mapping = mapping_of(json.dumps(table["csv"]))
        except MappingError as error:
            raise BankAccountError(f"{where} csv: {error}") from error
        except TypeError:
            raise BankAccountError(f"{where} csv: has a value that JSON does not have") from None
    encoding = _text(where, {"encoding": "", **table}, "encoding")
    if word == DETECT:
        if mapping is not None or encoding:
            raise BankAccountError(f"{where} format: csv and encoding are for declared formats")
        return None
    try:
        return Declared(formats[word], encoding, mapping)
    except ValueError as error:
        raise BankAccountError(f"{where} format: {error}") from error


def _text(where: str, table: Mapping[str, Any], key: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise BankAccountError(f"{where} {key}: is not a text")
    return value

"""The file of bank accounts: what it says, and how it is refused without showing a number."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciliation.bank.accounts import (
    MAX_ACCOUNTS,
    MAX_IDENTIFICATION_CHARACTERS,
    MAX_INTERVAL_BUSINESS_DAYS,
    MAX_PAYOUT_TEXT_CHARACTERS,
    MAX_PAYOUT_TEXTS,
    BankAccountError,
    BankAccounts,
    read_bank_accounts,
)
from reconciliation.config import ReconciliationSettings
from reconciliation.matching.calendars import read_calendars
from reconciliation.statements.model import Format
from tests.pages import BLOCKS

NUMBER = "DE02 1203 0000 0000 2020 51"
RIGHT = f"""
[accounts.eur-main]
identification = "{NUMBER}"
currency = "EUR"
corridor = "eu"
format = "camt"
from_day = 2026-11-01
"""
CSV = """
[accounts.eur-main.csv]
name = "my-bank"
encoding = "cp1252"
date_format = "%d.%m.%Y"
decimal_mark = ","
sign = "signed"
order = "oldest_first"
columns = { booking_date = "Tag", amount = "Betrag" }
"""


def read(folder: Path, text: str) -> BankAccounts:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    return read_bank_accounts(path, read_calendars().known, "TARGET")


def test_an_account_is_what_the_file_says_of_it(tmp_path: Path) -> None:
    account = read(tmp_path, RIGHT)["eur-main"]
    assert account.identification == NUMBER.replace(" ", "")
    assert (account.currency, account.corridor, account.interval_business_days) == ("EUR", "eu", 1)
    assert account.declared is not None
    assert account.declared.file_format is Format.CAMT
    assert (account.calendar.name, account.from_day) == ("TARGET", date(2026, 11, 1))
    assert account.masked == "…2051"
    assert account.payout_texts == ()
    assert "2020" not in repr(account)
    texts = read(tmp_path, RIGHT + 'payout_texts = ["STRIPE ", "Wise"]')["eur-main"].payout_texts
    assert texts == ("stripe", "wise")

    of_csv = read(tmp_path, RIGHT.replace('"camt"', '"CSV"') + CSV)["eur-main"]
    assert of_csv.declared is not None
    assert of_csv.declared.mapping is not None
    assert of_csv.declared.mapping.columns.amount == "Betrag"
    assert read(tmp_path, RIGHT.replace('"camt"', '"detect"'))["eur-main"].declared is None
    longest = RIGHT.replace(NUMBER, "1" * MAX_IDENTIFICATION_CHARACTERS)
    assert read(tmp_path, longest + f"interval_business_days = {MAX_INTERVAL_BUSINESS_DAYS}")


def test_the_pages_account_is_one(tmp_path: Path) -> None:
    [block] = [
        each for each in BLOCKS if (each.page, each.language) == ("docs/bank-statements.md", "toml")
    ]
    assert list(read(tmp_path, block.text)) == ["eur-main"]


def several(count: int) -> str:
    return "".join(
        RIGHT.replace("eur-main", f"a{n}").replace(NUMBER, str(1_000_000 + n)) for n in range(count)
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "exactly tables"),
        ("accounts = {}", "exactly tables"),
        ("[accounts", "no TOML"),
        (RIGHT + "[other]", "exactly tables"),
        (RIGHT.replace("eur-main", "Eur"), "name of a-z"),
        (RIGHT.replace('currency = "EUR"', ""), "lacks currency"),
        (RIGHT + "colour = 1", "does not know colour"),
        (RIGHT.replace('"EUR"', '"EURO"'), "currency: is not a code"),
        (RIGHT.replace('"EUR"', "7"), "currency: is not a text"),
        (RIGHT.replace('"eu"', '""'), "corridor: is not of"),
        (RIGHT.replace(NUMBER, " "), "identification: is not of"),
        (RIGHT.replace(NUMBER, "1" * (MAX_IDENTIFICATION_CHARACTERS + 1)), "identification: is"),
        (RIGHT.replace('"camt"', '"PDF"'), "format: there are camt"),
        (RIGHT.replace('"camt"', '"CSV"'), "format: a mapping is for CSV"),
        (RIGHT.replace('"camt"', '"detect"') + CSV, "for declared formats"),
        (RIGHT + 'encoding = "utf-8"', "says its encoding itself"),
        (RIGHT.replace('"camt"', '"MT940"') + 'encoding = "klingon"', "not known"),
        (RIGHT.replace('"camt"', '"CSV"') + CSV.replace('","', '";"'), "csv: decimal_mark"),
        (RIGHT + 'payout_texts = "STRIPE"', "payout_texts: is no list"),
        (RIGHT + "payout_texts = [1]", "payout_texts: one is not"),
        (RIGHT + 'payout_texts = [" "]', "payout_texts: one is not"),
        (RIGHT + f'payout_texts = ["{"x" * (MAX_PAYOUT_TEXT_CHARACTERS + 1)}"]', "one is not"),
        (RIGHT + f"payout_texts = {['x'] * (MAX_PAYOUT_TEXTS + 1)}", "is no list of up to"),
        (RIGHT + 'calendar = "MOON"', "calendar: there are"),
        (RIGHT + "interval_business_days = 0", "interval_business_days: is not 1 to"),
        (RIGHT + f"interval_business_days = {MAX_INTERVAL_BUSINESS_DAYS + 1}", "is not 1 to"),
        (RIGHT.replace("2026-11-01", "2026-11-01T00:00:00"), "from_day: is not a date"),
        (RIGHT + RIGHT.replace("eur-main", "other"), "eur-main and other are the same account"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BankAccountError, match=says) as caught:
        read(tmp_path, text)
    assert "2020" not in str(caught.value)


def test_so_many_accounts_and_no_more(tmp_path: Path) -> None:
    assert len(read(tmp_path, several(MAX_ACCOUNTS))) == MAX_ACCOUNTS
    with pytest.raises(BankAccountError, match="more than"):
        read(tmp_path, several(MAX_ACCOUNTS + 1))


def test_settings_read_the_file_at_the_start(tmp_path: Path) -> None:
    read(tmp_path, RIGHT)
    settings = ReconciliationSettings(bank_accounts_file=tmp_path / "accounts.toml")
    assert list(settings.bank_accounts) == ["eur-main"]
    assert ReconciliationSettings().bank_accounts == {}
    with pytest.raises(ValidationError, match=r"gone.toml: No such file"):
        ReconciliationSettings(bank_accounts_file=tmp_path / "gone.toml")
    path = tmp_path / "accounts.toml"
    path.write_text(RIGHT.replace('"EUR"', '"EURO"'), encoding="utf-8")
    with pytest.raises(ValidationError, match="is not a code of ISO 4217"):
        ReconciliationSettings(bank_accounts_file=path)

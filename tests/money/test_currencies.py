"""The list of currencies keeps what an earlier list had, and is ISO's where it is in force."""

import re
import subprocess
from pathlib import Path

import iso4217
import pytest

import compliance.validation
import gateway.validation
import ledger.validation
from compliance.v1.compliance_service_pb2 import CheckPaymentRequest
from gateway.v1.payment_service_pb2 import RefundPaymentRequest
from ledger.currencies import currency_problem, exponent
from ledger.v1.account_pb2 import NORMAL_BALANCE_DEBIT, AccountInput, CreateAccountRequest
from money.currencies import CURRENCIES, EXPONENTS, Currency, lost, read_list
from money.v1.money_pb2 import Money

ROOT = Path(__file__).parents[2]
# ISO's lists before the one in force, as they were published: code and decimal places.
EARLIER = sorted((Path(__file__).parent / "iso4217").glob("*.tsv"))
WITHDRAWN_SINCE_MID_2024 = ("ANG", "BGN", "CUC", "ZWL")


def test_what_is_in_force_is_what_iso_publishes() -> None:
    published = {currency.code: currency.exponent for currency in iso4217.Currency}
    in_force = {
        code: currency.exponent for code, currency in CURRENCIES.items() if not currency.withdrawn
    }
    assert in_force == published, "money/currencies.tsv says what to do about a new list of ISO's"


@pytest.mark.parametrize("earlier", EARLIER, ids=lambda path: path.stem)
def test_what_was_on_an_earlier_list_of_iso_is_still_a_currency(earlier: Path) -> None:
    before = read_list(earlier.read_text(encoding="utf-8"))
    assert len(before) > 170
    assert lost(before, CURRENCIES) == []


def test_the_list_keeps_what_was_released() -> None:
    """Compared with the newest release, as `buf breaking` does with the protos."""

    def git(*arguments: str) -> str:
        ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return ran.stdout if ran.returncode == 0 else ""

    tag = git("describe", "--tags", "--match", "v[0-9]*", "--abbrev=0").strip()
    released = git("show", f"{tag or 'HEAD'}:money/currencies.tsv")
    assert lost(read_list(released), CURRENCIES) == []


def test_a_currency_that_is_gone_or_counted_otherwise_is_noticed() -> None:
    before = {code: Currency(code, 2) for code in ("BGN", "EUR", "ISK")}
    after = {"EUR": Currency("EUR", 2), "ISK": Currency("ISK", 0), "XCG": Currency("XCG", 2)}
    assert lost(before, after) == [
        "BGN is gone: it has to stay, with its month of withdrawal",
        "ISK has 0 decimal places instead of 2",
    ]
    assert lost(before, before) == []


@pytest.mark.parametrize("code", [*WITHDRAWN_SINCE_MID_2024, "HRK", "LTL", "SLL"])
def test_a_withdrawn_currency_stays_valid_in_every_service(code: str) -> None:
    assert re.fullmatch(r"20\d\d-\d\d", CURRENCIES[code].withdrawn)
    assert currency_problem(code) is None
    assert exponent(code) == EXPONENTS[code] == 2
    amount = Money(currency_code=code, minor_units=100)
    refund = RefundPaymentRequest(request_id="r", payment_id="pay_1", amount=amount)
    assert gateway.validation.VALIDATOR.violations(refund) == []
    account = AccountInput(name="a", currency_code=code, normal_balance=NORMAL_BALANCE_DEBIT)
    opened = CreateAccountRequest(request_id="r", ledger="main", account=account)
    assert ledger.validation.VALIDATOR.violations(opened) == []
    check = CheckPaymentRequest(
        request_id="r", payment_id="pay_1", merchant_id="m", corridor="eu", amount=amount
    )
    assert compliance.validation.VALIDATOR.violations(check) == []


def test_the_earlier_lists_have_what_was_withdrawn_since() -> None:
    """So that the comparison above is about something."""
    [oldest, *_] = [read_list(path.read_text(encoding="utf-8")) for path in EARLIER]
    gone = {code for code in oldest if CURRENCIES[code].withdrawn}
    assert gone == set(WITHDRAWN_SINCE_MID_2024)


@pytest.mark.parametrize("text", ["EUR\t2\nEUR\t2", "EUR", "EUR\ttwo", "EUR\t2\t2026-01\tx"])
def test_a_row_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a row|unpack|invalid literal"):
        read_list(text)


def test_rows_are_in_order_and_have_a_form() -> None:
    assert list(CURRENCIES) == sorted(CURRENCIES)
    assert {code for code in CURRENCIES if not re.fullmatch("[A-Z]{3}", code)} == set()


def test_a_list_is_read_whole() -> None:
    """Columns are divided by tabs alone; comments and empty lines may stand anywhere."""
    text = "# code\tplaces\n\nEUR\t2\n# no money\nXAU\t-\nHRK\t2\tJanuary 2023\nJPY\t0\n"
    assert read_list(text) == {
        "EUR": Currency("EUR", 2),
        "XAU": Currency("XAU", None),
        "HRK": Currency("HRK", 2, "January 2023"),
        "JPY": Currency("JPY", 0),
    }

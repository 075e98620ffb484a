"""The data of Stripe's currencies as it is read: a file written out, and the rules it means."""

from pathlib import Path

from gateway.money import StripeCurrency, read_currencies

DATA = """
[[largest_charge]]
currency = "*"
payment_methods = "card"
digits = 8

[[largest_charge]]
currency = "*"
payment_methods = "other"
digits = 6

[[largest_charge]]
currency = "HIG"
payment_methods = "other"
digits = 10

[[largest_charge]]
currency = "LOW"
payment_methods = "card"
digits = 7

[[decimals]]
currency = "MOR"
decimals = 2

[[decimals]]
currency = "LES"
decimals = 0

[[multiples]]
what = "charges"
currencies = ["MOR", "TEN"]
of = 10

[[multiples]]
what = "payouts"
currencies = ["TEN", "MOR", "BIG"]
of = 1000
"""
EXPONENTS = {"PLA": 2, "HIG": 2, "LOW": 2, "MOR": 0, "LES": 2, "TEN": 3, "BIG": 2}


def test_the_rules_of_each_currency(tmp_path: Path) -> None:
    path = tmp_path / "currencies.toml"
    path.write_text(DATA, encoding="utf-8")
    assert read_currencies(path, EXPONENTS) == {
        "PLA": StripeCurrency(1, 1, 99_999_999, 999_999, 1, 1),
        # A row of the currency itself goes before the one of all.
        "HIG": StripeCurrency(1, 1, 9_999_999_999, 9_999_999_999, 1, 1),
        "LOW": StripeCurrency(1, 1, 9_999_999, 999_999, 1, 1),
        # Two decimals more at Stripe: 100 of its units are one of ours, as are its tens.
        "MOR": StripeCurrency(100, 1, 999_999, 9_999, 1, 10),
        # Two decimals fewer: 1 of its units is 100 of ours.
        "LES": StripeCurrency(1, 100, 9_999_999_900, 99_999_900, 100, 100),
        "TEN": StripeCurrency(1, 1, 99_999_999, 999_999, 10, 1000),
        "BIG": StripeCurrency(1, 1, 99_999_999, 999_999, 1, 1000),
    }

"""Rules of currency conversions recorded in a transaction."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ledger.accounts import Side
from ledger.refusal import Reason, Refusal


class Exchange(NamedTuple):
    """A conversion: amounts in minor units, exponents as in ISO 4217, the rate in major units."""

    sold_currency: str
    sold_minor: int
    sold_exponent: int
    bought_currency: str
    bought_minor: int
    bought_exponent: int
    rate: str
    remainder_account: str


# Account, side, minor units, currency.
ExchangeLeg = tuple[str, Side, int, str]


def check_exchanges(exchanges: Sequence[Exchange], legs: Sequence[ExchangeLeg]) -> None:
    """Refuses conversions that disagree with their own rate or with the transaction's legs."""
    for index, exchange in enumerate(exchanges):
        expected = expected_minor(exchange)
        difference = abs(expected - exchange.bought_minor)
        if difference != 0 and difference != _remainder(exchange, legs):
            _refuse(index, exchange, expected, "its remainder is not on the remainder account")
        # Each leg can be off by less than one minor unit, so a larger remainder is no rounding.
        if difference > len(legs):
            _refuse(index, exchange, expected, "the difference is more than rounding")
        for currency, amount in (
            (exchange.sold_currency, exchange.sold_minor),
            (exchange.bought_currency, exchange.bought_minor),
        ):
            if amount > sum(leg[2] for leg in legs if leg[3] == currency and leg[1] is Side.DEBIT):
                _refuse(index, exchange, expected, f"the entries move less {currency} than it says")


def expected_minor(exchange: Exchange) -> int:
    """Sold × rate in minor units of the bought currency, rounded half to even."""
    exact = (
        Fraction(exchange.rate)
        * exchange.sold_minor
        * Fraction(10) ** (exchange.bought_exponent - exchange.sold_exponent)
    )
    return round(exact)


def _remainder(exchange: Exchange, legs: Sequence[ExchangeLeg]) -> int:
    return abs(
        sum(
            amount if side is Side.DEBIT else -amount
            for account, side, amount, currency in legs
            if account == exchange.remainder_account and currency == exchange.bought_currency
        )
    )


def _refuse(index: int, exchange: Exchange, expected: int, why: str) -> None:
    raise Refusal(
        Reason.EXCHANGE_MISMATCH,
        f"exchange {index} does not agree: {why}",
        {
            "exchange_index": index,
            "expected_minor": expected,
            "bought_minor": exchange.bought_minor,
        },
    )

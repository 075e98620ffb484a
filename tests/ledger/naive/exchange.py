"""Conversions, from the comments of ledger.v1.Exchange."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from tests.ledger.naive.log import Leg
from tests.ledger.naive.refused import RefusedError

# ISO 4217 decimal places of the currencies that histories use.
PLACES = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}
# 18 digits of a rate times 19 of an amount, and some to spare.
EXACT = Context(prec=60)


def expected_bought(exchange: Any) -> int:
    """Sold × rate in the bought currency's minor unit, rounded half to even."""
    sold = EXACT.scaleb(Decimal(exchange.sold.minor_units), -PLACES[exchange.sold.currency_code])
    bought = EXACT.multiply(sold, Decimal(exchange.rate))
    minor = EXACT.scaleb(bought, PLACES[exchange.bought.currency_code])
    return int(minor.quantize(Decimal(1), rounding=ROUND_HALF_EVEN, context=EXACT))


def check(exchanges: Sequence[Any], legs: Sequence[Leg], currency_of: dict[str, str]) -> None:
    """Refuses the first conversion that disagrees with its rate or with the entries."""
    for index, exchange in enumerate(exchanges):
        bought_currency = exchange.bought.currency_code
        expected = expected_bought(exchange)
        carried = sum(
            leg.amount if leg.side == "debit" else -leg.amount
            for leg in legs
            if leg.account == exchange.remainder_account
            and currency_of[leg.account] == bought_currency
        )
        difference = abs(expected - exchange.bought.minor_units)
        agrees = difference in (0, abs(carried))
        for money in (exchange.sold, exchange.bought):
            moved = sum(
                leg.amount
                for leg in legs
                if leg.side == "debit" and currency_of[leg.account] == money.currency_code
            )
            agrees = agrees and money.minor_units <= moved
        if not agrees:
            raise RefusedError(
                "EXCHANGE_MISMATCH",
                exchange_index=index,
                expected_minor=expected,
                bought_minor=exchange.bought.minor_units,
            )

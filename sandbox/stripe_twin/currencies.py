"""Which amounts Stripe takes of which currency, written down a second time: the gateway's own table
must not be what it is judged by.

https://docs.stripe.com/currencies, read on 2026-11-29: minimum and maximum charge amounts, special
cases, zero-decimal and three-decimal currencies. Amounts are in Stripe's units.
"""

from sandbox.stripe_twin.errors import ApiError, check_positive, invalid_request

# Of the settlement currency; each currency of the twin settles in itself. 50 where Stripe names
# none.
MINIMUM_AMOUNTS: dict[str, int] = {
    "usd": 50,
    "aed": 200,
    "ars": 50,
    "aud": 50,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "cop": 50,
    "czk": 1500,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "idr": 50,
    "ils": 50,
    "inr": 50,
    "jpy": 50,
    "krw": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "nzd": 50,
    "php": 50,
    "pln": 200,
    "ron": 200,
    "rub": 50,
    "sek": 300,
    "sgd": 50,
    "thb": 1000,
    "zar": 50,
}
DEFAULT_MINIMUM_AMOUNT = 50
# Cards are the twin's only payment method, so the limits of others are not here.
MAXIMUM_AMOUNT = 999_999_999_999
MAXIMUM_AMOUNT_OF_AMERICAN_EXPRESS = 999_999_999
AMERICAN_EXPRESS = "amex"
# Without decimals, but written with two for compatibility: they are always 00.
WHOLE = frozenset({"isk", "ugx"})
# Charged with decimals, paid out without.
WHOLE_IN_PAYOUTS = WHOLE | {"huf", "twd"}
# With two decimals in ISO 4217, without any at Stripe.
WITHOUT_DECIMALS = frozenset({"mga"})
THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def minimum_amount(currency: str) -> int:
    """The smallest amount that Stripe charges in this currency."""
    return MINIMUM_AMOUNTS.get(currency, DEFAULT_MINIMUM_AMOUNT)


def step_of(currency: str) -> int:
    """Charges and refunds are multiples of this."""
    if currency in WHOLE:
        return 100
    return 10 if currency in THREE_DECIMALS else 1


def step_of_payouts(currency: str) -> int:
    """Payouts are multiples of this."""
    return 100 if currency in WHOLE_IN_PAYOUTS else step_of(currency)


def minor_units(amount: int, currency: str) -> int:
    """An amount in the minor units of ISO 4217, as books are kept. Raises ValueError for a part
    of one."""
    if currency in WITHOUT_DECIMALS:
        return amount * 100
    if currency not in WHOLE:
        return amount
    if amount % 100:
        raise ValueError(f"{amount} is a fraction of {currency}")
    return amount // 100


def check_charge(amount: int, currency: str, brand: str | None) -> None:
    """Raises ApiError (400) for an amount that Stripe does not charge; `brand` is the card's."""
    if len(currency) != 3 or not currency.isalpha():
        raise invalid_request(f"Invalid currency: {currency}.", param="currency")
    check_positive(amount)
    if amount < minimum_amount(currency):
        raise invalid_request(
            "Amount must convert to at least the minimum charge amount of your account's "
            "currency. See https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts",
            code="amount_too_small",
            param="amount",
        )
    largest = MAXIMUM_AMOUNT
    if brand == AMERICAN_EXPRESS:
        largest = MAXIMUM_AMOUNT_OF_AMERICAN_EXPRESS
    if amount > largest:
        raise invalid_request(
            f"Amount must be no more than {largest}", code="amount_too_large", param="amount"
        )
    check_step(amount, currency)


def check_step(amount: int, currency: str, param: str = "amount") -> None:
    """Raises ApiError (400) for a fraction of what is charged or refunded in this currency."""
    if amount % step_of(currency):
        raise _not_divisible(currency, step_of(currency), param)


def check_payout(amount: int, currency: str) -> None:
    """Raises ApiError (400) for a fraction of what is paid out in this currency."""
    check_positive(amount)
    if amount % step_of_payouts(currency):
        raise _not_divisible(currency, step_of_payouts(currency), "amount")


def _not_divisible(currency: str, step: int, param: str) -> ApiError:
    # Stripe documents the rule, not the error: it has no code here.
    return invalid_request(
        f"Amounts in {currency.upper()} must be evenly divisible by {step}.", param=param
    )

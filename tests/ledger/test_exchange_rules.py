"""Conversions against their own rate and the entries: tables written out, no database."""

import pytest

from ledger.accounts import Side
from ledger.exchange import Exchange, ExchangeLeg, check_exchanges, expected_minor
from ledger.refusal import Reason, Refusal


def exchange(
    sold: int, bought: int, rate: str, currencies: tuple[str, int, str, int] = ("EUR", 2, "USD", 2)
) -> Exchange:
    sold_currency, sold_exponent, bought_currency, bought_exponent = currencies
    return Exchange(
        sold_currency=sold_currency,
        sold_minor=sold,
        sold_exponent=sold_exponent,
        bought_currency=bought_currency,
        bought_minor=bought,
        bought_exponent=bought_exponent,
        rate=rate,
        remainder_account="rounding",
    )


@pytest.mark.parametrize(
    ("sold", "rate", "currencies", "expected"),
    [
        (1000, "1.0857", ("EUR", 2, "USD", 2), 1086),
        # Half a minor unit goes to the even neighbour.
        (5, "0.5", ("EUR", 2, "USD", 2), 2),
        (7, "0.5", ("EUR", 2, "USD", 2), 4),
        # The rate is of major units: of other decimals there are more or fewer minor units.
        (1000, "163.25", ("EUR", 2, "JPY", 0), 1632),
        (1000, "0.33333", ("EUR", 2, "KWD", 3), 3333),
        (7, "0.005", ("JPY", 0, "EUR", 2), 4),
    ],
)
def test_what_is_expected_of_a_rate(
    sold: int, rate: str, currencies: tuple[str, int, str, int], expected: int
) -> None:
    assert expected_minor(exchange(sold, 0, rate, currencies)) == expected


def legs(
    sold: int, bought: int, remainder: int, side: Side = Side.DEBIT, repeated: int = 1
) -> list[ExchangeLeg]:
    """What a desk takes and gives, and the rounding in entries of one minor unit less or more; the
    rounding account has others that do not count: of the sold currency, and other accounts'."""
    return [
        ("desk", Side.DEBIT, sold, "EUR"),
        ("customer", Side.CREDIT, sold, "EUR"),
        ("customer", Side.DEBIT, bought, "USD"),
        ("desk", Side.CREDIT, bought + remainder, "USD"),
        *[("rounding", side, remainder, "USD")] * repeated,
        ("rounding", Side.DEBIT, 50, "EUR"),
    ]


AGREES = [
    ([exchange(1000, 1086, "1.0857")], legs(1000, 1086, 0)),
    ([exchange(1000, 1085, "1.0857")], legs(1000, 1085, 1)),
    ([exchange(1000, 1087, "1.0857")], legs(1000, 1087, 1, Side.CREDIT)),
    # Each entry may be off by less than one: as many units as there are entries.
    ([exchange(1000, 1080, "1.0857")], legs(1000, 1080, 6)),
    ([exchange(1000, 1082, "1.0857")], legs(1000, 1082, 2, repeated=2)),
    # More may move than this conversion is about, and two may share the entries.
    ([exchange(900, 977, "1.0857"), exchange(1000, 1086, "1.0857")], legs(2000, 2000, 0)),
]


@pytest.mark.parametrize("exchanges_and_legs", AGREES)
def test_a_conversion_that_agrees_is_taken(
    exchanges_and_legs: tuple[list[Exchange], list[ExchangeLeg]],
) -> None:
    check_exchanges(*exchanges_and_legs)


REMAINDER = "its remainder is not on the remainder account"
ROUNDING = "the difference is more than rounding"
SOLD = "the entries move less EUR than it says"
BOUGHT = "the entries move less USD than it says"
GOOD = exchange(1000, 1086, "1.0857")


@pytest.mark.parametrize(
    ("exchanges", "moved", "index", "bought", "why"),
    [
        ([exchange(1000, 1085, "1.0857")], legs(1000, 1085, 0), 0, 1085, REMAINDER),
        ([exchange(1000, 1085, "1.0857")], legs(1000, 1085, 2), 0, 1085, REMAINDER),
        (
            [exchange(1000, 1084, "1.0857")],
            [*legs(1000, 1084, 1), ("rounding", Side.CREDIT, 1, "USD")],
            *(0, 1084, REMAINDER),
        ),
        ([exchange(1000, 1079, "1.0857")], legs(1000, 1079, 7), 0, 1079, ROUNDING),
        ([exchange(1000, 1093, "1.0857")], legs(9, 9, 7, Side.CREDIT), 0, 1093, ROUNDING),
        ([GOOD], legs(949, 1086, 0), 0, 1086, SOLD),
        ([exchange(900, 977, "1.0857"), GOOD], legs(949, 1086, 0), 1, 1086, SOLD),
        ([GOOD], legs(1000, 1085, 0), 0, 1086, BOUGHT),
    ],
)
def test_a_conversion_that_does_not_agree_is_refused(
    exchanges: list[Exchange], moved: list[ExchangeLeg], index: int, bought: int, why: str
) -> None:
    with pytest.raises(Refusal) as raised:
        check_exchanges(exchanges, moved)
    refusal = raised.value
    assert refusal.reason is Reason.EXCHANGE_MISMATCH
    assert refusal.message == f"exchange {index} does not agree: {why}"
    assert refusal.metadata == {
        "exchange_index": str(index),
        "expected_minor": "1086",
        "bought_minor": str(bought),
    }

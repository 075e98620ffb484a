"""The operator's prices: what fee they say, which of them is meant, and what is refused."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.fees.schedule import (
    MAX_FIXED_MINOR,
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    MAX_PRICES,
    NO_SCHEDULE,
    Charged,
    Expected,
    FeeSchedule,
    FeeScheduleError,
    Price,
    read_schedule,
)
from reconciliation.matching.item import MAX_KEY_BYTES

DAY = date(2026, 11, 30)
PRICE = """
[[price]]
name = "cards, European"
currency = "EUR"
categories = ["charge"]
percent = "1.5"
fixed = 25
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "fees.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def charged(amount: int, fee: int, **changes: object) -> Charged:
    fields: dict[str, object] = {
        "corridor": "eu",
        "currency": "EUR",
        "category": "charge",
        "day": DAY,
        "amount_minor": amount,
        "fee_minor": fee,
        "is_converted": False,
    }
    return Charged(**(fields | changes))  # type: ignore[arg-type]


def test_without_a_file_there_is_no_price() -> None:
    assert read_schedule(None) is NO_SCHEDULE
    assert NO_SCHEDULE.expected(charged(1_000, 40)) is None


def test_a_fee_is_a_part_of_the_amount_and_something_fixed(write: Write) -> None:
    schedule = read_schedule(write(PRICE))
    assert len(schedule.digest) == 64
    (price,) = schedule.prices
    assert (price.percent, price.fixed_minor, price.tolerance_minor) == (Decimal("1.5"), 25, 1)
    # 1.5 % of 10.00 are 0.15; halves go up: 1.5 % of 1.00 are 0.015.
    assert [price.fee_minor(minor) for minor in (0, 1_000, -1_000, 100, 99)] == [
        *(25, 40, 40, 27, 26)
    ]
    assert schedule.expected(charged(1_000, 41)) == Expected("cards, European", 40, is_right=True)
    assert schedule.expected(charged(1_000, 39)) == Expected("cards, European", 40, is_right=True)
    assert schedule.expected(charged(1_000, 42)) == Expected("cards, European", 40, is_right=False)
    for change in ({"currency": "USD"}, {"category": "refund"}):
        assert schedule.expected(charged(1_000, 40, **change)) is None


def test_a_price_is_of_its_days_corridors_and_conversions(write: Write) -> None:
    text = f'{PRICE}corridors = ["eu"]\nfrom = {DAY}\nuntil = {DAY}\nconverted = true\n'
    schedule = read_schedule(write(text))
    assert schedule.expected(charged(1_000, 40, is_converted=True)) is not None
    day = timedelta(days=1)
    for change in (
        *({"is_converted": False}, {"corridor": "us"}),
        *({"day": DAY - day}, {"day": DAY + day}),
    ):
        assert schedule.expected(charged(1_000, 40, **({"is_converted": True} | change))) is None


def test_where_several_prices_may_be_meant_one_that_is_right_goes_before_the_nearest(
    write: Write,
) -> None:
    other = PRICE.replace("European", "others").replace('"1.5"', '"3.25"') + "tolerance = 5\n"
    schedule = read_schedule(write(PRICE + other))
    # 40 by the one, 58 by the other.
    assert schedule.expected(charged(1_000, 41)) == Expected("cards, European", 40, is_right=True)
    assert schedule.expected(charged(1_000, 53)) == Expected("cards, others", 58, is_right=True)
    assert schedule.expected(charged(1_000, 47)) == Expected("cards, European", 40, is_right=False)
    assert schedule.expected(charged(1_000, 50)) == Expected("cards, others", 58, is_right=False)
    # 50 is nearer to 44 than to 58, which allows for more.
    near = PRICE.replace("European", "near").replace("25", "31")
    wide = other.replace("tolerance = 5", "tolerance = 9")
    schedule = read_schedule(write(near + wide))
    assert schedule.expected(charged(1_000, 50)) == Expected("cards, others", 58, is_right=True)


def text_of(**changes: str) -> str:
    return PRICE + "".join(f"{name} = {value}\n" for name, value in changes.items())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[price]", "cannot be read as TOML"),
        ("", "lacks price"),
        ("price = []", f"has not 1 to {MAX_PRICES}"),
        ("price = 1", f"has not 1 to {MAX_PRICES}"),
        ("price = [1]", r"\[\[price\]\] 1: is not a table"),
        (PRICE * (MAX_PRICES + 1), f"has not 1 to {MAX_PRICES}"),
        (PRICE * 2, "two prices have one name"),
        (f"{PRICE}\n[other]", "does not know other"),
        (text_of(card='"visa"'), "1: does not know card"),
        (PRICE.replace("fixed = 25", ""), "1: lacks fixed"),
        (PRICE.replace("cards, European", ""), "name: is not of 1 to"),
        (PRICE.replace("cards, European", "x" * (MAX_NAME_CHARACTERS + 1)), "name: is not of 1"),
        (PRICE.replace('"EUR"', '"EUX"'), "currency: is none"),
        (PRICE.replace('"1.5"', "1.5"), "percent: is not a text"),
        (PRICE.replace('"1.5"', '"-1.5"'), "percent: is not a text"),
        (PRICE.replace('"1.5"', '"100"'), "percent: is not a text"),
        (PRICE.replace('"1.5"', '"1.1234567"'), "percent: is not a text"),
        (PRICE.replace("25", "-1"), "fixed: is not 0 to"),
        (PRICE.replace("25", "true"), "fixed: is not 0 to"),
        (PRICE.replace("25", str(MAX_FIXED_MINOR + 1)), "fixed: is not 0 to"),
        (text_of(tolerance="-1"), "tolerance: is not 0 to"),
        (text_of(corridors="[]"), "corridors: is not a list"),
        (text_of(corridors='"eu"'), "corridors: is not a list"),
        (text_of(corridors='["eu", 1]'), "corridors: is not a list"),
        (text_of(corridors=str(["eu"] * (MAX_NAMES + 1))), "corridors: is not a list"),
        (text_of(corridors=f'["{"x" * (MAX_KEY_BYTES + 1)}"]'), "corridors: is not a list"),
        (PRICE.replace('["charge"]', '[""]'), "categories: is not a list"),
        (text_of(converted="1"), "converted: is not true or false"),
        (text_of(**{"from": '"2026-01-01"'}), "from: is not a day"),
        (text_of(**{"from": "2026-01-01T00:00:00Z"}), "from: is not a day"),
        (text_of(**{"from": "2026-01-02", "until": "2026-01-01"}), "until: is before from"),
    ],
)
def test_a_schedule_that_is_wrong_is_refused_by_its_place(
    write: Write, text: str, why: str
) -> None:
    with pytest.raises(FeeScheduleError, match=why):
        read_schedule(write(text))


def test_what_is_just_within_the_limits_is_taken(write: Write, tmp_path: Path) -> None:
    text = PRICE.replace("cards, European", "x" * MAX_NAME_CHARACTERS)
    text = text.replace("25", str(MAX_FIXED_MINOR)).replace('"1.5"', '"99.999999"')
    names = [f"{'x' * (MAX_KEY_BYTES - 3)}{number:03}" for number in range(MAX_NAMES)]
    schedule = read_schedule(write(f"{text}corridors = {names}\ntolerance = {MAX_FIXED_MINOR}\n"))
    assert schedule.prices[0].corridors == set(names)
    many = "".join(PRICE.replace("European", str(number)) for number in range(MAX_PRICES))
    assert len(read_schedule(write(many)).prices) == MAX_PRICES
    with pytest.raises(FeeScheduleError, match="cannot be read"):
        read_schedule(tmp_path / "none.toml")


@given(
    prices=st.lists(
        st.tuples(st.integers(0, 9_999_999), st.integers(0, 60), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    ),
    amount=st.integers(-(10**12), 10**12),
    near=st.integers(-5, 70),
    which=st.integers(0, 3),
)
def test_fees_are_right_exactly_within_the_tolerance_of_a_price(
    prices: list[tuple[int, int, int]], amount: int, near: int, which: int
) -> None:
    """Against a model in whole numbers: millionths of a percent are 10^-8 of the amount."""
    part, fixed, _ = prices[which % len(prices)]
    fee = (2 * abs(amount) * part + 10**8) // (2 * 10**8) + fixed + near - 2
    schedule = FeeSchedule(
        tuple(
            Price(
                name=str(number),
                currency="EUR",
                categories=frozenset({"charge"}),
                percent=Decimal(millionths).scaleb(-6),
                fixed_minor=fixed_minor,
                tolerance_minor=tolerance,
            )
            for number, (millionths, fixed_minor, tolerance) in enumerate(prices)
        )
    )
    found = schedule.expected(charged(amount, fee))
    exact = [Fraction(abs(amount) * p, 10**8) + f for p, f, _ in prices]
    allowed = [int(fee_ + Fraction(1, 2)) for fee_ in exact]
    far = [abs(fee - each) for each in allowed]
    right = [n for n, (_, _, tolerance) in enumerate(prices) if far[n] <= tolerance]
    assert found is not None
    assert found.is_right is bool(right)
    assert found.fee_minor == allowed[int(found.price)]
    assert far[int(found.price)] == min(far[n] for n in (right or range(len(prices))))

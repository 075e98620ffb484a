"""Conversions: the rate, the amounts and the rounding remainder have to agree."""

import pytest

from ledger.v1.transaction_pb2 import Exchange, Transaction
from money.v1.money_pb2 import Money
from tests.ledger.client import LedgerClient, credit, debit, draft, failure_of


@pytest.fixture
async def desk(client: LedgerClient) -> LedgerClient:
    """Accounts of an exchange desk in euros, dollars, yen and dinars."""
    for currency in ("EUR", "USD", "JPY", "KWD"):
        for name in ("customer", "desk", "rounding"):
            await client.account(f"{name}/{currency.lower()}", currency=currency)
    return client


async def converted(
    client: LedgerClient,
    sold: tuple[str, int],
    bought: tuple[str, int],
    rate: str,
    remainder: int = 0,
) -> Transaction:
    legs = [
        debit(f"desk/{sold[0].lower()}", sold[1], sold[0]),
        credit(f"customer/{sold[0].lower()}", sold[1], sold[0]),
        debit(f"customer/{bought[0].lower()}", bought[1], bought[0]),
        credit(f"desk/{bought[0].lower()}", bought[1] + remainder, bought[0]),
    ]
    rounding = f"rounding/{bought[0].lower()}"
    if remainder:
        legs.append(debit(rounding, remainder, bought[0]))
    exchange = Exchange(
        sold=Money(currency_code=sold[0], minor_units=sold[1]),
        bought=Money(currency_code=bought[0], minor_units=bought[1]),
        rate=rate,
        remainder_account=rounding,
    )
    return await client.create(draft(*legs, exchanges=[exchange]))


async def test_rates_are_of_major_units_and_rounded_half_to_even(desk: LedgerClient) -> None:
    made = await converted(desk, ("EUR", 1000), ("USD", 1086), "1.0857")
    assert made.exchanges[0].rate == "1.0857"
    await converted(desk, ("EUR", 1000), ("JPY", 1632), "163.25")
    await converted(desk, ("EUR", 1000), ("KWD", 3333), "0.33333")
    # 2.5 and 3.5 cents go to the even neighbour.
    await converted(desk, ("JPY", 5), ("EUR", 2), "0.005")
    await converted(desk, ("JPY", 7), ("EUR", 4), "0.005")
    assert (await desk.trial()).sequence == 5


async def test_a_rounding_remainder_has_its_own_entry(desk: LedgerClient) -> None:
    await converted(desk, ("EUR", 1000), ("USD", 1085), "1.0857", remainder=1)
    assert await desk.posted("rounding/usd") == 1


@pytest.mark.parametrize(
    ("bought", "rate", "remainder"),
    [(1085, "1.0857", 0), (1084, "1.0857", 1), (900, "1.0857", 186)],
)
async def test_amounts_that_do_not_follow_from_the_rate_are_refused(
    desk: LedgerClient, bought: int, rate: str, remainder: int
) -> None:
    error = await failure_of(
        converted(desk, ("EUR", 1000), ("USD", bought), rate, remainder=remainder)
    )
    assert error.reason == "EXCHANGE_MISMATCH"
    assert error.metadata == {
        "exchange_index": "0",
        "expected_minor": "1086",
        "bought_minor": str(bought),
    }


async def test_an_exchange_has_to_be_about_the_entries(desk: LedgerClient) -> None:
    exchange = Exchange(
        sold=Money(currency_code="EUR", minor_units=1000),
        bought=Money(currency_code="USD", minor_units=1086),
        rate="1.0857",
    )
    request = draft(
        debit("desk/eur", 999, "EUR"), credit("customer/eur", 999, "EUR"), exchanges=[exchange]
    )
    assert (await failure_of(desk.create(request))).reason == "EXCHANGE_MISMATCH"


@pytest.mark.parametrize("rate", ["", "0", "0.000", "-1", "1e3", "1,5", ".5", "1" * 19])
async def test_rates_that_are_none(desk: LedgerClient, rate: str) -> None:
    error = await failure_of(converted(desk, ("EUR", 1000), ("USD", 1000), rate))
    assert error.violations[0].field == "transaction.exchanges[0].rate"

"""ListBalances: Stripe's balance beside the sum of its balance transactions, by the sweeps."""

from typing import Any

import grpc
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balance.balances import Figures, compared
from gateway.v1 import balance_transaction_service_pb2 as pb
from gateway.v1.balance_pb2 import Balance
from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from runtime.errors import from_rpc_error
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.balance.test_sweep import OFTEN
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop

RESERVED = "risk_reserved"
FIGURES = st.dictionaries(
    st.tuples(st.sampled_from(["EUR", "JPY"]), st.sampled_from(["available", "pending", RESERVED])),
    st.integers(-5, 5),
)


@given(theirs=FIGURES, before=FIGURES, after=FIGURES)
def test_between_what_was_read_before_and_after_nothing_differs(
    theirs: Figures, before: Figures, after: Figures
) -> None:
    """By a model of its own: every sum that some of what came in between could have made."""
    theirs = {key: minor for key, minor in theirs.items() if key[1] != RESERVED}
    found = {(one.currency, one.part): one for one in compared(theirs, before, after, {RESERVED})}
    keys = set(theirs) | {key for key in (*before, *after) if key[1] != RESERVED}
    assert set(found) == keys
    for key, one in found.items():
        ends = (before.get(key, 0), after.get(key, 0))
        possible = range(min(ends), max(ends) + 1)
        assert one.stripe_minor == theirs.get(key, 0)
        assert one.sum_minor in possible
        nearest = min(abs(one.stripe_minor - sum_) for sum_ in possible)
        assert abs(one.difference_minor) == nearest


async def balances(shop: Shop, **wanted: Any) -> list[Balance]:
    """All that the filters match, page by page."""
    stub = BalanceTransactionServiceStub(shop.channel)
    request = pb.ListBalancesRequest(**wanted)
    found: list[Balance] = []
    while True:
        answer = await stub.ListBalances(request)
        found += answer.balances
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token


def figures(found: list[Balance]) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (one.at_stripe.currency_code, one.part): (
            one.at_stripe.minor_units,
            one.balance_transactions.minor_units,
        )
        for one in found
    }


async def test_what_stripe_has_and_what_it_should_have(
    open_shop: OpenShop, twin: Twin, database_url: str
) -> None:
    for entry in (
        BalanceEntry(type="topup", amount=5_00, currency="eur"),
        BalanceEntry(type="topup", amount=3_00, currency="eur", available_at_once=False),
        BalanceEntry(type="topup", amount=7, currency="jpy"),
    ):
        twin.record_transaction("default", entry)
    agreed = {
        ("EUR", "available"): (5_00, 5_00),
        ("EUR", "pending"): (3_00, 3_00),
        ("JPY", "available"): (7, 7),
    }
    async with open_shop(**OFTEN) as shop:
        found = await poll(lambda: balances(shop), lambda now: figures(now) == agreed)
        assert {one.corridor for one in found} == {"default"}
        assert all(one.differing_sweeps == 0 for one in found)
        assert not any(one.HasField("differs_since") for one in found)
        # Where there never was anything there is no balance.
        for size in (1, 2, 3, 4):
            assert figures(await balances(shop, page_size=size)) == agreed
        assert set(figures(await balances(shop, currency_code="EUR", page_size=1))) == {
            ("EUR", "available"),
            ("EUR", "pending"),
        }
        assert await balances(shop, corridor="other") == []
        await refuses_what_cannot_be(shop)
        # The sum loses something: it is seen again and again since the same moment.
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE balance_total SET net_minor = net_minor - 1"
                " WHERE currency = 'EUR' AND part = 'available'"
            )
            drifted = await poll(
                lambda: balances(shop, currency_code="EUR"),
                lambda now: now[0].differing_sweeps >= 2,
            )
            assert figures(drifted)["EUR", "available"] == (5_00, 4_99)
            since, last = drifted[0].differs_since, drifted[0].sweep_time
            assert since.ToNanoseconds() < last.ToNanoseconds()
            # What has come to nothing is still told.
            twin.record_transaction(
                "default", BalanceEntry(type="topup", amount=-7, currency="jpy")
            )
            agreed["JPY", "available"] = (0, 0)
            connection.execute(
                "UPDATE balance_total SET net_minor = net_minor + 1"
                " WHERE currency = 'EUR' AND part = 'available'"
            )
        whole = await poll(lambda: balances(shop), lambda now: figures(now) == agreed)
    assert all(one.differing_sweeps == 0 for one in whole)


async def refuses_what_cannot_be(shop: Shop) -> None:
    impossible: list[tuple[dict[str, Any], str, str]] = [
        ({"page_size": -1}, "INVALID_REQUEST", "page_size"),
        ({"corridor": "a b"}, "INVALID_REQUEST", "corridor"),
        ({"currency_code": "eur"}, "INVALID_REQUEST", "currency_code"),
        ({"page_token": "never"}, "INVALID_PAGE_TOKEN", ""),
    ]
    for fields, reason, field in impossible:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await balances(shop, **fields)
        error = from_rpc_error(refused.value)
        assert error.reason == reason
        assert [violation.field for violation in error.violations] == ([field] if field else [])

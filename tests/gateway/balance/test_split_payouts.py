"""Payouts that Stripe split: which belong together, and when it is told what each contains."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.balance.splitting import PaidOut, primaries
from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.payout_pb2 import Payout
from gateway.v1.payout_service_pb2 import ListPayoutsRequest
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from sandbox.polling import poll
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.twin import Twin
from tests.gateway.balance.test_sweep import OFTEN
from tests.gateway.balance.test_transactions import listed
from tests.gateway.payments.shop import Shop
from tests.gateway.running import OpenShop

DAY = 24 * 60 * 60


def paid_out(name: str, amount: int, content: int = 0, count: int = 0) -> PaidOut:
    return PaidOut(id=name, amount_minor=amount, content_minor=content, content_count=count)


def test_the_parts_belong_to_the_one_that_contains_more_than_itself() -> None:
    run = [paid_out("po_1", 40, 100, 7), paid_out("po_2", 40), paid_out("po_3", 20)]
    assert primaries(run) == {"po_2": "po_1", "po_3": "po_1"}
    # Another one of the day, which is whole, takes nothing away from that.
    assert primaries([*run, paid_out("po_4", 5, 5, 1)]) == {"po_2": "po_1", "po_3": "po_1"}


@pytest.mark.parametrize(
    "run",
    [
        [],
        [paid_out("po_1", 40, 40, 7)],
        # One that is whole is nobody's primary, nor is one that contains nothing.
        [paid_out("po_1", 40, 40, 7), paid_out("po_2", 20)],
        [paid_out("po_1", 40), paid_out("po_2", 20)],
        # Of two, each might be.
        [paid_out("po_1", 40, 60, 7), paid_out("po_2", 40, 60, 7), paid_out("po_3", 20)],
    ],
    ids=["none", "whole", "no parent", "nothing known", "two parents"],
)
def test_nothing_is_guessed(run: list[PaidOut]) -> None:
    assert primaries(run) == {}


@given(
    amounts=st.lists(st.integers(1, 10**9), min_size=2, max_size=12),
    others=st.lists(st.integers(1, 10**9), max_size=5),
    data=st.data(),
)
def test_whatever_was_split_is_found_again_in_any_order(
    amounts: list[int], others: list[int], data: st.DataObject
) -> None:
    """Each part once, and to a group that comes to what the primary contains."""
    first, *rest = amounts
    run = [
        paid_out("po_0", first, sum(amounts), 3),
        *(paid_out(f"po_{number}", amount) for number, amount in enumerate(rest, start=1)),
        *(paid_out(f"po_x{number}", amount, amount, 1) for number, amount in enumerate(others)),
    ]
    found = primaries(data.draw(st.permutations(run)))
    assert found == {f"po_{number}": "po_0" for number in range(1, len(amounts))}
    group = [one.amount_minor for one in run if found.get(one.id, one.id) == "po_0"]
    assert sum(group) == sum(amounts)


def topped_up(twin: Twin, amount: int) -> None:
    twin.record_transaction("default", BalanceEntry(type="topup", amount=amount, currency="eur"))


async def payouts_of(shop: Shop) -> list[Payout]:
    """All of them, the first that Stripe made first."""
    answer = await PayoutServiceStub(shop.channel).ListPayouts(ListPayoutsRequest())
    return sorted(answer.payouts, key=lambda payout: payout.stripe_payout_id)


def are_complete(count: int) -> Any:
    return lambda found: len(found) == count and all(one.content_complete for one in found)


@pytest.mark.parametrize("in_primary", [False, True])
async def test_parts_are_known_by_what_they_contain(
    open_shop: OpenShop, twin: Twin, in_primary: bool
) -> None:
    """Stripe does not say whether the primary payout lists the parts' own balance transactions."""
    twin.settings.parts_listed_in_primary = in_primary
    twin.settings.payout_limits = {"eur": 40_00}
    topped_up(twin, 100_00)
    primary = twin.pay_out("default", "eur")
    async with open_shop(**OFTEN) as shop:
        made = await poll(lambda: payouts_of(shop), are_complete(3))
        # The next one of the day is another.
        topped_up(twin, 7_00)
        whole = twin.pay_out("default", "eur")
        made = await poll(lambda: payouts_of(shop), are_complete(4))
        # Lists show what has been numbered, which is a moment later.
        moved = await poll(lambda: listed(shop), lambda now: contained(now, whole["id"]) == [7_00])
    by_id = {one.stripe_payout_id: one.primary_payout_id for one in made}
    parts = set(by_id) - {primary["id"], whole["id"]}
    assert by_id == dict.fromkeys(parts, primary["id"]) | {primary["id"]: "", whole["id"]: ""}
    # A part is none of what the primary contains, however Stripe lists it.
    assert contained(moved, primary["id"]) == [100_00]
    assert contained(moved, whole["id"]) == [7_00]
    for part in parts:
        assert contained(moved, part) == []


def contained(moved: list[BalanceTransaction], payout: str) -> list[int]:
    return [
        one.net.minor_units
        for one in moved
        if one.stripe_payout_id == payout and one.source_id != payout
    ]


async def test_content_is_complete_when_all_of_a_run_is_known(
    open_shop: OpenShop, twin: Twin
) -> None:
    """Stripe works the parts out one after the other; an instant payout's content nobody tells."""
    twin.settings.reconciliation_seconds = 600
    twin.settings.payout_limits = {"eur": 40_00}
    topped_up(twin, 60_00)
    primary = twin.pay_out("default", "eur")
    at_twin = twin.account().objects("payout")
    (part,) = [one for one in at_twin if one["id"] != primary["id"]]
    topped_up(twin, 1_00)
    instant = twin.pay_out("default", "eur")
    # Stripe makes instant payouts by a schedule, too; the twin does not.
    instant["method"], instant["reconciliation_status"] = "instant", "not_applicable"
    instant["created"] -= DAY
    primary["reconciliation_status"] = "completed"
    async with open_shop(balance_sweep_seconds=OFTEN["balance_sweep_seconds"]) as shop:
        # All has been read that can be: what the primary contains is known, and not yet whose part
        # the other one is.
        await poll(lambda: listed(shop, stripe_payout_id=primary["id"]), lambda now: len(now) == 2)
        before = await poll(lambda: payouts_of(shop), lambda found: len(found) == 3)
        assert not any(one.content_complete for one in before)
        twin.advance(seconds=600)
        done = await poll(
            lambda: payouts_of(shop),
            lambda found: sum(one.content_complete for one in found) == 2,
        )
    complete = {one.stripe_payout_id: one.primary_payout_id for one in done if one.content_complete}
    assert complete == {primary["id"]: "", part["id"]: primary["id"]}

"""Payouts to merchants, which a restored gateway has lost."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.identity import RequestIdentity
from gateway.ids import DEPLOYMENT_KEY
from gateway.merchants import store as merchant_store
from gateway.payouts import store as payout_store
from gateway.payouts.domain import Payout as StoredPayout
from gateway.payouts.domain import PayoutState
from gateway.payouts.stripe_events import PAYOUT_KEY, carried_request
from gateway.recovery.store import payout_accounts
from gateway.v1.payout_pb2 import PAYOUT_STATE_PAID, Payout
from sandbox.stripe_twin.payouts import ARRIVAL_SECONDS
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.payments.shop import RefusedError, Shop
from tests.gateway.payouts.treasury import MERCHANT, Treasury
from tests.gateway.running import OpenShop

# https://docs.stripe.com/api/idempotent_requests
KEYS_FORGOTTEN = 25 * 3_600
NOW = datetime(2026, 11, 1, tzinfo=UTC)
REQUESTS = ("first", "second")


async def reason_of(shop: Shop) -> str | None:
    """What a new payment is refused for."""
    try:
        await shop.create()
    except RefusedError as refusal:
        return refusal.error.reason
    return None


def kept(payout: Payout) -> tuple[Any, ...]:
    """What a payout keeps when it is rebuilt."""
    names = ("id", "request_id", "merchant_id", "connected_account_id", "stripe_payout_id")
    return tuple(getattr(payout, name) for name in names)


async def test_lost_payouts_come_back_with_their_requests_and_none_is_made_twice(
    open_shop: OpenShop, twin: Twin, backup: Backup, recover: Callable[..., Any]
) -> None:
    async with open_shop() as shop:
        await shop.create()
        account_id = (await Treasury.open(shop, twin)).account_id
    backup.take()
    async with open_shop() as shop:
        treasury = Treasury(shop, twin, account_id)
        lost = [await treasury.create(10_00, request_id=one) for one in REQUESTS]
    backup.restore()
    # Stripe makes one by its own schedule, which is nobody's request.
    twin.advance(seconds=ARRIVAL_SECONDS)
    automatic = twin.pay_out(account_id, "eur")
    # The guard notices it, who was told of none of them.
    async with open_shop(webhooks=False, roles="api") as shop:
        assert await reason_of(shop) == "DATABASE_BEHIND"
    assert "default: 3 payouts of 1 merchants read, 2 rebuilt" in await recover()
    twin.advance(seconds=KEYS_FORGOTTEN)
    async with open_shop(webhooks=False) as shop:
        treasury = Treasury(shop, twin, account_id)
        again = [await treasury.create(10_00, request_id=one) for one in REQUESTS]
        assert [kept(one) for one in again] == [kept(one) for one in lost]
        assert {one.state for one in again} == {PAYOUT_STATE_PAID}
        assert {one.amount.minor_units for one in again} == {10_00}
        with pytest.raises(RefusedError) as reused:
            await treasury.create(11_00, request_id="first")
        assert reused.value.error.reason == "REQUEST_ID_REUSED"
        listed = await treasury.listed(lambda payouts: len(payouts) == 3, merchant_id=MERCHANT)
        requests = {one.stripe_payout_id: one.request_id for one in listed}
        assert requests.pop(automatic["id"]) == ""
        assert sorted(requests.values()) == sorted(REQUESTS)
    assert len(treasury.at_stripe) == 3
    assert "default: 3 payouts of 1 merchants read, 0 rebuilt" in await recover()


async def test_a_payout_that_was_checked_in_the_backup_is_the_one_that_stripe_has(
    open_shop: OpenShop,
    twin: Twin,
    recover: Callable[..., Any],
    engine: AsyncEngine,
) -> None:
    """The backup has it as failed before it was asked for, and Stripe made it afterwards."""
    async with open_shop(webhooks=False) as shop:
        treasury = await Treasury.open(shop, twin)
        made = await treasury.create(10_00, request_id="first")
    async with engine.begin() as connection:
        stored = await payout_store.lock(connection, made.id)
        assert stored is not None
        await payout_store.save(
            connection, replace(stored, state=PayoutState.FAILED, stripe_payout_id="")
        )
    await recover()
    async with open_shop(webhooks=False) as shop:
        treasury = Treasury(shop, twin, treasury.account_id)
        assert kept(await treasury.create(10_00, request_id="first")) == kept(made)
        assert len(await treasury.listed(bool)) == 1
    assert len(treasury.at_stripe) == 1


def test_only_a_payout_that_its_request_proves_is_ours() -> None:
    identity = RequestIdentity("default")
    payout_id = identity.named("pyo", "CreatePayoutRequest", "first")
    metadata = {
        DEPLOYMENT_KEY: "default",
        "engine_request_id": "first",
        "engine_fingerprint": "0" * 64,
        PAYOUT_KEY: payout_id,
    }
    carried = carried_request({"metadata": metadata}, identity)
    assert carried is not None
    assert carried.request_id == "first"
    for other in (
        {**metadata, "engine_request_id": "second"},
        {**metadata, "engine_fingerprint": ""},
        {**metadata, DEPLOYMENT_KEY: "other"},
        {**metadata, PAYOUT_KEY: "pyo_copied"},
        {PAYOUT_KEY: payout_id, "engine_request_id": "first"},
        None,
    ):
        assert carried_request({"metadata": other}, identity) is None


async def test_payouts_are_compared_of_who_was_paid_out_last_and_of_who_came_last(
    engine: AsyncEngine,
) -> None:
    async with engine.begin() as connection:
        for number in range(4):
            await merchant_store.add(
                connection,
                merchant_id=f"m{number}",
                corridor="default" if number else "elsewhere",
                request_id=f"r{number}",
                now=NOW,
                stripe_account_id=f"acct_{number}",
            )
        for place, account in enumerate(("acct_2", "acct_1", "acct_2", "")):
            payout = StoredPayout(
                id=f"pyo_{place}",
                merchant_id="m",
                corridor="default",
                account_id=account,
                state=PayoutState.PAID,
                currency="EUR",
                amount_minor=1,
                create_time=NOW + timedelta(seconds=place),
                update_time=NOW,
                stripe_payout_id=f"po_{place}",
            )
            await payout_store.add(connection, payout)
        found = [await payout_accounts(connection, "default", limit) for limit in (1, 2, 3, 4)]
    assert found[2:] == [["acct_2", "acct_1", "acct_3"]] * 2
    assert found[:2] == [["acct_2"], ["acct_2", "acct_1"]]

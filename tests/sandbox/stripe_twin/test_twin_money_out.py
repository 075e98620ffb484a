"""Payouts, top-ups and whatever else moves the balance."""

from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.overrides import BalanceEntry, ExternalAccountState
from tests.sandbox.stripe_twin.merchants import new_account, onboarded_account
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 3_600


async def test_a_payout_travels_and_comes_back(shop: Shop, twin: Twin) -> None:
    await shop.pay(10_000, card="pm_card_bypassPending")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.api.payouts.create_async({"amount": 9_681, "currency": "usd"}, fresh_key())
    assert caught.value.code == "balance_insufficient"
    payout = await shop.api.payouts.create_async(
        {"amount": 9_000, "currency": "usd", "metadata": {"a": "b"}}, fresh_key()
    )
    assert problems(stripe.Payout, payout.to_dict()) == []
    assert twin.books()["default"]["balances"]["usd"]["available"] == 680
    twin.advance(seconds=DAY)
    assert (await shop.api.payouts.retrieve_async(payout.id)).status == "in_transit"
    twin.advance(seconds=DAY)
    assert (await shop.api.payouts.retrieve_async(payout.id)).status == "paid"

    twin.fail_payout(payout.id, "account_closed")

    failed = await shop.api.payouts.retrieve_async(payout.id)
    assert problems(stripe.Payout, failed.to_dict()) == []
    assert (failed.status, failed.failure_code) == ("failed", "account_closed")
    assert twin.books()["default"]["balances"]["usd"]["available"] == 9_680
    events = [name for name in await shop.event_types() if name.startswith("payout")]
    assert events == ["payout.created", "payout.updated", "payout.paid", "payout.failed"]


async def test_a_pending_payout_is_canceled(shop: Shop, twin: Twin) -> None:
    await shop.pay(10_000, card="pm_card_bypassPending")
    payout = await shop.api.payouts.create_async({"amount": 500, "currency": "usd"}, fresh_key())
    canceled = await shop.api.payouts.cancel_async(payout.id, None, fresh_key())
    assert canceled.status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.payouts.cancel_async(payout.id, None, fresh_key())
    assert twin.books()["default"]["balances"]["usd"]["available"] == 9_680


async def test_an_automatic_payout_says_what_is_in_it(shop: Shop, twin: Twin) -> None:
    first = await shop.pay(10_000, card="pm_card_bypassPending")
    await shop.refund(first.id, 1_000)
    await shop.pay(2_000)
    payout = twin.pay_out()
    assert payout["amount"] == 8_680
    listed = await shop.api.balance_transactions.list_async({"payout": payout["id"]})
    assert sorted(item.type for item in listed.data) == ["charge", "payout", "refund"]
    assert sum(item.net for item in listed.data) == 0
    with pytest.raises(ValueError, match="no usd available"):
        twin.pay_out()
    twin.advance(seconds=2 * DAY)
    second = twin.pay_out()
    assert second["amount"] == 2_000 - 88
    again = await shop.api.balance_transactions.list_async({"payout": second["id"]})
    assert sorted(item.type for item in again.data) == ["charge", "payout"]


async def test_a_connected_account_takes_a_payout_back(shop: Shop, twin: Twin) -> None:
    account = await onboarded_account(shop)
    card = "pm_card_bypassPending"
    await shop.pay(10_000, card=card, options=fresh_key(account))
    options: stripe.RequestOptions = {"stripe_account": account}
    payout = await shop.api.payouts.create_async(
        {"amount": 5_000, "currency": "usd", "method": "instant"}, fresh_key(account)
    )
    with pytest.raises(stripe.InvalidRequestError, match="after they were paid"):
        await shop.api.payouts.reverse_async(payout.id, None, fresh_key(account))
    twin.advance(seconds=DAY)
    reversal = await shop.api.payouts.reverse_async(
        payout.id, {"metadata": {"why": "wrong bank"}}, fresh_key(account)
    )
    assert problems(stripe.Payout, reversal.to_dict()) == []
    assert (reversal.amount, reversal.original_payout) == (-5_000, payout.id)
    reversed_ = await shop.api.payouts.retrieve_async(payout.id, None, options)
    assert reversed_.reversed_by == reversal.id
    balances = twin.books()["default"]["connected"][account]["balances"]
    assert balances["usd"]["available"] == 9_680
    described = await shop.api.payouts.update_async(
        payout.id, {"metadata": {"a": "b"}}, fresh_key(account)
    )
    assert described.metadata is not None
    assert described.metadata["a"] == "b"


async def test_the_platform_cannot_take_a_payout_back(shop: Shop, twin: Twin) -> None:
    await shop.pay(10_000, card="pm_card_bypassPending")
    payout = await shop.api.payouts.create_async({"amount": 500, "currency": "usd"}, fresh_key())
    twin.advance(seconds=2 * DAY)
    with pytest.raises(stripe.InvalidRequestError, match="connected accounts"):
        await shop.api.payouts.reverse_async(payout.id, None, fresh_key())
    find = shop.api.payouts.list_async
    arrived = {"gte": payout.arrival_date, "lte": payout.arrival_date}
    assert len((await find({"arrival_date": arrived, "status": "paid"})).data) == 1  # type: ignore[arg-type]
    assert (await find({"arrival_date": payout.arrival_date + 1})).data == []


async def test_a_top_up_arrives_or_is_canceled(shop: Shop, twin: Twin) -> None:
    topup = await shop.api.topups.create_async({"amount": 2_000, "currency": "usd"}, fresh_key())
    other = await shop.api.topups.create_async({"amount": 300, "currency": "usd"}, fresh_key())
    assert (await shop.api.topups.cancel_async(other.id, None, fresh_key())).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="while they are pending"):
        await shop.api.topups.cancel_async(other.id, None, fresh_key())
    twin.advance(seconds=3 * DAY)
    arrived = await shop.api.topups.retrieve_async(topup.id)
    assert problems(stripe.Topup, arrived.to_dict()) == []
    assert arrived.status == "succeeded"
    listed = await shop.api.topups.list_async({"amount": {"gt": 300}, "status": "succeeded"})
    assert [item.id for item in listed.data] == [topup.id]
    (booked,) = (await shop.api.balance_transactions.list_async({"type": "topup"})).data
    assert (booked.source, booked.net) == (topup.id, 2_000)


async def test_balance_transactions_of_any_type_are_booked(shop: Shop, twin: Twin) -> None:
    kinds = {
        "stripe_fee": -250,
        "reserve_transaction": -700,
        "adjustment": 30,
        "from_the_future": 5,
    }
    async with aiohttp.ClientSession(f"{twin.url}/_twin/") as session:
        for kind, amount in kinds.items():
            body = {"type": kind, "amount": amount, "description": kind}
            async with session.post("balance_transactions/default", json=body) as response:
                assert response.status == 200
        body = {"type": "charge", "amount": 1, "currency": "US"}
        async with session.post("balance_transactions/default", json=body) as response:
            assert response.status == 400
    listed = (await shop.api.balance_transactions.list_async()).data
    assert {item.type: item.net for item in listed} == kinds
    assert [problems(stripe.BalanceTransaction, item.to_dict()) for item in listed[1:]] == [[]] * 3
    assert twin.books()["default"]["balances"]["usd"]["available"] == sum(kinds.values())


async def test_balance_transactions_are_found_by_every_filter(shop: Shop, twin: Twin) -> None:
    first = await shop.pay(10_000, card="pm_card_bypassPending")
    twin.advance(seconds=DAY)
    second = await shop.pay(3_000, currency="eur")
    refund = await shop.refund(first.id, 400)
    find = shop.api.balance_transactions.list_async
    filters: list[tuple[Any, list[str | None]]] = [
        ({"type": "refund"}, [refund.id]),
        ({"source": second.latest_charge}, [str(second.latest_charge)]),
        ({"currency": "eur"}, [str(second.latest_charge)]),
        ({"created": {"lt": second.created}}, [str(first.latest_charge)]),
        ({"limit": 1}, [refund.id]),
    ]
    for params, sources in filters:
        assert [item.source for item in (await find(params)).data] == sources
    pages = (await find({"limit": 1})).auto_paging_iter()
    assert len([item async for item in pages]) == 3


async def test_the_admin_api_plays_banks_and_card_holders(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay(10_000, card="pm_card_bypassPending")
    refund = await shop.refund(paid.id, 1_000)
    async with aiohttp.ClientSession(f"{twin.url}/_twin/") as session:
        for path, status in [
            (f"refunds/{refund.id}/fail", "failed"),
            (f"charges/{paid.latest_charge}/dispute/fraudulent", "needs_response"),
        ]:
            async with session.post(path) as response:
                assert (await response.json())["status"] == status
        (dispute,) = twin.books()["default"]["disputes"]
        async with session.post(f"disputes/{dispute['id']}/win") as response:
            assert (await response.json())["status"] == "won"
        async with session.post("payouts/default/run/usd") as response:
            payout = await response.json()
        assert payout["amount"] == 10_000 - 320 - 1_500
        async with session.post(f"payouts/{payout['id']}/fail/no_account") as response:
            assert (await response.json())["failure_code"] == "no_account"
        async with session.post(f"payouts/{payout['id']}/fail/no_account") as response:
            assert response.status == 409


async def test_a_failed_payout_stops_scheduled_ones_of_its_currency(shop: Shop, twin: Twin) -> None:
    account = await new_account(shop)
    external = shop.api.accounts.external_accounts
    made = [
        await external.create_async(account.id, {"external_account": given}, fresh_key())  # type: ignore[typeddict-item]
        for given in (
            {"object": "bank_account", "country": "US", "account_number": "000123456789"},
            {"object": "card", "number": "4000056655665556", "exp_month": 12, "exp_year": 2040},
            {"object": "card", "number": "4000056655665556", "exp_month": 12, "exp_year": 2040}
            | {"currency": "eur"},
        )
    ]
    bank, second, euros = made
    assert [item.default_for_currency for item in made] == [True, False, True]
    assert problems(stripe.Card, euros.to_dict()) == []
    cards = await external.list_async(account.id, {"object": "card"})
    assert [item.id for item in cards.data] == [euros.id, second.id]
    twin.complete_onboarding(account.id)
    for currency in ("usd", "eur"):
        twin.record_transaction(
            account.id, BalanceEntry(type="adjustment", amount=900, currency=currency)
        )
    payout = twin.pay_out(account.id, "usd")
    assert (payout["destination"], payout["type"]) == (bank.id, "bank_account")
    twin.fail_payout(payout["id"])
    assert (await external.retrieve_async(account.id, bank.id)).status == "errored"
    with pytest.raises(ValueError, match="is errored"):
        twin.pay_out(account.id, "usd")
    other = twin.pay_out(account.id, "eur")
    assert (other["destination"], other["type"]) == (euros.id, "card")
    twin.override_external_account(bank.id, ExternalAccountState(status="new"))
    assert twin.pay_out(account.id, "usd")["destination"] == bank.id
    with pytest.raises(ValueError, match="a card has no requirements"):
        twin.override_external_account(
            second.id,
            ExternalAccountState.model_validate(
                {"requirements": {"past_due": ["external_account"]}}
            ),
        )

"""Refunds, balances, balance transactions, and the judge over them."""

import pytest
import stripe

from sandbox.stripe_twin import BACKUP_ACCOUNT, Twin
from sandbox.stripe_twin.books import processing_fee
from sandbox.stripe_twin.overrides import BalanceEntry
from sandbox.stripe_twin.refunds import DISPUTED_MEANWHILE
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

TWO_DAYS = 2 * 24 * 3_600


@pytest.mark.parametrize(
    ("amount", "currency", "fee"),
    [
        (10_000, "usd", 320),
        (50, "usd", 31),
        (1_017, "usd", 59),
        # 2.9 % of 500 is 14.5: half a cent goes up.
        (500, "usd", 45),
        (10_000, "eur", 175),
        (10_000, "gbp", 170),
        (1_000, "jpy", 36),
    ],
)
def test_fees(amount: int, currency: str, fee: int) -> None:
    assert processing_fee(amount, currency) == fee


async def test_partial_refunds_up_to_the_whole(shop: Shop) -> None:
    paid = await shop.pay(1_000)
    first = await shop.refund(paid.id, 300)
    second = await shop.refund(paid.id)

    assert (first.amount, second.amount) == (300, 700)
    assert first.status == "succeeded"
    charge = await shop.charge_of(paid.id)
    assert (charge.amount_refunded, charge.refunded) == (1_000, True)
    transaction = await shop.api.balance_transactions.retrieve_async(str(first.balance_transaction))
    assert (transaction.type, transaction.amount, transaction.fee) == ("refund", -300, 0)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.refund(paid.id, 1)
    assert caught.value.code == "charge_already_refunded"
    listed = await shop.api.refunds.list_async({"payment_intent": paid.id})
    assert [item.id for item in listed.data] == [second.id, first.id]


async def test_an_over_refund_is_refused(shop: Shop) -> None:
    held = await shop.authorize(1_000)
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge"):
        await shop.refund(held.id)
    await shop.capture(held.id, 600)
    await shop.refund(held.id, 200)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.refund(held.id, 401)
    # Stripe gives no code here, only the parameter.
    assert (caught.value.code, caught.value.param) == (None, "amount")
    assert (await shop.refund(held.id, 400)).status == "succeeded"


async def test_a_refund_fails_later(shop: Shop) -> None:
    paid = await shop.pay(card="pm_card_refundFail")
    refund = await shop.refund(paid.id)
    assert refund.status == "succeeded"
    before = shop.twin.books()["default"]["balances"]["usd"]

    shop.twin.advance(seconds=60)

    failed = await shop.api.refunds.retrieve_async(
        refund.id, {"expand": ["failure_balance_transaction"]}
    )
    assert failed.status == "failed"
    assert failed.failure_reason == "expired_or_canceled_card"
    assert isinstance(failed.failure_balance_transaction, stripe.BalanceTransaction)
    assert failed.failure_balance_transaction.type == "refund_failure"
    after = shop.twin.books()["default"]["balances"]["usd"]
    assert after["available"] - before["available"] == refund.amount
    assert (await shop.charge_of(paid.id)).amount_refunded == 0
    assert (await shop.event_types())[-2:] == ["refund.updated", "refund.failed"]


async def test_a_refund_is_pending_first(shop: Shop) -> None:
    paid = await shop.pay(card="pm_card_pendingRefund")
    refund = await shop.refund(paid.id)
    assert refund.status == "pending"
    shop.twin.advance(seconds=60)
    assert (await shop.api.refunds.retrieve_async(refund.id)).status == "succeeded"


async def test_a_refund_waits_for_balance_and_has_moved_nothing(shop: Shop, twin: Twin) -> None:
    twin.settings.refunds_need_balance = True
    paid = await shop.pay(10_000)
    refund = await shop.refund(paid.id, 9_681)
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert refund.balance_transaction is None
    assert problems(stripe.Refund, refund.to_dict()) == []
    assert (await shop.charge_of(paid.id)).amount_refunded == 9_681
    assert twin.books()["default"]["balances"]["usd"] == {"pending": 9_680, "available": 0}

    twin.advance(seconds=TWO_DAYS)
    assert (await shop.api.refunds.retrieve_async(refund.id)).status == "pending"
    # One cent more, and it is covered.
    twin.record_transaction("default", BalanceEntry(type="topup", amount=1))
    twin.advance(seconds=60)
    taken = await shop.api.refunds.retrieve_async(refund.id)
    assert (taken.status, taken.to_dict().get("pending_reason")) == ("succeeded", None)
    assert taken.balance_transaction is not None
    assert twin.books()["default"]["balances"]["usd"] == {"pending": 0, "available": 0}
    assert (await shop.event_types())[-2:] == ["refund.updated", "charge.refund.updated"]


async def test_a_refund_that_waits_fails_when_the_charge_is_disputed(
    shop: Shop, twin: Twin
) -> None:
    twin.settings.refunds_need_balance = True
    paid = await shop.pay(10_000)
    refund = await shop.refund(paid.id)
    dispute = twin.open_dispute(str(paid.latest_charge))
    assert dispute["amount"] == 10_000
    failed = await shop.api.refunds.retrieve_async(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", DISPUTED_MEANWHILE)
    assert failed.to_dict().get("failure_balance_transaction") is None
    twin.advance(seconds=TWO_DAYS)
    assert (await shop.api.refunds.retrieve_async(refund.id)).status == "failed"
    assert twin.books()["default"]["refunds"][0]["balance_transaction"] is None


async def test_money_becomes_available(shop: Shop) -> None:
    await shop.pay(10_000)
    await shop.pay(5_000, card="pm_card_bypassPending")
    balance = await shop.api.balance.retrieve_async()
    assert [(item.currency, item.amount) for item in balance.pending] == [("usd", 9_680)]
    assert [(item.currency, item.amount) for item in balance.available] == [("usd", 4_825)]

    shop.twin.advance(seconds=TWO_DAYS)

    balance = await shop.api.balance.retrieve_async()
    assert [item.amount for item in balance.pending] == [0]
    assert [item.amount for item in balance.available] == [14_505]
    listed = await shop.api.balance_transactions.list_async({"type": "charge"})
    assert {item.status for item in listed.data} == {"available"}


async def test_the_judge_sees_each_account_and_currency(shop: Shop, twin: Twin) -> None:
    await shop.pay(1_000)
    await shop.pay(1_000, currency="eur")
    refunded = await shop.pay(2_000)
    await shop.refund(refunded.id, 500)
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        await backup.pay(1_000)

    books = twin.books()

    assert books["default"]["fees"] == {"usd": 59 + 88, "eur": 40}
    assert books["default"]["balances"] == {
        "eur": {"pending": 960, "available": 0},
        "usd": {"pending": 1_000 - 59 + 2_000 - 88, "available": -500},
    }
    assert books["default"]["journal"]["usd"] == {
        "charge": -3_000,
        "fees": 147,
        "refund": 500,
        "stripe_balance": 2_353,
    }
    assert books["backup"]["balances"] == {"usd": {"pending": 941, "available": 0}}
    assert len(books["default"]["charges"]) == 3


async def test_the_judge_notices_a_balance_that_is_not_the_sum(shop: Shop, twin: Twin) -> None:
    await shop.pay()
    transaction = next(iter(twin.account().books.transactions))
    transaction["net"] += 1
    with pytest.raises(AssertionError, match="wrong net"):
        twin.books()
    transaction["net"] -= 1


async def test_the_judge_notices_a_second_charge(shop: Shop, twin: Twin) -> None:
    paid = await shop.pay()
    charges = twin.account().objects("charge")
    charges.add({**charges.get(str(paid.latest_charge)), "id": "ch_second"})
    with pytest.raises(AssertionError, match="paid more than once"):
        twin.books()
    charges.remove("ch_second")


async def test_lists_go_page_by_page(shop: Shop) -> None:
    made = [(await shop.pay(1_000 + n)).id for n in range(5)]
    newest_first = made[::-1]
    first = await shop.api.payment_intents.list_async({"limit": 2})
    assert [item.id for item in first.data] == newest_first[:2]
    assert first.has_more
    rest = await shop.api.payment_intents.list_async({"limit": 3, "starting_after": made[3]})
    assert [item.id for item in rest.data] == newest_first[2:]
    assert not rest.has_more
    back = await shop.api.payment_intents.list_async({"limit": 2, "ending_before": made[1]})
    assert [item.id for item in back.data] == [made[3], made[2]]
    assert back.has_more
    walked = [item.id async for item in first.auto_paging_iter()]
    assert walked == newest_first
    since = await shop.api.payment_intents.list_async({"created": {"gt": 4_000_000_000}})
    assert since.data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await shop.api.payment_intents.list_async({"starting_after": "pi_unknown"})
    assert caught.value.code == "resource_missing"


async def test_payments_are_found_by_metadata(shop: Shop) -> None:
    await shop.pay(metadata={"operation": "op-1", "kind": "it's"})
    second = await shop.pay(metadata={"operation": "op-2"})
    query = 'metadata["operation"]:"op-2" AND status:"succeeded"'
    found = await shop.api.payment_intents.search_async({"query": query})
    assert [item.id for item in found.data] == [second.id]
    single = await shop.api.payment_intents.search_async({"query": "metadata['kind']:'it\\'s'"})
    assert len(single.data) == 1
    some = await shop.api.payment_intents.search_async({"query": "amount>1999", "limit": 1})
    assert (len(some.data), some.has_more) == (1, True)
    assert some.next_page is not None
    rest = await shop.api.payment_intents.search_async(
        {"query": "amount>1999", "page": some.next_page}
    )
    assert (len(rest.data), rest.has_more) == (1, False)
    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.payment_intents.search_async({"query": "colour:red"})


async def test_search_lags_behind(shop: Shop) -> None:
    shop.twin.settings.search_lag_seconds = 60
    await shop.pay(metadata={"operation": "op-1"})
    query = 'metadata["operation"]:"op-1"'
    assert (await shop.api.payment_intents.search_async({"query": query})).data == []
    shop.twin.advance(seconds=61)
    assert len((await shop.api.payment_intents.search_async({"query": query})).data) == 1


async def test_a_payment_method_is_attached_and_reused(shop: Shop) -> None:
    customer = await shop.api.customers.create_async({"name": "A"}, fresh_key())
    method = await shop.api.payment_methods.create_async(
        {"type": "card", "card": {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030}},
        fresh_key(),
    )
    await shop.api.payment_methods.attach_async(method.id, {"customer": customer.id}, fresh_key())
    for _ in range(2):
        paid = await shop.pay(card=method.id, customer=customer.id)
        assert paid.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="belongs to the Customer"):
        await shop.pay(card=method.id)
    with pytest.raises(stripe.CardError):
        await shop.api.payment_methods.attach_async(
            "pm_card_visa_chargeDeclined", {"customer": customer.id}, fresh_key()
        )

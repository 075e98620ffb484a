"""Bank debits: processing for days, then paid, refused or returned; and what the balance shows."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin.debit_balance import FAILURE_FEE
from sandbox.stripe_twin.disputes import DISPUTE_FEES
from sandbox.stripe_twin.test_accounts import ACCOUNTS_BY_TOKEN, CURRENCIES
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAYS = 24 * 3_600
ACCEPTED: Any = {
    "customer_acceptance": {
        "type": "online",
        "online": {"ip_address": "203.0.113.7", "user_agent": "Firefox"},
    }
}


async def debit(shop: Shop, account: str = "usBankAccount_success", **more: Any) -> Any:
    kind = ACCOUNTS_BY_TOKEN[f"pm_{account}"].kind
    params = {
        "card": f"pm_{account}",
        "currency": CURRENCIES[kind][0],
        "allowed_payment_method_types": [kind],
        "mandate_data": ACCEPTED,
        **more,
    }
    return await shop.pay(10_000, **params)


async def pending(shop: Shop, currency: str = "usd") -> int:
    balance = await shop.api.balance.retrieve_async()
    return next(part.amount for part in balance.pending if part.currency == currency)


@pytest.mark.parametrize("account", ["usBankAccount_success", "sepaDebit_success_at"])
async def test_the_balance_counts_it_before_the_bank_has_paid(shop: Shop, account: str) -> None:
    begun = await debit(shop, account)
    assert (begun.status, begun.amount_received, begun.processing) == ("processing", 0, None)
    charge = await shop.charge_of(begun.id)
    assert charge.id.startswith("py_")
    assert (charge.status, charge.paid, charge.captured) == ("pending", False, False)
    transaction = charge.balance_transaction
    assert isinstance(transaction, stripe.BalanceTransaction)
    assert (transaction.type, transaction.status, transaction.net) == ("payment", "pending", 9_920)
    shop.twin.advance(seconds=4 * DAYS)
    paid = await shop.api.payment_intents.retrieve_async(begun.id)
    assert (paid.status, paid.amount_received) == ("succeeded", 10_000)
    again = (await shop.charge_of(begun.id)).balance_transaction
    assert isinstance(again, stripe.BalanceTransaction)
    assert (again.id, again.status) == (transaction.id, "pending")
    shop.twin.advance(seconds=DAYS)
    balance = await shop.api.balance.retrieve_async()
    assert [part.amount for part in balance.available] == [9_920]
    told = await shop.event_types()
    assert told.index("charge.pending") < told.index("charge.succeeded")
    assert "payment_intent.processing" in told


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ("usBankAccount_insufficientFunds", "insufficient_funds"),
        ("usBankAccount_accountClosed", "account_closed"),
        ("usBankAccount_noAccount", "no_account"),
        ("usBankAccount_debitNotAuthorized", "debit_not_authorized"),
        ("usBankAccount_weeklyLimitExceeded", "charge_exceeds_source_limit"),
        ("sepaDebit_insufficientFunds_at", "insufficient_funds"),
    ],
)
async def test_a_bank_that_refuses_takes_it_back(shop: Shop, account: str, code: str) -> None:
    begun = await debit(shop, account)
    shop.twin.advance(seconds=4 * DAYS)
    refused = await shop.api.payment_intents.retrieve_async(begun.id)
    assert refused.status == "requires_payment_method"
    assert refused.last_payment_error is not None
    assert refused.last_payment_error.code == code
    charge = await shop.charge_of(begun.id)
    assert (charge.status, charge.failure_code) == ("failed", code)
    listed = await shop.api.balance_transactions.list_async({"source": charge.id})
    assert [(item.type, item.net) for item in listed.data] == [
        ("stripe_fee", -FAILURE_FEE),
        ("payment_failure_refund", -9_920),
        ("payment", 9_920),
    ]
    assert charge.failure_balance_transaction == listed.data[1].id
    assert await pending(shop, begun.currency) == 0
    assert "payment_intent.payment_failed" in await shop.event_types()


async def test_what_a_bank_returns_is_lost_from_the_beginning(shop: Shop) -> None:
    begun = await debit(shop, "usBankAccount_dispute")
    shop.twin.advance(seconds=4 * DAYS)
    (dispute,) = (await shop.api.disputes.list_async({"payment_intent": begun.id})).data
    assert (dispute.status, dispute.reason, dispute.amount) == (
        *("lost", "debit_not_authorized"),
        10_000,
    )
    assert [item.net for item in dispute.balance_transactions] == [-10_000 - DISPUTE_FEES["usd"]]
    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.disputes.update_async(
            dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}}, fresh_key()
        )
    told = await shop.event_types()
    assert told[-3:] == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


async def test_it_is_canceled_while_its_bank_says_nothing(shop: Shop) -> None:
    begun = await debit(shop, "usBankAccount_processing")
    shop.twin.advance(seconds=30 * DAYS)
    assert (await shop.api.payment_intents.retrieve_async(begun.id)).status == "processing"
    canceled = await shop.api.payment_intents.cancel_async(begun.id, {}, fresh_key())
    assert canceled.status == "canceled"
    listed = await shop.api.balance_transactions.list_async()
    assert [item.net for item in listed.data] == [-9_920, 9_920]


async def test_its_refund_takes_the_bank_a_while(shop: Shop) -> None:
    begun = await debit(shop)
    with pytest.raises(stripe.InvalidRequestError):
        await shop.refund(begun.id)
    shop.twin.advance(seconds=4 * DAYS)
    refund = await shop.refund(begun.id, 4_000)
    assert (refund.id[:4], refund.status) == ("pyr_", "pending")
    shop.twin.advance(seconds=60)
    assert (await shop.api.refunds.retrieve_async(refund.id)).status == "succeeded"
    listed = await shop.api.balance_transactions.list_async(
        {"source": refund.id, "expand": ["data.source"]}
    )
    (taken,) = listed.data
    assert (taken.type, taken.net) == ("payment_refund", -4_000)
    assert isinstance(taken.source, stripe.Refund)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"currency": "eur"}, "currency"),
        ({"capture_method": "manual"}, "capture_method"),
        ({"statement_descriptor_suffix": "SHOES"}, "statement_descriptor_suffix"),
        ({"allowed_payment_method_types": ["card"]}, "payment_method"),
        (
            {"mandate_data": {"customer_acceptance": {"type": "online"}}},
            "mandate_data[customer_acceptance][online][ip_address]",
        ),
    ],
)
async def test_what_a_debit_cannot_have_is_refused(
    shop: Shop, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await debit(shop, **wrong)
    assert refused.value.param == param
    assert not (await shop.api.balance_transactions.list_async()).data


@pytest.mark.parametrize("account", ["bacsDebit_success", "acssDebit_success"])
async def test_some_mandates_are_accepted_at_stripe_alone(shop: Shop, account: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await debit(shop, account)
    assert refused.value.param == "mandate_data"


@pytest.mark.parametrize(
    "account",
    ["usBankAccount_success", "auBecsDebit_success", "bacsDebit_success", "acssDebit_success"],
)
async def test_a_mandate_of_before_is_enough(shop: Shop, account: str) -> None:
    kind = ACCOUNTS_BY_TOKEN[f"pm_{account}"].kind
    customer = await shop.api.customers.create_async({}, fresh_key())
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.pay(
            currency=CURRENCIES[kind][0],
            card=f"pm_{account}",
            allowed_payment_method_types=[kind],
        )
    assert refused.value.param == "mandate_data"
    params: Any = {
        "confirm": True,
        "customer": customer.id,
        "payment_method": f"pm_{account}",
        "allowed_payment_method_types": [kind],
        "mandate_data": ACCEPTED,
    }
    setup = await shop.api.setup_intents.create_async(params, fresh_key())
    assert setup.status == "succeeded"
    paid = await shop.pay(
        currency=CURRENCIES[kind][0],
        card=str(setup.payment_method),
        allowed_payment_method_types=[kind],
        customer=customer.id,
        off_session=True,
    )
    assert paid.status == "processing"


@pytest.mark.parametrize("passed", [True, False])
async def test_an_account_given_by_its_number_is_verified_first(shop: Shop, passed: bool) -> None:
    params: Any = {
        "type": "us_bank_account",
        "us_bank_account": {
            "account_number": "000123456789",
            "routing_number": "110000000",
            "account_holder_type": "individual",
        },
        "billing_details": {"name": "Ada Mapleton"},
    }
    method = await shop.api.payment_methods.create_async(params, fresh_key())
    begun = await debit(shop, card=method.id)
    assert begun.status == "requires_action"
    assert begun.next_action.type == "verify_with_microdeposits"
    assert begun.next_action.verify_with_microdeposits.hosted_verification_url
    shop.twin.complete_authentication(begun.id, passed=passed)
    seen = await shop.api.payment_intents.retrieve_async(begun.id)
    assert seen.status == ("processing" if passed else "requires_payment_method")
    if not passed:
        assert seen.last_payment_error is not None
        assert seen.last_payment_error.code == (
            "payment_method_microdeposit_verification_attempts_exceeded"
        )

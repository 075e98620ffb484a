"""PaymentIntents that are `processing`: cards with an Indian mandate, off-session."""

import pytest
import stripe

from tests.sandbox.stripe_twin.shop import Shop, fresh_key

PAYS = "pm_card_indiaRecurringMandateSetupAndRenewalsSuccess"
FAILS = "pm_card_indiaRecurringPaymentFailureAfterPreDebitNotification"
HOURS_26 = 26 * 3_600


async def test_the_bank_decides_when_its_customer_was_told(shop: Shop) -> None:
    begun = await shop.pay(card=PAYS, off_session=True)
    assert (begun.status, begun.amount_received) == ("processing", 0)
    assert begun.processing is not None
    assert begun.processing.card is not None
    assert begun.processing.card.customer_notification is not None
    assert begun.processing.card.customer_notification.completes_at == begun.created + HOURS_26
    shop.twin.advance(seconds=HOURS_26 - 60)
    still = await shop.api.payment_intents.retrieve_async(begun.id)
    assert still.status == "processing"
    shop.twin.advance(seconds=60)
    paid = await shop.api.payment_intents.retrieve_async(begun.id)
    assert (paid.status, paid.processing) == ("succeeded", None)
    told = await shop.event_types()
    assert "payment_intent.processing" in told
    assert "payment_intent.succeeded" in told


async def test_the_bank_may_say_no(shop: Shop) -> None:
    begun = await shop.pay(card=FAILS, off_session=True)
    shop.twin.advance(seconds=HOURS_26)
    refused = await shop.api.payment_intents.retrieve_async(begun.id)
    assert (refused.status, refused.processing) == ("requires_payment_method", None)
    assert refused.last_payment_error is not None
    assert refused.last_payment_error.code == "india_recurring_payment_mandate_canceled"


@pytest.mark.parametrize("cancelable", [True, False])
async def test_it_can_be_canceled_meanwhile_or_not(shop: Shop, cancelable: bool) -> None:
    shop.twin.settings.processing_cancelable = cancelable
    begun = await shop.pay(card=PAYS, off_session=True)
    cancel = shop.api.payment_intents.cancel_async(begun.id, {}, fresh_key())
    if cancelable:
        canceled = await cancel
        assert (canceled.status, canceled.processing) == ("canceled", None)
    else:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await cancel
        assert refused.value.code == "payment_intent_unexpected_state"
    shop.twin.advance(seconds=HOURS_26)
    ended = await shop.api.payment_intents.retrieve_async(begun.id)
    assert ended.status == ("canceled" if cancelable else "succeeded")

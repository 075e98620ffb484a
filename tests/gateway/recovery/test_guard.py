"""The guard compares a database that is another with Stripe."""

from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.identity import RequestIdentity
from gateway.ids import DEPLOYMENT_KEY, RequestMetadata
from gateway.payments.domain.stripe_params import PAYMENT_KEY
from gateway.recovery.guard import RestoreGuard
from gateway.stripe_client.corridors import Corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1.payment_pb2 import PaymentState as S
from runtime.clock import ManualClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.backups import Backup
from tests.gateway.payments.cards import bank_treats_as, saved_card
from tests.gateway.running import OpenShop

OURS = {**RequestMetadata("default", "lost", "f" * 32).as_metadata(), PAYMENT_KEY: "pay_lost"}


async def test_what_was_written_and_lost_between_two_looks_is_found_at_stripe(
    twin: Twin, engine: AsyncEngine, backup: Backup
) -> None:
    corridor = Corridor(
        name="default", api_key=SecretStr(twin.account().secret_key), api_base=twin.url
    )
    clock = ManualClock(datetime.now(UTC))
    async with open_stripe_client([corridor], engine) as stripe:
        guard = RestoreGuard(engine, stripe.client, RequestIdentity("default"), clock)
        # Authorised by a release before this one: nothing of it could be rebuilt.
        others = {DEPLOYMENT_KEY: "default", PAYMENT_KEY: "pay_before"}
        made = await stripe.client.create_payment_intent(
            "default", {"amount": 1000, "currency": "eur", "metadata": others}, "before"
        )
        assert made.succeeded
        await guard.prepare()
        assert not guard.closed
        made = await stripe.client.create_payment_intent(
            "default", {"amount": 1000, "currency": "eur", "metadata": OURS}, "key"
        )
        assert made.succeeded
        await guard.prepare()
        assert not guard.closed
        backup.take()
        backup.restore()
        await guard.prepare()
        assert guard.closed


async def test_a_customer_who_paid_without_the_gateway_does_not_close_it(
    open_shop: OpenShop, twin: Twin, engine: AsyncEngine
) -> None:
    """With another card on the merchant's page, by the client_secret, while no gateway ran."""
    card = await saved_card(twin, "visa")
    bank_treats_as(twin, card, "authenticationRequired")
    async with open_shop() as shop:
        waiting = await shop.create(payment_method=card)
        assert waiting.next_action.client_secret
        twin.complete_authentication(waiting.payment_intent_id, passed=False)
        await poll(lambda: shop.get(waiting.id), lambda now: now.state == S.PAYMENT_STATE_DECLINED)
    corridor = Corridor(
        name="default", api_key=SecretStr(twin.account().secret_key), api_base=twin.url
    )
    bank_treats_as(twin, card, "visa")
    async with open_stripe_client([corridor], engine) as stripe:
        paid = await stripe.client.confirm_payment_intent(
            "default", waiting.payment_intent_id, {"payment_method": card.token}, "page"
        )
        assert paid.succeeded
    async with open_shop() as shop:
        await shop.create()
        await poll(lambda: shop.get(waiting.id), lambda now: now.state == S.PAYMENT_STATE_SUCCEEDED)

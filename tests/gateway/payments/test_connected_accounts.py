"""What connected accounts do for themselves: it is told to the platform, and is none of ours."""

from typing import Any

import psycopg
import pytest

from gateway.v1.corridor_service_pb2 import ListDeadLettersRequest
from gateway.v1.payment_pb2 import PaymentState
from gateway.v1.payment_service_pb2 import ListPaymentsRequest
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.fake_compliance import FakeCompliance
from tests.gateway.payments.shop import Shop
from tests.gateway.running import running_gateway
from tests.sandbox.stripe_twin.conftest import open_shop as open_merchant
from tests.sandbox.stripe_twin.merchants import onboarded_account
from tests.sandbox.stripe_twin.shop import fresh_key


async def events(database_url: str) -> dict[str, int]:
    """How many of a connected account's events there are in each state."""
    query = b"""
    SELECT state, count(*) FROM webhook_event WHERE stripe_account IS NOT NULL GROUP BY state
    """
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute(query)
        return {str(state): int(count) for state, count in await cursor.fetchall()}


@pytest.mark.parametrize("thin", [False, True])
async def test_what_a_connected_account_does_for_itself_is_none_of_ours(
    database_url: str, twin: Twin, compliance: FakeCompliance, *, thin: bool
) -> None:
    key = twin.account().secret_key
    async with (
        running_gateway(
            database_url, twin, webhooks=False, compliance_address=compliance.address
        ) as gateway,
        open_merchant(twin, key) as merchant,
    ):
        account = await onboarded_account(merchant)
        url = f"http://127.0.0.1:{gateway.http_port}/webhooks/stripe/default"
        for connect in (False, True):
            twin.register_webhook(url, connect=connect, thin=thin)
        # A charge that is disputed, one that is refunded, and one of the platform for the account.
        ours: Any = {"engine_payment_id": "pay_01ARZ3NDEKTSV4RRFFQ69G5FAV"}
        paid = await merchant.pay(5_000, "pm_card_createDispute", fresh_key(account), metadata=ours)
        assert paid.status == "succeeded"
        whole = await merchant.pay(3_000, "pm_card_bypassPending", fresh_key(account))
        await merchant.pay(90_000, "pm_card_bypassPending", fresh_key(account))
        await merchant.api.refunds.create_async({"payment_intent": whole.id}, fresh_key(account))
        shop = Shop(gateway.channel)
        payment = await shop.create(destination_account_id=account)
        assert payment.state == PaymentState.PAYMENT_STATE_SUCCEEDED
        payout = twin.pay_out(account)
        await twin.webhooks.drained()
        found = await poll(lambda: events(database_url), lambda found: "PENDING" not in found)
        # Of charges, a refund, a dispute, a payout; of nothing else is a handler's.
        assert found["DONE"] >= 10
        letters = await gateway.corridors.ListDeadLetters(ListDeadLettersRequest())
        assert not letters.dead_letters
        listed = await shop.stub.ListPayments(ListPaymentsRequest())
        assert [one.id for one in listed.payments] == [payment.id]
        theirs = {paid.id, whole.id, str(paid.latest_charge), str(whole.latest_charge)}
        asked = [request.path.rpartition("/")[2] for request in twin.requests.matching("GET")]
        assert not theirs & set(asked)
        assert payout["id"] not in asked
        assert not [name for name in asked if name.startswith(("re_", "dp_", "du_", "py_"))]

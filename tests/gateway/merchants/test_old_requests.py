"""Requests that are repeated when Stripe may have forgotten their idempotency keys."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2 as tax
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway

A_DAY = timedelta(hours=23)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def gateway(
    database_url: str, twin: Twin, clock: ManualClock
) -> AsyncIterator[RunningGateway]:
    async with running_gateway(database_url, twin, clock) as running:
        yield running


def posts(twin: Twin, path: str) -> int:
    return len(twin.requests.matching("POST", path))


async def test_an_account_that_was_made_is_found_without_its_key(
    gateway: RunningGateway, twin: Twin, clock: ManualClock
) -> None:
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/accounts", count=4)
    assert (await refusal_of(gateway.merchants.CreateMerchant(new_merchant()))).reason == (
        "OUTCOME_UNKNOWN"
    )
    (made,) = twin.account().objects("account")
    sent = posts(twin, "/v1/accounts")
    clock.advance(A_DAY)
    found = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    assert found.state == merchant_pb2.MERCHANT_STATE_CONNECTED
    assert found.connected_account_id == made["id"]
    assert posts(twin, "/v1/accounts") == sent, "the old key is not sent again"


async def test_an_account_that_was_never_made_is_said_so(
    gateway: RunningGateway, twin: Twin, clock: ManualClock
) -> None:
    twin.add_fault(kind="reset", when="before", method="POST", path="/v1/accounts", count=4)
    assert (await refusal_of(gateway.merchants.CreateMerchant(new_merchant()))).reason == (
        "OUTCOME_UNKNOWN"
    )
    clock.advance(A_DAY)
    merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    assert merchant.state == merchant_pb2.MERCHANT_STATE_FAILED
    assert merchant.failure_code == "not_performed"
    assert list(twin.account().objects("account")) == []


async def test_an_old_link_is_not_made_again(gateway: RunningGateway, clock: ManualClock) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    request = pb.CreateOnboardingLinkRequest(
        request_id="link-1",
        merchant_id="shop-1",
        kind=pb.ONBOARDING_LINK_KIND_ONBOARDING,
        refresh_url="https://shop.example/again",
        return_url="https://shop.example/done",
    )
    await gateway.merchants.CreateOnboardingLink(request)
    clock.advance(timedelta(hours=1))
    expired = await refusal_of(gateway.merchants.CreateOnboardingLink(request))
    assert expired.reason == "ONBOARDING_LINK_EXPIRED"
    clock.advance(A_DAY)
    assert await refusal_of(gateway.merchants.CreateOnboardingLink(request)) == expired


async def test_a_tax_number_that_was_entered_is_found_without_its_key(
    gateway: RunningGateway, twin: Twin, clock: ManualClock
) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    request = pb.CreateTaxIdRequest(
        request_id="tax-1",
        owner=tax.TaxIdOwner(merchant_id="shop-1"),
        kind="eu_vat",
        value="DE222222222",
    )
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/tax_ids", count=4)
    assert (await refusal_of(gateway.merchants.CreateTaxId(request))).reason == "OUTCOME_UNKNOWN"
    sent = posts(twin, "/v1/tax_ids")
    clock.advance(A_DAY)
    assert (await gateway.merchants.CreateTaxId(request)).tax_id.value == "DE222222222"
    assert posts(twin, "/v1/tax_ids") == sent

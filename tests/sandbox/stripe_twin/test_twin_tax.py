"""Tax settings, registrations and tax ids."""

import pytest
import stripe
from stripe import tax

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.tax import set_verification
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 3_600


async def test_tax_settings_become_active_with_a_head_office(shop: Shop) -> None:
    before = await shop.api.tax.settings.retrieve_async()
    assert problems(tax.Settings, before.to_dict()) == []
    assert before.status == "pending"
    assert before.status_details.pending is not None
    assert before.status_details.pending.missing_fields == ["head_office"]

    after = await shop.api.tax.settings.update_async(
        {
            "defaults": {"tax_code": "txcd_10000000", "tax_behavior": "exclusive"},
            "head_office": {"address": {"country": "US", "state": "CA", "line1": "A"}},
        },
        fresh_key(),
    )

    assert problems(tax.Settings, after.to_dict()) == []
    assert after.status == "active"
    assert (await shop.event_types())[-1] == "tax.settings.updated"


async def test_settings_belong_to_their_account(shop: Shop) -> None:
    account = await shop.api.accounts.create_async({"country": "US"}, fresh_key())
    await shop.api.tax.settings.update_async(
        {"head_office": {"address": {"country": "US", "state": "CA"}}}, fresh_key(account.id)
    )
    own = await shop.api.tax.settings.retrieve_async()
    theirs = await shop.api.tax.settings.retrieve_async(None, {"stripe_account": account.id})
    assert (own.status, theirs.status) == ("pending", "active")


async def test_registrations_go_with_time(shop: Shop, twin: Twin) -> None:
    now = twin.clock.now()
    created = await shop.api.tax.registrations.create_async(
        {
            "country": "US",
            "country_options": {"us": {"state": "CA", "type": "state_sales_tax"}},
            "active_from": now + DAY,
            "expires_at": now + 3 * DAY,
        },
        fresh_key(),
    )
    assert problems(tax.Registration, created.to_dict()) == []
    assert created.status == "scheduled"
    twin.advance(seconds=DAY)
    assert (await shop.api.tax.registrations.retrieve_async(created.id)).status == "active"
    active = await shop.api.tax.registrations.list_async({"status": "active"})
    assert [item.id for item in active.data] == [created.id]
    ended = await shop.api.tax.registrations.update_async(
        created.id, {"expires_at": twin.clock.now() + 10}, fresh_key()
    )
    assert ended.status == "active"
    twin.advance(seconds=10)
    assert (await shop.api.tax.registrations.retrieve_async(created.id)).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        await shop.api.tax.registrations.update_async(created.id, {"expires_at": 1}, fresh_key())


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("eu_vat", "DE000000000", "verified"),
        ("eu_vat", "DE111111111", "unverified"),
        ("gb_vat", "GB222222222", "pending"),
        ("us_ein", "12-3456789", None),
    ],
)
async def test_customer_tax_ids(shop: Shop, kind: str, value: str, status: str | None) -> None:
    shop.twin.settings.tax_verification_seconds = 60
    customer = await shop.api.customers.create_async({}, fresh_key())
    created = await shop.api.customers.tax_ids.create_async(
        customer.id, {"type": kind, "value": value}, fresh_key()
    )
    assert problems(stripe.TaxId, created.to_dict()) == []
    if status is not None:
        assert created.verification is not None
        assert created.verification.status == "pending"

    shop.twin.advance(seconds=60)

    again = await shop.api.customers.tax_ids.retrieve_async(customer.id, created.id)
    assert (again.verification.status if again.verification else None) == status
    told = "customer.tax_id.updated" in await shop.event_types()
    assert told == (status in ("verified", "unverified"))
    await shop.api.customers.tax_ids.delete_async(customer.id, created.id, None, fresh_key())
    assert (await shop.api.customers.tax_ids.list_async(customer.id)).data == []


async def test_tax_ids_of_the_account_itself(shop: Shop, twin: Twin) -> None:
    created = await shop.api.tax_ids.create_async(
        {"type": "eu_vat", "value": "DE222222222", "owner": {"type": "self"}}, fresh_key()
    )
    item = twin.account().objects("tax_id").get(created.id)
    set_verification(twin.account(), item, "unavailable")
    listed = await shop.api.tax_ids.list_async()
    assert [entry.verification.status for entry in listed.data if entry.verification] == [
        "unavailable"
    ]
    assert problems(stripe.TaxId, listed.data[0].to_dict()) == []

"""One connected account, seen through both APIs."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin import Twin
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

MERCHANT: Any = {
    "contact_email": "ada@shop.test",
    "display_name": "Ada's",
    "identity": {
        "country": "de",
        "entity_type": "company",
        "business_details": {"registered_name": "Ada GmbH", "phone": "+4930000000"},
    },
    "defaults": {"currency": "eur", "profile": {"business_url": "https://shop.test/"}},
    "configuration": {
        "merchant": {"mcc": "5942", "capabilities": {"card_payments": {"requested": True}}}
    },
    "include": ["configuration.merchant", "identity", "requirements"],
}


async def test_an_account_is_onboarded_and_takes_payments(shop: Shop, twin: Twin) -> None:
    accounts = shop.client.v2.core.accounts
    created = await accounts.create_async(MERCHANT, fresh_key())
    assert created.configuration is not None
    assert created.configuration.merchant is not None
    capabilities: Any = created.configuration.merchant.capabilities
    assert capabilities.card_payments.status == "restricted"
    assert created.requirements is not None
    assert created.requirements.entries is not None
    due = [entry.description for entry in created.requirements.entries]
    assert "company.tax_id" in due
    assert not {"business_profile.mcc", "company.name", "company.phone"} & set(due)

    before = await shop.api.accounts.retrieve_async(created.id)
    assert (before.country, before.business_type, before.default_currency) == (
        "DE",
        "company",
        "eur",
    )
    twin.complete_onboarding(created.id)

    include: Any = {"include": ["configuration.merchant", "requirements"]}
    ready = await accounts.retrieve_async(created.id, include)
    assert ready.configuration is not None
    assert ready.configuration.merchant is not None
    capabilities = ready.configuration.merchant.capabilities
    assert (capabilities.card_payments.status, capabilities.card_payments.status_details) == (
        "active",
        [],
    )
    assert ready.requirements is not None
    assert ready.requirements.entries == []
    assert (ready.identity, ready.defaults) == (None, None)
    paid = await shop.pay(currency="eur", options=fresh_key(created.id))
    assert paid.status == "succeeded"


async def test_an_account_is_changed_listed_and_closed(shop: Shop) -> None:
    accounts = shop.client.v2.core.accounts
    created = await accounts.create_async(MERCHANT, fresh_key())
    other = await accounts.create_async({"contact_email": "eve@shop.test"}, fresh_key())
    changed = await accounts.update_async(
        created.id, {"display_name": "Ada & Co", "metadata": {"a": "b"}}, fresh_key()
    )
    assert (changed.display_name, changed.contact_email) == ("Ada & Co", "ada@shop.test")
    merchants = await accounts.list_async({"applied_configurations": ["merchant"]})
    assert [item.id for item in merchants.data] == [created.id]

    with pytest.raises(stripe.InvalidRequestError, match="All configurations"):
        await accounts.close_async(created.id, None, fresh_key())
    closed = await accounts.close_async(
        created.id, {"applied_configurations": ["merchant"]}, fresh_key()
    )

    assert closed.closed
    assert [item.id for item in (await accounts.list_async()).data] == [other.id]
    assert [item.id for item in (await accounts.list_async({"closed": True})).data] == [created.id]
    with pytest.raises(stripe.InvalidRequestError, match="is closed"):
        await accounts.update_async(created.id, {"display_name": "Eve"}, fresh_key())
    events = await shop.client.v2.core.events.list_async({"object_id": created.id})
    kinds = [event.type for event in events.data if event.type.startswith("v2.")]
    assert kinds == ["v2.core.account.closed", "v2.core.account.updated", "v2.core.account.created"]

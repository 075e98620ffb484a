"""One connected account, seen through both APIs."""

from typing import Any

import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.overrides import AccountState
from tests.sandbox.stripe_twin.sdk_types import problems
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


async def test_requirements_are_entries_of_whose_turn_it_is(shop: Shop, twin: Twin) -> None:
    accounts = shop.client.v2.core.accounts
    created = await accounts.create_async(MERCHANT, fresh_key())
    pair = {
        "original_fields_due": ["company.tax_id"],
        "alternative_fields_due": ["company.verification.document"],
    }
    due = {
        "past_due": ["company.tax_id"],
        "currently_due": ["company.tax_id", "person_1.dob.day"],
        "eventually_due": ["company.tax_id", "person_1.dob.day", "company.phone"],
        "pending_verification": ["company.name"],
        "current_deadline": 1_900_000_000,
        "alternatives": [pair],
        "errors": [{"code": "invalid_tax_id", "reason": "No.", "requirement": "company.tax_id"}],
    }
    state = {
        "requirements": due,
        "future_requirements": {"currently_due": ["company.address.line1"]},
        "capabilities": {"card_payments": {"requirements": {"currently_due": ["company.tax_id"]}}},
    }
    twin.override_account(created.id, AccountState.model_validate(state))
    shown = await accounts.retrieve_async(
        created.id, {"include": ["requirements", "future_requirements"]}
    )
    assert problems(stripe.v2.core.Account, shown.to_dict()) == []
    assert shown.requirements is not None
    entries = {entry.description: entry for entry in shown.requirements.entries or []}
    assert {
        field: (entry.minimum_deadline.status, entry.awaiting_action_from)
        for field, entry in entries.items()
    } == {
        "company.tax_id": ("past_due", "user"),
        "dob.day": ("currently_due", "user"),
        "company.phone": ("eventually_due", "user"),
        "company.name": ("currently_due", "stripe"),
    }
    reference = entries["dob.day"].reference
    assert reference is not None
    assert (reference.type, reference.resource) == ("person", "person_1")
    assert [error.code for error in entries["company.tax_id"].errors] == ["invalid_tax_id"]
    (restricted,) = entries["company.tax_id"].impact.restricts_capabilities or []
    assert (restricted.configuration, restricted.capability) == ("merchant", "card_payments")
    # How pressing it is for the capability is the capability's own.
    assert restricted.deadline.status == "currently_due"
    summary = shown.requirements.summary
    assert summary is not None
    assert summary.minimum_deadline is not None
    assert summary.minimum_deadline.status == "past_due"
    assert str(summary.minimum_deadline.time).startswith("2030-03-17T17:46:40")
    (alternative,) = shown.requirements.alternatives or []
    assert [entry.description for entry in alternative.original_entries] == ["company.tax_id"]
    assert [[entry.description for entry in one.entries] for one in alternative.options] == [
        ["company.verification.document"]
    ]
    assert shown.future_requirements is not None
    assert [entry.description for entry in shown.future_requirements.entries or []] == [
        "company.address.line1"
    ]
    events = await shop.client.v2.core.events.list_async({"object_id": created.id})
    kinds = [event.type for event in events.data if event.type.startswith("v2.core.account[")]
    assert sorted(kinds) == [
        "v2.core.account[future_requirements].updated",
        "v2.core.account[requirements].updated",
    ]

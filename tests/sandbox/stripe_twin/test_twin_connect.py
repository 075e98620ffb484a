"""Connected accounts: onboarding, requirements, capabilities, and charges for them."""

from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import BACKUP_ACCOUNT, DEFAULT_ACCOUNT, Twin
from sandbox.stripe_twin.overrides import AccountState
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.merchants import new_account, onboarded_account
from tests.sandbox.stripe_twin.receiver import open_receiver
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

MISSING_AT_FIRST = [
    "business_profile.mcc",
    "business_profile.url",
    "business_type",
    "external_account",
    "tos_acceptance.date",
    "tos_acceptance.ip",
]


async def test_an_account_is_onboarded_step_by_step(shop: Shop) -> None:
    created = await new_account(shop)
    assert problems(stripe.Account, created.to_dict()) == []
    assert created.requirements is not None
    assert created.requirements.currently_due == MISSING_AT_FIRST
    assert created.requirements.past_due == MISSING_AT_FIRST
    assert created.requirements.disabled_reason == "requirements.past_due"
    assert (created.charges_enabled, created.payouts_enabled) == (False, False)

    updated = await shop.api.accounts.update_async(
        created.id,
        {
            "business_type": "company",
            "business_profile": {"mcc": "5734", "url": "https://shop.test"},
            "tos_acceptance": {"date": 1, "ip": "127.0.0.1"},
            "external_account": {
                "object": "bank_account",
                "country": "US",
                "currency": "usd",
                "account_number": "000123456789",
                "routing_number": "110000000",
            },
            "metadata": {"merchant": "m-1"},
        },
        fresh_key(),
    )
    assert updated.requirements is not None
    assert updated.requirements.currently_due == [
        "company.address.line1",
        "company.name",
        "company.phone",
        "company.tax_id",
    ]
    done = await shop.api.accounts.update_async(
        created.id,
        {
            "company": {
                "name": "A",
                "phone": "1",
                "tax_id": "000000000",
                "address": {"line1": "B"},
            }
        },
        fresh_key(),
    )

    assert problems(stripe.Account, done.to_dict()) == []
    assert (done.charges_enabled, done.payouts_enabled, done.details_submitted) == (True,) * 3
    assert done.capabilities is not None
    assert done.capabilities.card_payments == "active"
    assert done.company is not None
    assert done.company.tax_id_provided
    assert "tax_id" not in done.company.to_dict()
    assert done.external_accounts is not None
    assert [item.last4 for item in done.external_accounts.data] == ["6789"]
    assert (await shop.api.accounts.retrieve_async(created.id)).to_dict() == done.to_dict()
    listed = await shop.api.accounts.list_async()
    assert [item.id for item in listed.data] == [created.id]


async def test_a_test_sets_requirements_and_they_are_told(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    async with open_receiver(DEFAULT_ACCOUNT.webhook_secret) as receiver:
        twin.settings.webhook_concurrency = 1
        twin.register_webhook(receiver.url, connect=True)
        state = AccountState.model_validate(
            {
                "charges_enabled": False,
                "requirements": {
                    "alternatives": [
                        {
                            "alternative_fields_due": ["company.verification.document"],
                            "original_fields_due": ["company.tax_id"],
                        }
                    ],
                    "current_deadline": 1_900_000_000,
                    "currently_due": ["company.tax_id"],
                    "disabled_reason": "requirements.past_due",
                    "errors": [
                        {
                            "code": "verification_failed_tax_id_match",
                            "reason": "The tax id does not match.",
                            "requirement": "company.tax_id",
                        }
                    ],
                    "eventually_due": ["company.tax_id"],
                    "past_due": ["company.tax_id"],
                    "pending_verification": ["individual.id_number"],
                },
                "future_requirements": {"currently_due": ["person.dob"], "current_deadline": 9},
                "capabilities": {
                    "card_payments": {
                        "status": "inactive",
                        "requirements": {"past_due": ["company.tax_id"]},
                    }
                },
            }
        )
        twin.override_account(account_id, state)
        assert await receiver.until(2) == ["account.updated", "capability.updated"]
    assert {event.account for event in receiver.events} == {account_id}
    previous = receiver.events[0].data.previous_attributes
    assert previous is not None
    assert previous["charges_enabled"] is True

    account = await shop.api.accounts.retrieve_async(account_id)
    assert problems(stripe.Account, account.to_dict()) == []
    assert account.requirements is not None
    assert account.requirements.current_deadline == 1_900_000_000
    assert account.future_requirements is not None
    assert account.future_requirements.currently_due == ["person.dob"]
    assert account.payouts_enabled
    capability = await shop.api.accounts.capabilities.retrieve_async(account_id, "card_payments")
    assert problems(stripe.Capability, capability.to_dict()) == []
    assert capability.status == "inactive"
    assert capability.requirements is not None
    assert capability.requirements.past_due == ["company.tax_id"]
    await shop.api.accounts.update_async(account_id, {"email": "a@shop.test"}, fresh_key())
    again = await shop.api.accounts.retrieve_async(account_id)
    assert not again.charges_enabled


DUE = {"currently_due": ["company.tax_id"], "eventually_due": ["company.tax_id"]}
PENDING = {"pending_verification": ["company.tax_id"]}


@pytest.mark.parametrize(
    ("part", "wanted", "reason", "past_due"),
    [
        ("requirements", DUE, "requirements.past_due", ["company.tax_id"]),
        # Handed in and not verified by then is late, too.
        ("requirements", PENDING, "requirements.pending_verification", []),
        ("future_requirements", DUE, "requirements.past_due", ["company.tax_id"]),
        # Nothing is wanted by then.
        ("requirements", {"eventually_due": ["company.tax_id"]}, None, []),
    ],
)
async def test_a_deadline_stops_the_account_when_it_passes(
    shop: Shop,
    twin: Twin,
    part: str,
    wanted: dict[str, list[str]],
    reason: str | None,
    past_due: list[str],
) -> None:
    account_id = await onboarded_account(shop)
    deadline = twin.clock.now() + 3_600
    twin.override_account(
        account_id, AccountState.model_validate({part: {**wanted, "current_deadline": deadline}})
    )
    twin.advance(seconds=3_590)
    before = await shop.api.accounts.retrieve_async(account_id)
    assert before.charges_enabled
    assert before.payouts_enabled
    twin.advance(seconds=20)
    account = await shop.api.accounts.retrieve_async(account_id)
    assert problems(stripe.Account, account.to_dict()) == []
    assert account.charges_enabled is account.payouts_enabled is (reason is None)
    assert account.requirements is not None
    assert account.requirements.disabled_reason == reason
    assert account.requirements.past_due == past_due
    assert account.future_requirements is not None
    assert account.future_requirements.currently_due == []
    # It is told once; what is handed in afterwards is the merchant's page's to mend.
    twin.advance(seconds=86_400)
    assert await shop.api.accounts.retrieve_async(account_id) == account


async def test_a_capabilitys_deadline_stops_the_capability_alone(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    due = {**DUE, "current_deadline": twin.clock.now() + 3_600}
    async with open_receiver(DEFAULT_ACCOUNT.webhook_secret) as receiver:
        twin.settings.webhook_concurrency = 1
        twin.register_webhook(receiver.url, connect=True)
        state = {"capabilities": {"card_payments": {"requirements": due}}}
        twin.override_account(account_id, AccountState.model_validate(state))
        await receiver.until(2)
        twin.advance(seconds=3_600)
        assert (await receiver.until(4))[2:] == ["account.updated", "capability.updated"]
    account = await shop.api.accounts.retrieve_async(account_id)
    assert (account.charges_enabled, account.payouts_enabled) == (False, True)
    capability = await shop.api.accounts.capabilities.retrieve_async(account_id, "card_payments")
    assert problems(stripe.Capability, capability.to_dict()) == []
    assert capability.status == "inactive"
    assert capability.requirements is not None
    assert capability.requirements.disabled_reason == "requirements.fields_needed"
    assert capability.requirements.past_due == ["company.tax_id"]


async def test_what_is_taken_back_before_its_deadline_stops_nothing(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    due = {"requirements": {**DUE, "current_deadline": twin.clock.now() + 3_600}}
    twin.override_account(account_id, AccountState.model_validate(due))
    twin.override_account(account_id, AccountState.model_validate({"requirements": {}}))
    twin.advance(seconds=3_601)
    assert (await shop.api.accounts.retrieve_async(account_id)).charges_enabled


async def test_a_bank_account_fails(shop: Shop, twin: Twin) -> None:
    account = await new_account(
        shop,
        external_account={
            "object": "bank_account",
            "country": "US",
            "currency": "usd",
            "account_number": "000123456789",
        },
    )
    twin.override_account(account.id, AccountState(external_account_status="errored"))
    again = await shop.api.accounts.retrieve_async(account.id)
    assert again.external_accounts is not None
    (bank_account,) = again.external_accounts.data
    assert isinstance(bank_account, stripe.BankAccount)
    assert bank_account.status == "errored"


async def test_bank_accounts_are_added_and_listed(shop: Shop) -> None:
    account = await new_account(shop)
    external = shop.api.accounts.external_accounts
    made = [
        await external.create_async(
            account.id,
            {
                "external_account": {
                    "object": "bank_account",
                    "country": "US",
                    "currency": "usd",
                    "account_number": f"00012345678{n}",
                }
            },
            fresh_key(),
        )
        for n in range(2)
    ]
    listed = await external.list_async(account.id, {"limit": 1})
    assert ([item.id for item in listed.data], listed.has_more) == ([made[1].id], True)
    bank_account = await external.retrieve_async(account.id, made[0].id)
    assert problems(stripe.BankAccount, bank_account.to_dict()) == []
    assert isinstance(bank_account, stripe.BankAccount)
    assert bank_account.default_for_currency


async def test_an_account_says_who_controls_it(shop: Shop) -> None:
    controller: Any = {
        "stripe_dashboard": {"type": "express"},
        "fees": {"payer": "application"},
        "losses": {"payments": "application"},
        "requirement_collection": "stripe",
    }
    account = await shop.api.accounts.create_async({"controller": controller}, fresh_key())
    assert problems(stripe.Account, account.to_dict()) == []
    assert account.type == "none"
    assert account.controller is not None
    assert account.controller.stripe_dashboard is not None
    assert account.controller.stripe_dashboard.type == "express"
    with pytest.raises(stripe.InvalidRequestError):
        await new_account(shop, controller=controller)


async def test_an_account_link_leads_to_a_page(shop: Shop) -> None:
    account = await new_account(shop)
    link = await shop.api.account_links.create_async(
        {
            "account": account.id,
            "type": "account_onboarding",
            "refresh_url": "https://shop.test/refresh",
            "return_url": "https://shop.test/return",
            "collection_options": {"fields": "eventually_due", "future_requirements": "include"},
        },
        fresh_key(),
    )
    assert problems(stripe.AccountLink, link.to_dict()) == []
    assert link.expires_at > link.created
    async with aiohttp.ClientSession() as session:
        async with session.get(link.url) as page:
            assert account.id in await page.text()
        async with session.post(link.url.rpartition("/")[0]) as done:
            assert done.status == 200
    assert (await shop.api.accounts.retrieve_async(account.id)).charges_enabled


async def test_accounts_belong_to_their_platform(shop: Shop, twin: Twin) -> None:
    account_id = await onboarded_account(shop)
    async with open_shop(twin, BACKUP_ACCOUNT.secret_key) as backup:
        with pytest.raises(stripe.PermissionError) as caught:
            await backup.api.accounts.retrieve_async(account_id)
        with pytest.raises(stripe.PermissionError):
            await backup.pay(options=fresh_key(account_id))
    assert caught.value.error is not None
    assert caught.value.error.code == "account_invalid"

"""Persons of connected accounts: what is wanted of each, and where the account says it."""

from typing import Any

import aiohttp
import stripe

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin
from sandbox.stripe_twin.overrides import PersonState
from tests.sandbox.stripe_twin.merchants import new_account, onboarded_account
from tests.sandbox.stripe_twin.receiver import open_receiver
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

WANTED = ["dob.day", "dob.month", "dob.year", "email", "first_name", "last_name"]


async def add(shop: Shop, account: str, **given: Any) -> stripe.Person:
    return await shop.api.accounts.persons.create_async(account, given, fresh_key())  # type: ignore[arg-type]


async def due(shop: Shop, account: str) -> list[str]:
    requirements = (await shop.api.accounts.retrieve_async(account)).requirements
    assert requirements is not None
    return [field for field in requirements.currently_due or [] if field.startswith("person_")]


async def test_what_a_person_lacks_is_wanted_of_the_account_until_it_is_given(shop: Shop) -> None:
    account = (await new_account(shop)).id
    ada = await add(shop, account, relationship={"representative": True}, first_name="Ada")
    assert problems(stripe.Person, ada.to_dict()) == []
    lacked = sorted({*WANTED, "id_number"} - {"first_name"})
    assert ada.requirements is not None
    assert ada.requirements.currently_due == ada.requirements.past_due == lacked
    assert ada.verification is not None
    assert ada.verification.status == "unverified"
    assert await due(shop, account) == [f"{ada.id}.{field}" for field in lacked]
    owner = await add(shop, account, relationship={"owner": True, "percent_ownership": 30.0})
    assert owner.requirements is not None
    assert owner.requirements.currently_due == WANTED
    done = await shop.api.accounts.persons.update_async(
        account,
        ada.id,
        {
            "last_name": "Rosen",
            "email": "ada@shop.test",
            "dob": {"day": 1, "month": 2, "year": 1980},
            "id_number": "000000000",
        },
        fresh_key(),
    )
    assert problems(stripe.Person, done.to_dict()) == []
    assert done.id_number_provided
    assert "id_number" not in done.to_dict()
    assert done.verification is not None
    assert done.verification.status == "verified"
    assert await due(shop, account) == [f"{owner.id}.{field}" for field in WANTED]
    await shop.api.accounts.persons.delete_async(account, owner.id, None, fresh_key())
    assert await due(shop, account) == []
    listed = await shop.api.accounts.persons.list_async(account)
    assert [person.id for person in listed.data] == [ada.id]
    none = await shop.api.accounts.persons.list_async(account, {"relationship": {"owner": True}})
    assert none.data == []


async def test_the_individual_of_an_account_is_a_person_of_it(shop: Shop) -> None:
    account = await new_account(shop, business_type="individual")
    await shop.api.accounts.update_async(
        account.id, {"individual": {"first_name": "Ada"}}, fresh_key()
    )
    (person,) = (await shop.api.accounts.persons.list_async(account.id)).data
    assert person.relationship is not None
    assert person.relationship.representative
    assert person.requirements is not None
    assert "last_name" in person.requirements.currently_due
    assert "first_name" not in person.requirements.currently_due
    # The account names what is wanted of them as its individual's.
    assert await due(shop, account.id) == []


async def test_persons_are_told_of_and_can_be_set(shop: Shop, twin: Twin) -> None:
    account = await onboarded_account(shop)
    async with open_receiver(DEFAULT_ACCOUNT.webhook_secret) as receiver:
        twin.settings.webhook_concurrency = 1
        twin.register_webhook(receiver.url, connect=True, enabled_events=["person.*"])
        person = await add(shop, account, relationship={"director": True})
        state = {
            "status": "pending",
            "details_code": "failed_keyed_identity",
            "document_details_code": "document_expired",
            "requirements": {"pending_verification": ["verification.document"]},
        }
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{twin.url}/_twin/persons/{person.id}", json=state) as response,
        ):
            assert response.status == 200
        await shop.api.accounts.persons.delete_async(account, person.id, None, fresh_key())
        told = await receiver.until(3)
        assert told == ["person.created", "person.updated", "person.deleted"]
    assert {event.account for event in receiver.events} == {account}
    kept = receiver.events[1].data.object.to_dict()
    assert problems(stripe.Person, kept) == []
    assert kept["verification"]["status"] == "pending"
    assert kept["verification"]["document"]["details_code"] == "document_expired"
    assert kept["requirements"]["pending_verification"] == ["verification.document"]


async def test_onboarding_verifies_every_person(shop: Shop, twin: Twin) -> None:
    account = (await new_account(shop)).id
    person = await add(shop, account, relationship={"owner": True})
    twin.complete_onboarding(account)
    seen = await shop.api.accounts.persons.retrieve_async(account, person.id)
    assert seen.verification is not None
    assert seen.verification.status == "verified"
    assert seen.requirements is not None
    assert seen.requirements.currently_due == []
    # What nobody has set is as it is for everybody.
    twin.override_person(person.id, PersonState())
    assert await due(shop, account) == []

"""Persons of connected accounts, from the Stripe twin to the merchant's snapshot."""

import asyncio

import pytest

from gateway.merchants import stripe_events
from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from sandbox.stripe_twin.overrides import AccountState, PersonState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.at_stripe import at_stripe
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, running_gateway


async def add_person(twin: Twin, account_id: str, **given: str) -> str:
    form = {"first_name": "Ada", "relationship[owner]": "true", **given}
    return str((await at_stripe(twin, f"/v1/accounts/{account_id}/persons", form))["id"])


async def until(gateway: RunningGateway, after: int) -> merchant_pb2.AccountSnapshot:
    """The next snapshot that webhooks bring."""
    feed = gateway.merchants.WatchMerchants(pb.WatchMerchantsRequest(after_sequence=after))
    async with asyncio.timeout(20):
        snapshot: merchant_pb2.AccountSnapshot = (await feed.read()).merchant.snapshot
    feed.cancel()
    return snapshot


async def test_events_about_persons_have_the_account_fetched(
    gateway: RunningGateway, twin: Twin
) -> None:
    merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    assert list(merchant.snapshot.persons) == []
    ada = await add_person(twin, merchant.connected_account_id)
    created = await until(gateway, merchant.snapshot.sequence)
    assert [(person.id, list(person.roles)) for person in created.persons] == [(ada, ["owner"])]
    assert f"{ada}.last_name" in created.requirements.currently_due
    # What the event says of the person is never taken: Stripe is asked.
    twin.override_person(
        ada,
        PersonState.model_validate(
            {
                "status": "pending",
                "document_details_code": "document_expired",
                "requirements": {"pending_verification": ["verification.document"]},
            }
        ),
    )
    (person,) = (await until(gateway, created.sequence)).persons
    assert person.verification_state == merchant_pb2.PERSON_VERIFICATION_STATE_PENDING
    assert list(person.verification_codes) == ["document_expired"]
    assert list(person.requirements.pending_verification) == ["verification.document"]


async def test_persons_come_page_by_page_up_to_the_limit(
    database_url: str, twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe_events, "MAX_ITEMS", 2)
    monkeypatch.setattr(stripe_events, "MAX_PERSON_PAGES", 2)
    async with running_gateway(database_url, twin, roles="api") as gateway:
        merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
        persons: list[str] = []

        async def seen() -> merchant_pb2.AccountSnapshot:
            persons.append(
                await add_person(twin, merchant.connected_account_id, gender=str(len(persons)))
            )
            request = pb.SyncMerchantRequest(merchant_id="shop-1")
            answer: pb.SyncMerchantResponse = await gateway.merchants.SyncMerchant(request)
            return answer.merchant.snapshot

        for _ in range(4):
            snapshot = await seen()
            assert [person.id for person in snapshot.persons] == sorted(persons)
            assert not snapshot.truncated
        crowded = await seen()
        assert crowded.truncated
        # Stripe lists the newest first.
        assert [person.id for person in crowded.persons] == sorted(persons[1:])


async def test_persons_that_stripe_does_not_show_keep_no_snapshot_away(
    database_url: str, twin: Twin
) -> None:
    async with running_gateway(database_url, twin, roles="api") as gateway:
        merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
        account_id = merchant.connected_account_id
        await add_person(twin, account_id)
        sync = pb.SyncMerchantRequest(merchant_id="shop-1")
        twin.override_account(account_id, AccountState(persons_withheld=True))
        snapshot = (await gateway.merchants.SyncMerchant(sync)).merchant.snapshot
        assert snapshot.persons_withheld
        assert list(snapshot.persons) == []
        assert snapshot.country_code == "DE"
        twin.override_account(account_id, AccountState(persons_withheld=False))
        shown = (await gateway.merchants.SyncMerchant(sync)).merchant.snapshot
        assert not shown.persons_withheld
        assert len(shown.persons) == 1


REFUSED = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}}


@pytest.mark.parametrize(
    ("refused", "asked", "complete"),
    [
        # Which of the requests for a page Stripe refuses; each read begins with the first page.
        ((2,), 4, True),
        ((2, 4), 4, False),
        # What was shown a moment ago is not withheld now, but not all either.
        ((2, 3), 3, False),
    ],
)
async def test_a_later_page_that_stripe_refuses_takes_nothing_of_the_first_away(
    database_url: str,
    twin: Twin,
    monkeypatch: pytest.MonkeyPatch,
    refused: tuple[int, ...],
    asked: int,
    complete: bool,
) -> None:
    monkeypatch.setattr(stripe_events, "MAX_ITEMS", 2)
    async with running_gateway(database_url, twin, roles="api") as gateway:
        merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
        path = f"/v1/accounts/{merchant.connected_account_id}/persons"
        persons = [
            await add_person(twin, merchant.connected_account_id, gender=str(number))
            for number in range(3)
        ]
        before = len(twin.requests.matching(method="GET", path=path))
        for number in refused:
            twin.add_fault(
                kind="proxy",
                method="GET",
                path=path,
                skip=number - 1,
                count=1,
                status=400,
                body=REFUSED,
            )
        sync = pb.SyncMerchantRequest(merchant_id="shop-1")
        snapshot = (await gateway.merchants.SyncMerchant(sync)).merchant.snapshot
        assert len(twin.requests.matching(method="GET", path=path)) == before + asked
        assert not snapshot.persons_withheld
        assert snapshot.truncated is not complete
        # Stripe lists the newest first.
        seen = persons if complete else persons[1:]
        assert [person.id for person in snapshot.persons] == sorted(seen)
        # The next fetch has them all.
        after = (await gateway.merchants.SyncMerchant(sync)).merchant.snapshot
        assert not after.truncated
        assert [person.id for person in after.persons] == sorted(persons)

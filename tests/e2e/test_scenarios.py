"""The demo's scenarios as tests; after each, the ledger equals Stripe's books to the cent."""

import asyncio
from collections import Counter

import grpc
import pytest

from compliance.v1.requirement_service_pb2 import (
    GetAccountSnapshotRequest,
    RefreshAccountSnapshotRequest,
)
from compliance.v1.requirement_service_pb2_grpc import RequirementServiceStub
from sandbox.addresses import at
from sandbox.clients import Clients
from sandbox.demo.books import check_charges, ledger_name, read_history, settled_trial_balance
from sandbox.demo.scenarios import SCENARIOS, Parties, Scenario
from sandbox.demo.shop import CALL_SECONDS, Shop
from sandbox.engine import Engine
from sandbox.twin_admin import TwinAdmin
from tests.accounts import ACTIVE_ACCOUNT
from tests.e2e.scenario_steps import control_twin, merchant_at_stripe

# How many entries of each effect a payment leaves: hold, release, and post of it or of more.
CHARGED = {"hold": 2, "release": 2, "post": 4}
WANTED_ENTRIES = {
    "Success": CHARGED,
    "Decline": {"hold": 2, "release": 2},
    "3-D Secure": CHARGED,
    "Manual capture, in part": CHARGED,
    "Refunds": {"hold": 2, "release": 2, "post": 8},
    "Blocked merchant": {},
    "Case, approved": CHARGED,
}

# How often compliance is looked at within the time of a call.
LOOKS = 300


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
async def test_a_scenario_ends_as_it_must_and_the_books_agree(
    scenario: Scenario, shop: Shop, parties: Parties, clients: Clients, twin: TwinAdmin
) -> None:
    # Something must be in the ledger even if this scenario books nothing.
    await shop.settled((await shop.pay(parties.merchant, parties.customer, 1_00, "visa")).id)
    ids = await scenario.play(shop, parties)
    ledger = await ledger_name(clients)
    for identifier in ids:
        history = await read_history(clients, ledger, identifier)
        assert history.states[0] == "RECEIVED"
        # How often a queued payment was begun depends on when the breaker opened.
        if scenario.title in WANTED_ENTRIES:
            effects = Counter(line.effect for line in history.lines)
            assert effects == WANTED_ENTRIES[scenario.title]
    trial = await settled_trial_balance(clients, ledger, twin)
    trial.check()
    assert trial.debits > 0
    assert await check_charges(clients, twin) > 0


async def test_every_post_to_stripe_has_an_idempotency_key(shop: Shop, parties: Parties) -> None:
    made = await shop.pay(parties.merchant, parties.customer, 3_00, "visa")
    await shop.settled(made.id)
    await shop.refund(made.id)
    await shop.until(made.id, lambda read: read.amount_refunded.minor_units == 3_00)
    posts = await shop.twin.requests("POST", "/v1/")
    assert posts
    assert all(post["idempotency_key"] for post in posts)


async def test_the_same_request_twice_is_one_payment(shop: Shop, parties: Parties) -> None:
    request = shop.payment_request(parties.merchant, parties.customer, 5_00, "visa")
    first = await shop.send(request)
    again = await shop.send(request)
    assert again.id == first.id
    read = await shop.settled(first.id)
    books = await shop.twin.books()
    charges = [
        item for item in books["charges"] if item["payment_intent"] == read.payment_intent_id
    ]
    assert [charge["amount"] for charge in charges] == [5_00]


async def test_what_blocks_a_merchant_is_not_told_to_it(shop: Shop, parties: Parties) -> None:
    merchant = await shop.add_merchant("Synthetic Blocked Trading Company LLC")
    await shop.confirm_matches(merchant)
    made = await shop.pay(merchant, parties.customer, 7_00, "visa")
    told = " ".join(made.compliance.merchant_reasons).lower()
    assert told
    assert not any(word in told for word in ("sanction", "list", "match", "ofac", "suspic"))


async def test_what_stripe_stops_and_allows_again_reaches_compliance_at_once(
    shop: Shop, engine: Engine
) -> None:
    """By the event, the gateway's snapshot and its feed; a round would come ten minutes later."""
    account, merchant = await merchant_at_stripe(shop, engine)
    async with grpc.aio.insecure_channel(at(engine.ports.compliance)) as channel:
        requirements = RequirementServiceStub(channel)

        async def charges(enabled: bool) -> bool:
            answer = await requirements.GetAccountSnapshot(
                GetAccountSnapshotRequest(merchant_id=merchant), timeout=CALL_SECONDS
            )
            return bool(answer.snapshot.charges_enabled) is enabled

        await requirements.RefreshAccountSnapshot(
            RefreshAccountSnapshotRequest(merchant_id=merchant), timeout=CALL_SECONDS
        )
        for enabled in (False, True):
            state = {**ACTIVE_ACCOUNT, "charges_enabled": enabled}
            await control_twin(engine, f"accounts/{account}", state)
            for _ in range(LOOKS):
                if await charges(enabled):
                    break
                await asyncio.sleep(CALL_SECONDS / LOOKS)
            assert await charges(enabled)

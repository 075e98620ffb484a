"""Connected accounts, end to end: gRPC, PostgreSQL, the SDK, the Stripe twin, its webhooks."""

import asyncio

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.v1 import corridor_pb2, corridor_service_pb2, merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from runtime.idempotency import fingerprint_of
from sandbox.stripe_twin.overrides import AccountState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway


def accounts_created(twin: Twin) -> int:
    return len(list(twin.account().objects("account")))


def mode_request(
    request_id: str, mode: corridor_pb2.CorridorMode.ValueType
) -> corridor_service_pb2.SetCorridorModeRequest:
    return corridor_service_pb2.SetCorridorModeRequest(
        request_id=request_id, corridor="default", mode=mode, reason="a test"
    )


async def test_create_makes_one_account_with_its_snapshot(
    gateway: RunningGateway, twin: Twin
) -> None:
    answer = await gateway.merchants.CreateMerchant(new_merchant())
    merchant = answer.merchant
    assert merchant.merchant_id == "shop-1"
    assert merchant.corridor == "default"
    assert merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED
    assert merchant.snapshot.country_code == "DE"
    assert merchant.snapshot.business_type == "company"
    assert merchant.snapshot.business_name == "Blumen Meier"
    assert not merchant.snapshot.charges_enabled
    assert "company.tax_id" in merchant.snapshot.requirements.past_due
    assert merchant.snapshot.requirements.disabled_reason == "requirements.past_due"
    assert [item.name for item in merchant.snapshot.capabilities] == ["card_payments", "transfers"]
    assert merchant.snapshot.capabilities[0].requirements.currently_due
    assert len(merchant.snapshot.content_hash) == 32
    assert merchant.snapshot.fetch_time.seconds > 0
    created = twin.account().objects("account").get(merchant.connected_account_id)
    assert created["metadata"] == {
        "tier": "gold",
        "gateway_merchant_id": "shop-1",
        "engine_deployment": "default",
        "engine_request_id": "create-1",
        "engine_fingerprint": fingerprint_of(new_merchant()).hex(),
    }

    again = await gateway.merchants.CreateMerchant(new_merchant())
    assert again == answer
    assert accounts_created(twin) == 1
    read = await gateway.merchants.GetMerchant(
        pb.GetMerchantRequest(connected_account_id=merchant.connected_account_id)
    )
    assert read.merchant == merchant


async def test_a_lost_answer_makes_no_second_account(gateway: RunningGateway, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/accounts")
    lost = await refusal_of(gateway.merchants.CreateMerchant(new_merchant()))
    assert (lost.code, lost.reason) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
    stored = await gateway.merchants.GetMerchant(pb.GetMerchantRequest(merchant_id="shop-1"))
    assert stored.merchant.state == merchant_pb2.MERCHANT_STATE_CREATING
    twin.faults.clear()
    settled = await gateway.merchants.CreateMerchant(new_merchant())
    assert settled.merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED
    assert accounts_created(twin) == 1


async def test_a_snapshot_that_cannot_be_fetched_makes_no_second_account(
    gateway: RunningGateway, twin: Twin
) -> None:
    twin.add_fault(kind="error", path="/v1/accounts/.*/capabilities", count=4)
    lost = await refusal_of(gateway.merchants.CreateMerchant(new_merchant()))
    assert lost.reason == "OUTCOME_UNKNOWN"
    settled = await gateway.merchants.CreateMerchant(new_merchant())
    assert settled.merchant.snapshot.sequence == 1
    assert accounts_created(twin) == 1


async def test_what_stripe_refuses_is_final(gateway: RunningGateway) -> None:
    request = new_merchant(requested_capabilities=["no_such_capability"])
    answer = await gateway.merchants.CreateMerchant(request)
    assert answer.merchant.state == merchant_pb2.MERCHANT_STATE_FAILED
    assert answer.merchant.failure_code
    assert not answer.merchant.HasField("snapshot")
    assert await gateway.merchants.CreateMerchant(request) == answer
    link = pb.CreateOnboardingLinkRequest(
        request_id="link-1",
        merchant_id="shop-1",
        kind=pb.ONBOARDING_LINK_KIND_ONBOARDING,
        refresh_url="https://shop.example/again",
        return_url="https://shop.example/done",
    )
    refused = await refusal_of(gateway.merchants.CreateOnboardingLink(link))
    assert refused.reason == "INVALID_MERCHANT_STATE"
    assert refused.metadata["merchant_state"] == "FAILED"


async def test_a_request_id_stands_for_one_request(
    gateway: RunningGateway, database_url: str
) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    other = await refusal_of(
        gateway.merchants.CreateMerchant(new_merchant(country_code="FR", metadata={"tier": "tin"}))
    )
    assert (other.code, other.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert other.metadata["differing_fields"] == "country_code,metadata[tier]"
    email = await refusal_of(
        gateway.merchants.CreateMerchant(new_merchant(email="someone@example.com"))
    )
    assert email.metadata["differing_fields"] == "email"
    taken = await refusal_of(gateway.merchants.CreateMerchant(new_merchant("create-2")))
    assert taken.reason == "MERCHANT_EXISTS"
    assert (await refusal_of(gateway.merchants.CreateMerchant(new_merchant("create-2")))) == taken
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT string_agg(body::text, '') FROM merchant_request")
        (bodies,) = kept.fetchone() or ("",)
    assert b"owner@example.com".hex() not in bodies, "addresses are compared, not kept"


async def test_an_existing_account_is_attached(gateway: RunningGateway, twin: Twin) -> None:
    made = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    attach = pb.CreateMerchantRequest(
        request_id="attach-1", merchant_id="shop-2", connected_account_id=made.connected_account_id
    )
    linked = await refusal_of(gateway.merchants.CreateMerchant(attach))
    assert linked.reason == "MERCHANT_ALREADY_LINKED"
    unknown = pb.CreateMerchantRequest(
        request_id="attach-2", merchant_id="shop-3", connected_account_id="acct_nobody"
    )
    assert (await refusal_of(gateway.merchants.CreateMerchant(unknown))).reason == (
        "ACCOUNT_NOT_FOUND"
    )
    assert accounts_created(twin) == 1


async def test_sync_keeps_what_changed_and_moves_the_time_of_what_did_not(
    database_url: str, twin: Twin
) -> None:
    # Without a worker nobody else fetches snapshots: no webhook, and no recovery of lost ones.
    async with running_gateway(database_url, twin, roles="api") as gateway:
        first = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
        same = await gateway.merchants.SyncMerchant(pb.SyncMerchantRequest(merchant_id="shop-1"))
        assert not same.changed
        assert same.merchant.snapshot.sequence == first.snapshot.sequence
        assert (
            same.merchant.snapshot.fetch_time.ToNanoseconds()
            > first.snapshot.fetch_time.ToNanoseconds()
        )
        twin.override_account(first.connected_account_id, AccountState(charges_enabled=True))
        cached = await gateway.merchants.SyncMerchant(
            pb.SyncMerchantRequest(merchant_id="shop-1", max_age=Duration(seconds=900))
        )
        assert not cached.merchant.snapshot.charges_enabled
        fresh = await gateway.merchants.SyncMerchant(pb.SyncMerchantRequest(merchant_id="shop-1"))
        assert fresh.changed
        assert fresh.merchant.snapshot.charges_enabled
        assert fresh.merchant.snapshot.sequence == first.snapshot.sequence + 1


async def test_watch_shows_what_webhooks_bring(gateway: RunningGateway, twin: Twin) -> None:
    stream = gateway.merchants.WatchMerchants(pb.WatchMerchantsRequest())
    made = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    async with asyncio.timeout(20):
        seen = (await stream.read()).merchant
        assert seen.snapshot == made.snapshot
        twin.complete_onboarding(made.connected_account_id)
        enabled = (await stream.read()).merchant
    assert enabled.snapshot.charges_enabled
    assert enabled.snapshot.payouts_enabled
    assert enabled.snapshot.sequence == seen.snapshot.sequence + 1
    stream.cancel()
    resumed = gateway.merchants.WatchMerchants(
        pb.WatchMerchantsRequest(after_sequence=seen.snapshot.sequence)
    )
    async with asyncio.timeout(20):
        assert (await resumed.read()).merchant.snapshot == enabled.snapshot
    resumed.cancel()


async def test_lists_page_through_all(gateway: RunningGateway) -> None:
    for number in range(5):
        await gateway.merchants.CreateMerchant(
            new_merchant(f"create-{number}", merchant_id=f"shop-{number}")
        )
    found: list[str] = []
    token = ""
    while True:
        page = await gateway.merchants.ListMerchants(
            pb.ListMerchantsRequest(
                page_size=2, page_token=token, state=merchant_pb2.MERCHANT_STATE_CONNECTED
            )
        )
        found += [merchant.merchant_id for merchant in page.merchants]
        token = page.next_page_token
        if not token:
            break
    assert found == [f"shop-{number}" for number in range(5)]
    none = await gateway.merchants.ListMerchants(
        pb.ListMerchantsRequest(state=merchant_pb2.MERCHANT_STATE_FAILED)
    )
    assert list(none.merchants) == []


async def test_onboarding_link_asks_for_everything_and_repeats(
    gateway: RunningGateway, twin: Twin
) -> None:
    await gateway.merchants.CreateMerchant(new_merchant())
    request = pb.CreateOnboardingLinkRequest(
        request_id="link-1",
        merchant_id="shop-1",
        kind=pb.ONBOARDING_LINK_KIND_ONBOARDING,
        refresh_url="https://shop.example/again",
        return_url="https://shop.example/done",
    )
    link = (await gateway.merchants.CreateOnboardingLink(request)).link
    assert link.url
    assert link.expire_time.seconds > 0
    assert (await gateway.merchants.CreateOnboardingLink(request)).link == link
    assert twin.requests.posts_without_key == 0


async def test_nobody_is_found(gateway: RunningGateway) -> None:
    for call in (
        gateway.merchants.GetMerchant(pb.GetMerchantRequest(merchant_id="nobody")),
        gateway.merchants.SyncMerchant(pb.SyncMerchantRequest(merchant_id="nobody")),
        gateway.merchants.GetTaxSettings(pb.GetTaxSettingsRequest(merchant_id="nobody")),
    ):
        refused = await refusal_of(call)
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "MERCHANT_NOT_FOUND",
        )
    corridor = await refusal_of(gateway.merchants.CreateMerchant(new_merchant(corridor="nowhere")))
    assert corridor.reason == "CORRIDOR_NOT_FOUND"


async def test_a_closed_corridor_is_said_so_and_nothing_is_lost(
    gateway: RunningGateway, twin: Twin
) -> None:
    await gateway.corridors.SetCorridorMode(
        mode_request("close-1", corridor_pb2.CORRIDOR_MODE_DRAIN)
    )
    refused = await refusal_of(gateway.merchants.CreateMerchant(new_merchant()))
    assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "CORRIDOR_UNAVAILABLE")
    assert refused.metadata == {"corridor": "default", "not_sent_reason": "CORRIDOR_DRAINED"}
    assert refused.retry_delay is not None
    assert accounts_created(twin) == 0
    await gateway.corridors.SetCorridorMode(mode_request("open-1", corridor_pb2.CORRIDOR_MODE_OPEN))
    answer = await gateway.merchants.CreateMerchant(new_merchant())
    assert answer.merchant.state == merchant_pb2.MERCHANT_STATE_CONNECTED
    assert accounts_created(twin) == 1


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (new_merchant(country_code=""), "country_code"),
        (new_merchant(dashboard=0), "dashboard"),
        (new_merchant(requested_capabilities=[]), "requested_capabilities"),
        (new_merchant(connected_account_id="acct_1"), "country_code"),
        (new_merchant(metadata={"gateway_merchant_id": "x"}), "metadata"),
        (new_merchant(metadata={"engine_request_id": "x"}), "metadata"),
        (new_merchant(requested_capabilities=["Card Payments"]), "requested_capabilities[0]"),
        (new_merchant(merchant_id="a/b"), "merchant_id"),
    ],
)
async def test_bad_requests_name_the_field(
    gateway: RunningGateway, twin: Twin, request_: pb.CreateMerchantRequest, field: str
) -> None:
    refused = await refusal_of(gateway.merchants.CreateMerchant(request_))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    )
    assert field in [violation.field for violation in refused.violations]
    assert accounts_created(twin) == 0


@pytest.mark.parametrize(
    "url", ["http://shop.example", "ftp://shop.example", "https://", "nonsense", "https://a b"]
)
async def test_links_lead_back_over_https(gateway: RunningGateway, url: str) -> None:
    request = pb.CreateOnboardingLinkRequest(
        request_id="link-1",
        merchant_id="shop-1",
        kind=pb.ONBOARDING_LINK_KIND_ONBOARDING,
        refresh_url=url,
        return_url="http://127.0.0.1:3000/done",
    )
    refused = await refusal_of(gateway.merchants.CreateOnboardingLink(request))
    assert [violation.field for violation in refused.violations] == ["refresh_url"]

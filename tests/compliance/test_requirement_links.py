"""The page that asks a merchant for no more than Stripe wants, through the gateway."""

from datetime import timedelta
from typing import Any

import grpc
import pytest

from compliance.v1 import requirement_service_pb2 as pb
from gateway.errors import ERRORS
from gateway.merchants.domain import account_link_params
from gateway.v1 import merchant_requirements_pb2
from gateway.v1 import merchant_service_pb2 as gateway_pb
from gateway.v1.error_reason_pb2 import ErrorReason
from tests.compliance.guard import Guard, failure

ACCOUNT = "acct_one"


def request(merchant: str, request_id: str = "link-1") -> pb.CreateRequirementLinkRequest:
    return pb.CreateRequirementLinkRequest(
        request_id=request_id,
        merchant_id=merchant,
        refresh_url="https://shop.example/again",
        return_url="https://shop.example/done",
    )


def requirements(**lists: Any) -> merchant_requirements_pb2.Requirements:
    return merchant_requirements_pb2.Requirements(**lists)


async def test_a_page_for_what_is_wanted_and_how_to_mend_it(guard: Guard) -> None:
    merchant = await guard.merchant(account=ACCOUNT)
    due = ["interv_abc.supportability_rejection.form", "company.tax_id"]
    guard.merchants.add(
        ACCOUNT,
        requirements=requirements(currently_due=due, eventually_due=[*due, "individual.id_number"]),
    )
    made = await guard.requirements.CreateRequirementLink(request(merchant))
    assert made.url == "https://connect.example/1"
    assert made.HasField("expire_time")
    assert made.collection == pb.LINK_COLLECTION_CURRENTLY_DUE
    assert sorted(item.field for item in made.requirements) == sorted(due)
    assert {item.field for item in made.requirements if item.hosted_only} == {due[0]}
    assert all(item.guidance.words and item.guidance.fix for item in made.requirements)
    (asked,) = guard.merchants.links
    assert asked.kind == gateway_pb.ONBOARDING_LINK_KIND_ONBOARDING
    assert asked.merchant_id == f"mrc_{ACCOUNT}"
    assert asked.currently_due_only
    assert not asked.with_future_requirements

    # The same request is the same page, whatever is wanted by then; its address is kept nowhere.
    future = requirements(currently_due=["company.name"])
    future.current_deadline_time.FromDatetime(guard.clock.now() + timedelta(days=30))
    guard.merchants.add(
        ACCOUNT, requirements=requirements(currently_due=due), future_requirements=future
    )
    guard.clock.advance(timedelta(minutes=6))
    assert await guard.requirements.CreateRequirementLink(request(merchant)) == made
    assert guard.merchants.links == [asked, asked]
    other = await guard.requirements.CreateRequirementLink(request(merchant, "link-2"))
    assert other.collection == pb.LINK_COLLECTION_WITH_ANNOUNCED
    assert "company.name" in [item.field for item in other.requirements]
    assert guard.merchants.links[-1].currently_due_only
    assert guard.merchants.links[-1].with_future_requirements

    reused = request(merchant)
    reused.return_url = "https://shop.example/elsewhere"
    refused = await failure(guard.requirements.CreateRequirementLink(reused))
    assert (refused.reason, refused.metadata["differing_fields"]) == (
        "REQUEST_ID_REUSED",
        "return_url",
    )


async def test_what_stands_against_a_page(guard: Guard) -> None:
    merchant = await guard.merchant(account=ACCOUNT)
    guard.merchants.add(ACCOUNT, requirements=requirements(pending_verification=["company.name"]))
    create = guard.requirements.CreateRequirementLink
    assert (await failure(create(request(merchant)))).reason == "NOTHING_WANTED"
    assert (await failure(create(request("nobody")))).reason == "SUBJECT_NOT_FOUND"
    alone = await guard.merchant(account=None)
    assert (await failure(create(request(alone)))).reason == "ACCOUNT_NOT_LINKED"

    guard.merchants.add(ACCOUNT, requirements=requirements(eventually_due=["company.name"]))
    guard.merchants.link_error = ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ONBOARDING_LINK_EXPIRED,
        "expired",
        metadata={"merchant_id": "mrc"},
    )
    guard.clock.advance(timedelta(minutes=6))
    expired = await failure(create(request(merchant, "link-2")))
    assert expired.reason == "REQUIREMENT_LINK_EXPIRED"
    guard.merchants.link_error = ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_INVALID_MERCHANT_STATE,
        "left",
        metadata={"merchant_id": "mrc", "merchant_state": "DISCONNECTED"},
    )
    refused = await failure(create(request(merchant, "link-2")))
    assert refused.reason == "REQUIREMENT_LINK_REFUSED"
    assert refused.metadata["gateway_reason"] == "INVALID_MERCHANT_STATE"
    guard.merchants.link_error = None
    guard.merchants.is_down = True
    down = await failure(create(request(merchant, "link-2")))
    assert (down.code, down.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "DEPENDENCY_UNAVAILABLE",
    )
    guard.merchants.is_down = False
    made = await create(request(merchant, "link-2"))
    assert made.collection == pb.LINK_COLLECTION_EVENTUALLY_DUE
    assert not guard.merchants.links[-1].currently_due_only


@pytest.mark.parametrize(
    ("only", "future", "fields", "with_future"),
    [
        (False, False, "eventually_due", "include"),
        (False, True, "eventually_due", "include"),
        (True, False, "currently_due", "omit"),
        (True, True, "currently_due", "include"),
    ],
)
def test_what_the_gateway_asks_stripe_to_collect(
    only: bool, future: bool, fields: str, with_future: str
) -> None:
    asked = gateway_pb.CreateOnboardingLinkRequest(
        kind=gateway_pb.ONBOARDING_LINK_KIND_ONBOARDING,
        currently_due_only=only,
        with_future_requirements=future,
    )
    assert account_link_params(asked, "acct_1")["collection_options"] == {
        "fields": fields,
        "future_requirements": with_future,
    }

"""Customers: one object at Stripe per subject and corridor, whatever is lost on the way."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg

from gateway.v1 import customer_service_pb2 as pb
from gateway.v1.customer_pb2 import CustomerState
from runtime.clock import ManualClock
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer
from tests.gateway.running import refusal_of, running_gateway

S = CustomerState


def at_stripe(twin: Twin) -> list[dict[str, Any]]:
    return list(twin.account().objects("customer"))


async def test_a_customer_is_made_once_and_found_again(customers: Any, twin: Twin) -> None:
    made = (await customers.CreateCustomer(new_customer())).customer
    assert made.state == S.CUSTOMER_STATE_ACTIVE
    assert made.corridor == "default"
    again = (await customers.CreateCustomer(new_customer())).customer
    assert again == made
    [kept] = at_stripe(twin)
    assert kept["id"] == made.stripe_customer_id
    assert (kept["email"], kept["name"]) == ("ada@example.com", "Ada Mapleton")
    assert kept["metadata"]["tier"] == "gold"
    read = await customers.GetCustomer(pb.GetCustomerRequest(customer_id="ada"))
    assert read.customer == made
    assert twin.requests.posts_without_key == 0


async def test_another_body_under_the_same_id_is_refused_field_by_field(customers: Any) -> None:
    await customers.CreateCustomer(new_customer())
    for change, fields in (
        ({"customer_id": "bob"}, "customer_id"),
        ({"metadata": {"tier": "silver"}}, "metadata[tier]"),
        ({"name": "Bob"}, "email,name"),
    ):
        refused = await refusal_of(customers.CreateCustomer(new_customer(**change)))
        assert refused.reason == "REQUEST_ID_REUSED"
        assert refused.metadata["differing_fields"] == fields
    refused = await refusal_of(
        customers.DeleteCustomer(pb.DeleteCustomerRequest(request_id="create-1", customer_id="ada"))
    )
    assert refused.metadata["differing_fields"] == "method"


async def test_a_subject_has_one_customer_per_corridor_for_good_under_a_request(
    customers: Any, twin: Twin
) -> None:
    await customers.CreateCustomer(new_customer())
    for _ in range(2):
        refused = await refusal_of(customers.CreateCustomer(new_customer("create-2")))
        assert (refused.code, refused.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CUSTOMER_EXISTS")
    await customers.DeleteCustomer(pb.DeleteCustomerRequest(request_id="d-1", customer_id="ada"))
    refused = await refusal_of(customers.CreateCustomer(new_customer("create-2")))
    assert refused.reason == "CUSTOMER_EXISTS"
    anew = (await customers.CreateCustomer(new_customer("create-3"))).customer
    assert anew.state == S.CUSTOMER_STATE_ACTIVE
    assert len(at_stripe(twin)) == 1


async def test_calls_at_the_same_moment_make_one_customer(customers: Any, twin: Twin) -> None:
    answers = await asyncio.gather(
        *(customers.CreateCustomer(new_customer()) for _ in range(5)),
        *(refusal_of(customers.CreateCustomer(new_customer(name=f"{n}"))) for n in range(3)),
        return_exceptions=True,
    )
    won = {answer.customer.stripe_customer_id for answer in answers if hasattr(answer, "customer")}
    assert len(at_stripe(twin)) == 1
    assert len(won) <= 1


async def test_a_lost_answer_is_settled_with_the_same_key(customers: Any, twin: Twin) -> None:
    twin.add_fault(kind="reset", when="after", method="POST", path="/v1/customers")
    refused = await refusal_of(customers.CreateCustomer(new_customer(), timeout=3))
    assert refused.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    twin.faults.clear()
    made = (await customers.CreateCustomer(new_customer())).customer
    [kept] = at_stripe(twin)
    assert kept["id"] == made.stripe_customer_id
    keys = {request.idempotency_key for request in twin.requests.matching("POST", "/v1/customers")}
    assert len(keys) == 1


async def test_after_the_keys_life_the_customer_is_looked_for(
    database_url: str, twin: Twin
) -> None:
    clock = ManualClock(datetime.now(UTC))
    async with running_gateway(database_url, twin, clock) as running:
        twin.add_fault(kind="reset", when="after", method="POST", path="/v1/customers")
        await refusal_of(running.customers.CreateCustomer(new_customer(), timeout=3))
        twin.faults.clear()
        sent = len(twin.requests.matching("POST", "/v1/customers"))
        clock.advance(timedelta(hours=23, seconds=1))
        made = (await running.customers.CreateCustomer(new_customer())).customer
        [kept] = at_stripe(twin)
        assert kept["id"] == made.stripe_customer_id
        assert len(twin.requests.matching("POST", "/v1/customers")) == sent


async def test_what_describes_a_customer_goes_to_stripe_and_is_not_kept(
    customers: Any, twin: Twin, database_url: str
) -> None:
    await customers.CreateCustomer(new_customer())
    update = pb.UpdateCustomerRequest(
        request_id="u-1", customer_id="ada", email="new@example.com", metadata={"tier": ""}
    )
    updated = (await customers.UpdateCustomer(update)).customer
    assert (await customers.UpdateCustomer(update)).customer == updated
    [kept] = at_stripe(twin)
    assert (kept["email"], kept["name"]) == ("new@example.com", "Ada Mapleton")
    assert "tier" not in kept["metadata"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT row_to_json(customer)::text FROM customer"
            " UNION ALL SELECT encode(body, 'escape') FROM customer_request"
        ).fetchall()
    assert len(rows) == 3
    written = "".join(row[0] for row in rows)
    assert "example.com" not in written
    assert "Mapleton" not in written


async def test_a_deleted_customer_is_gone_and_stays_deleted(customers: Any, twin: Twin) -> None:
    await customers.CreateCustomer(new_customer())
    request = pb.DeleteCustomerRequest(request_id="d-1", customer_id="ada")
    deleted = (await customers.DeleteCustomer(request)).customer
    assert deleted.state == S.CUSTOMER_STATE_DELETED
    assert (await customers.DeleteCustomer(request)).customer == deleted
    assert not at_stripe(twin)
    refused = await refusal_of(
        customers.ListPaymentMethods(pb.ListPaymentMethodsRequest(customer_id="ada"))
    )
    assert refused.reason == "INVALID_CUSTOMER_STATE"
    assert refused.metadata["customer_state"] == "DELETED"


async def test_a_customer_that_is_gone_at_stripe_can_be_deleted(customers: Any, twin: Twin) -> None:
    await customers.CreateCustomer(new_customer())
    [kept] = at_stripe(twin)
    twin.account().objects("customer").remove(kept["id"])
    request = pb.DeleteCustomerRequest(request_id="d-1", customer_id="ada")
    assert (await customers.DeleteCustomer(request)).customer.state == S.CUSTOMER_STATE_DELETED


async def test_a_refusal_of_stripe_is_an_answer_and_frees_the_subject(
    customers: Any, twin: Twin
) -> None:
    failed = (await customers.CreateCustomer(new_customer(email="not an address"))).customer
    assert failed.state == S.CUSTOMER_STATE_FAILED
    assert failed.failure_code == "email_invalid"
    made = (await customers.CreateCustomer(new_customer("create-2"))).customer
    assert made.state == S.CUSTOMER_STATE_ACTIVE


async def test_pages_are_stable(customers: Any) -> None:
    for number in range(5):
        await customers.CreateCustomer(new_customer(f"c-{number}", customer_id=f"ada-{number}"))
    request = pb.ListCustomersRequest(page_size=2)
    seen: list[str] = []
    while True:
        page = await customers.ListCustomers(request)
        seen += [customer.customer_id for customer in page.customers]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == [f"ada-{number}" for number in range(5)]
    one = await customers.ListCustomers(pb.ListCustomersRequest(customer_id="ada-3"))
    assert [customer.customer_id for customer in one.customers] == ["ada-3"]
    none = await customers.ListCustomers(
        pb.ListCustomersRequest(state=S.CUSTOMER_STATE_DELETED, corridor="default")
    )
    assert not none.customers


async def test_what_is_not_there_is_said_precisely(customers: Any) -> None:
    refused = await refusal_of(customers.GetCustomer(pb.GetCustomerRequest(customer_id="nobody")))
    assert refused.reason == "CUSTOMER_NOT_FOUND"
    assert refused.metadata == {"customer_id": "nobody", "corridor": "default"}
    for list_them in (
        customers.ListCustomers(pb.ListCustomersRequest(page_token="forged", corridor="nowhere")),
        customers.ListPaymentMethods(
            pb.ListPaymentMethodsRequest(page_token="forged", customer_id="nobody")
        ),
    ):
        assert (await refusal_of(list_them)).reason == "INVALID_PAGE_TOKEN"
    refused = await refusal_of(customers.CreateCustomer(new_customer(corridor="nowhere")))
    assert refused.reason == "CORRIDOR_NOT_FOUND"

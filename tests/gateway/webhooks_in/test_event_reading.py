"""What is read from an event, and who deals with it."""

import json
from typing import Any

import pytest

from gateway.webhooks_in.event import NotAnEventError, StripeEvent, read_event
from gateway.webhooks_in.router import EventRouter, of_the_platform
from tests.gateway.webhooks_in.conftest import event_body


def test_handlers_are_found_by_type() -> None:
    async def one(_event: StripeEvent) -> None: ...

    async def other(_event: StripeEvent) -> None: ...

    router = EventRouter({"charge.*": one, "charge.dispute.created": other})
    assert router.handler_of("charge.updated") is one
    assert router.handler_of("charge.dispute.closed") is one
    assert router.handler_of("charge.dispute.created") is other
    assert router.handler_of("v1.charge.updated") is one, "a thin event of the same happening"
    assert router.handler_of("charges.updated") is None
    assert router.handler_of("charge") is None
    for wrong in ("*", "charge*", ""):
        with pytest.raises(ValueError, match="not a type"):
            EventRouter({wrong: one})


@pytest.mark.parametrize(
    ("values", "subject"),
    [
        ({"object": {"id": "pi_1", "object": "payment_intent"}}, "pi_1"),
        ({"object": {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}}, "pi_1"),
        ({"object": {"id": "re_1", "payment_intent": {"id": "pi_1"}}}, "pi_1"),
        ({"object": {"id": "ch_1", "object": "charge", "payment_intent": None}}, "ch_1"),
        ({"object": {"id": "acct_1", "object": "account"}, "account": "acct_1"}, "acct_1"),
        (
            {"object": {"id": "card_payments", "object": "capability", "account": "acct_1"}},
            "acct_1",
        ),
        ({"object": {"id": "ba_1", "object": "bank_account", "account": "acct_1"}}, "acct_1"),
        ({"object": {"id": "person_1", "object": "person"}, "account": "acct_1"}, "acct_1"),
        # What is a connected account's own is named with it, whichever field says whose it is.
        (
            {"object": {"id": "pi_1", "object": "payment_intent"}, "account": "acct_1"},
            "acct_1/pi_1",
        ),
        ({"object": {"id": "ch_1", "payment_intent": "pi_1"}, "account": "acct_1"}, "acct_1/pi_1"),
        ({"object": {"id": "po_1", "object": "payout"}, "context": "acct_1"}, "acct_1/po_1"),
        ({"object": {"id": "po_1", "object": "payout"}, "context": "org_1/acct_1"}, "acct_1/po_1"),
    ],
)
def test_events_are_serialised_by_what_they_are_about(values: dict[str, Any], subject: str) -> None:
    assert read_event(event_body(**values), "eu").subject == f"eu/{subject}"


def test_of_identity_nothing_is_read_that_is_personal_or_secret() -> None:
    session = {
        "id": "vs_1",
        "object": "identity.verification_session",
        "status": "verified",
        "type": "document",
        "created": 1_796_000_000,
        "livemode": False,
        "metadata": {"engine_verification_id": "vfn_1"},
        "redaction": None,
    }
    personal = {
        "client_secret": "vs_1_secret_1",
        "url": "https://verify.stripe.com/start/1",
        "verified_outputs": {"first_name": "Ada"},
        "provided_details": {"email": "ada@example.com"},
        "last_error": {"code": "document_expired", "reason": "Ada's passport"},
    }
    body = event_body("identity.verification_session.verified", object={**session, **personal})
    with_previous = json.loads(body)
    with_previous["data"]["previous_attributes"] = personal
    for sent in (body, json.dumps(with_previous)):
        read = read_event(sent, "default")
        assert (read.object, read.object_id, read.subject) == (session, "vs_1", "default/vs_1")
        assert json.loads(read.body)["data"] == {"object": session}
        assert read_event(read.body, "default") == read
    # Of everything else the body is what Stripe sent, byte for byte.
    plain = event_body(object={"id": "pi_1", "url": "https://shop.example"})
    assert read_event(plain, "default").body == plain


def test_thin_events_are_read_as_pointers() -> None:
    body = json.dumps(
        {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v2.core.account.updated",
            "created": "2026-11-22T12:00:00.000Z",
            "livemode": False,
            "context": "acct_1",
            "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/…"},
        }
    )
    read = read_event(body, "default")
    assert (read.stripe_account, read.object_id, read.subject) == (
        "acct_1",
        "acct_1",
        "default/acct_1",
    )


PARTS = [
    "v2.core.account[requirements].updated",
    "v2.core.account[future_requirements].updated",
    "v2.core.account[configuration.merchant].capability_status_updated",
]


@pytest.mark.parametrize("event_type", PARTS)
def test_an_event_about_a_part_is_one_about_the_whole(event_type: str) -> None:
    """As stripe-python 16.1 has them, `stripe.events`."""
    body = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": event_type,
        "created": "2026-11-22T12:00:00.000Z",
        "related_object": {"id": "acct_1", "type": "v2.core.account", "url": "/v2/…"},
    }
    read = read_event(json.dumps(body), "default")
    assert (read.event_type, read.subject) == (event_type, "default/acct_1")

    async def of_accounts(_event: StripeEvent) -> None: ...

    async def of_that(_event: StripeEvent) -> None: ...

    assert EventRouter({"v2.core.account.*": of_accounts}).handler_of(event_type) is of_accounts
    assert EventRouter({"v2.core.accounts.*": of_accounts}).handler_of(event_type) is None
    plain = event_type.partition("[")[0] + "." + event_type.rpartition(".")[2]
    routes = {"v2.core.account.*": of_accounts, plain: of_that}
    assert EventRouter(routes).handler_of(event_type) is of_that


@pytest.mark.parametrize(
    "event_type",
    [
        "v2.core.account[].updated",
        "v2.core.account[a.updated",
        "v2.core.account[A].updated",
        "v2[a].b",
    ],
)
def test_brackets_of_nothing_are_no_type_of_event(event_type: str) -> None:
    body = {"id": "evt_1", "object": "v2.core.event", "type": event_type, "created": 1}
    with pytest.raises(NotAnEventError, match="type is not one of Stripe's"):
        read_event(json.dumps(body), "default")


@pytest.mark.parametrize("context", ["acct_1", "org_1/acct_1"])
def test_a_thin_events_context_may_be_a_path(context: str) -> None:
    thin = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.charge.updated",
        "created": "2026-11-22T12:00:00Z",
        "livemode": False,
        "context": context,
        "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
    }
    assert read_event(json.dumps(thin), "default").stripe_account == "acct_1"


def test_whose_an_object_is_is_read_from_account_or_context() -> None:
    assert read_event(event_body(), "eu").stripe_account is None
    for values in (
        {"account": "acct_1"},
        {"account": None, "context": "acct_1"},
        {"context": "org_1/acct_1"},
        {"account": "acct_1", "context": "org_1/acct_1"},
    ):
        assert read_event(event_body(**values), "eu").stripe_account == "acct_1"
    for wrong in ("acct_1/", "org_1", 5, ["acct_1"]):
        with pytest.raises(NotAnEventError):
            read_event(event_body(context=wrong), "eu")


def test_an_event_says_whether_it_is_live() -> None:
    for mode in (True, False, None):
        assert read_event(event_body(livemode=mode), "eu").live_mode is mode
    for wrong in ("false", 0, 1):
        with pytest.raises(NotAnEventError):
            read_event(event_body(livemode=wrong), "eu")


async def test_what_is_the_platforms_is_not_asked_for_a_connected_account() -> None:
    handled: list[str] = []

    async def handler(event: StripeEvent) -> None:
        handled.append(event.event_id)

    router = EventRouter(of_the_platform({"charge.*": handler}))
    for values in ({"id": "evt_own"}, {"id": "evt_a", "account": "acct_1"}, {"context": "acct_1"}):
        event = read_event(event_body("charge.updated", **values), "eu")
        found = router.handler_of(event.event_type)
        assert found is not None
        await found(event)
    assert handled == ["evt_own"]

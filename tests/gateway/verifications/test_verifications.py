"""Verifications through the gateway: asked for once, their link a secret, followed by events and
without them, ended and redacted."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import database_behind
from gateway.identity import RequestIdentity
from gateway.stripe_client.corridors import single_corridor
from gateway.stripe_client.wiring import open_stripe_client
from gateway.v1 import verification_pb2
from gateway.v1 import verification_service_pb2 as pb
from gateway.v1.verification_service_pb2_grpc import VerificationServiceStub
from gateway.validation import VALIDATOR
from gateway.verifications.domain import FIRST_LOOK
from gateway.verifications.looking import AWAY, POLL_SECONDS
from gateway.verifications.stripe_events import Verifications
from gateway.webhooks_in.event import OutsideUnavailable, read_event
from runtime.clock import ManualClock, SystemClock
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.gateway.customers.conftest import new_customer
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway
from tests.gateway.verifications.conftest import DOCUMENT, created, new_verification, stands
from tests.gateway.webhooks_in.conftest import event_body
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

V = verification_pb2
SESSION = "identity.verification_session"
MINUTE = timedelta(minutes=1)


def sessions(twin: Twin) -> list[dict[str, Any]]:
    return list(twin.account().objects(SESSION))


async def link(verifications: Any, verification_id: str) -> Any:
    request = pb.CreateVerificationLinkRequest(verification_id=verification_id)
    return (await verifications.CreateVerificationLink(request)).link


async def reaches(verifications: Any, verification_id: str, state: int) -> Any:
    return await poll(
        lambda: stands(verifications, verification_id), lambda seen: seen.state == state
    )


async def test_asked_for_once_and_verified_by_an_event(
    gateway: RunningGateway, verifications: Any, twin: Twin, engine: AsyncEngine
) -> None:
    customer = (await gateway.customers.CreateCustomer(new_customer())).customer
    options = V.VerificationOptions(
        require_matching_selfie=True,
        require_live_capture=True,
        require_id_number=True,
        allowed_types=[V.VERIFICATION_DOCUMENT_TYPE_PASSPORT],
    )
    request = new_verification(options=options, return_url="https://shop.example/back")
    made = (await verifications.CreateVerification(request)).verification
    assert (made.state, made.subject_id) == (V.VERIFICATION_STATE_REQUIRES_INPUT, "ada")
    assert (made.options, made.corridor) == (options, "default")
    again = (await verifications.CreateVerification(request)).verification
    assert again.verification_id == made.verification_id
    [session] = sessions(twin)
    assert session["id"] == made.stripe_session_id
    assert session["client_reference_id"] == made.verification_id
    assert session["related_customer"] == customer.stripe_customer_id
    assert session["options"]["document"] == {
        "allowed_types": ["passport"],
        "require_id_number": True,
        "require_live_capture": True,
        "require_matching_selfie": True,
    }
    first, second = [await link(verifications, made.verification_id) for _ in range(2)]
    assert "" not in (first.url, first.client_secret)
    # One can be used once: each is another.
    assert (first.url == second.url, first.client_secret == second.client_secret) == (False, False)

    twin.finish_verification(session["id"], "document_expired")
    failed = await poll(
        lambda: stands(verifications, made.verification_id), lambda seen: bool(seen.error_code)
    )
    assert (failed.state, failed.error_code) == (
        V.VERIFICATION_STATE_REQUIRES_INPUT,
        "document_expired",
    )
    third = await link(verifications, made.verification_id)
    twin.finish_verification(session["id"])
    verified = await reaches(verifications, made.verification_id, V.VERIFICATION_STATE_VERIFIED)
    [event] = [one for one in twin.account().events.all() if one.kind == f"{SESSION}.verified"]
    # Of the event, which is in whole seconds, or of a look that came before it.
    assert abs(verified.verify_time.seconds - event.created) <= 1
    assert verified.error_code == ""
    refused = await refusal_of(link(verifications, made.verification_id))
    assert (refused.reason, refused.metadata["verification_state"]) == (
        "INVALID_VERIFICATION_STATE",
        "VERIFIED",
    )
    kept = await everything_kept(engine)
    for secret in (first, second, third):
        assert secret.url not in kept
        assert secret.client_secret not in kept
    assert "secret" not in kept
    # The twin's person.
    assert "Jenny" not in kept
    assert "Springfield" not in kept


async def everything_kept(engine: AsyncEngine) -> str:
    """All rows of what may have to do with verifications, as text."""
    tables = (
        *("verification", "verification_change", "verification_request", "operation"),
        *("webhook_event", "webhook_dead_letter"),
    )
    async with engine.connect() as connection:
        rows = [
            row
            for table in tables
            for row in await connection.execute(text(f"SELECT t::text FROM {table} AS t"))
        ]
    return json.dumps([str(row) for row in rows])


async def test_a_person_of_a_merchants_account_is_named(
    gateway: RunningGateway, verifications: Any, twin: Twin, dashboard: Shop
) -> None:
    merchant = (await gateway.merchants.CreateMerchant(new_merchant())).merchant
    account_id = merchant.connected_account_id
    person = await dashboard.api.accounts.persons.create_async(
        account_id, {"first_name": "Ada", "last_name": "Mapleton"}, fresh_key()
    )
    await created(verifications, merchant_id="shop-1", person_id=person.id)
    [session] = sessions(twin)
    assert session["related_person"] == {"account": account_id, "person": person.id}
    unknown = await created(verifications, "v-2", merchant_id="shop-1", person_id="person_404")
    assert (unknown.state, unknown.failure_code) == (
        V.VERIFICATION_STATE_FAILED,
        "resource_missing",
    )
    nobody = new_verification("v-3", merchant_id="shop-2", person_id=person.id)
    refused = await refusal_of(verifications.CreateVerification(nobody))
    assert refused.reason == "MERCHANT_NOT_FOUND"


async def test_canceled_and_redacted(verifications: Any, twin: Twin) -> None:
    first, second = [await created(verifications, name) for name in ("v-1", "v-2")]
    cancel = pb.CancelVerificationRequest(request_id="c-1", verification_id=first.verification_id)
    for _ in range(2):
        canceled = (await verifications.CancelVerification(cancel)).verification
        assert canceled.state == V.VERIFICATION_STATE_CANCELED
    # Once more under another id is no other cancellation.
    cancel.request_id = "c-2"
    await verifications.CancelVerification(cancel)
    # Stripe redacts what is verified or waits, and nothing else.
    redact = pb.RedactVerificationRequest(request_id="d-1", verification_id=first.verification_id)
    refused = await refusal_of(verifications.RedactVerification(redact))
    assert (refused.reason, refused.metadata) == (
        "INVALID_VERIFICATION_STATE",
        {
            "verification_id": first.verification_id,
            "verification_state": "CANCELED",
            "redaction": "",
        },
    )
    twin.finish_verification(second.stripe_session_id)
    await reaches(verifications, second.verification_id, V.VERIFICATION_STATE_VERIFIED)
    redact = pb.RedactVerificationRequest(request_id="d-2", verification_id=second.verification_id)
    for _ in range(2):
        redacted = (await verifications.RedactVerification(redact)).verification
        assert redacted.redaction == V.VERIFICATION_REDACTION_PROCESSING
        assert redacted.state == V.VERIFICATION_STATE_VERIFIED
    cancel = pb.CancelVerificationRequest(request_id="c-3", verification_id=second.verification_id)
    refused = await refusal_of(verifications.CancelVerification(cancel))
    assert refused.reason == "INVALID_VERIFICATION_STATE"
    twin.finish_redaction(second.stripe_session_id)
    done = await poll(
        lambda: stands(verifications, second.verification_id),
        lambda seen: seen.redaction == V.VERIFICATION_REDACTION_REDACTED,
    )
    assert done.state == V.VERIFICATION_STATE_VERIFIED
    posts = [request.path for request in twin.requests.matching("POST", "/v1/identity/")]
    assert [sum(path.endswith(verb) for path in posts) for verb in ("/cancel", "/redact")] == [1, 1]


async def test_a_redaction_of_what_waits_for_its_person_cancels_it(
    verifications: Any, twin: Twin
) -> None:
    made = await created(verifications)
    redact = pb.RedactVerificationRequest(request_id="d-1", verification_id=made.verification_id)
    redacted = (await verifications.RedactVerification(redact)).verification
    assert (redacted.state, redacted.redaction) == (
        V.VERIFICATION_STATE_CANCELED,
        V.VERIFICATION_REDACTION_PROCESSING,
    )
    assert sessions(twin)[0]["status"] == "canceled"


async def test_an_answer_that_was_lost_makes_no_second_session(
    verifications: Any, twin: Twin
) -> None:
    twin.add_fault(
        kind="reset", when="after", count=1, method="POST", path="/v1/identity/.*_sessions"
    )
    request = new_verification()
    with contextlib.suppress(grpc.aio.AioRpcError):
        await verifications.CreateVerification(request, timeout=3)
    made = (await verifications.CreateVerification(request)).verification
    assert made.state == V.VERIFICATION_STATE_REQUIRES_INPUT
    assert [item["id"] for item in sessions(twin)] == [made.stripe_session_id]


def documents(*types: Any) -> V.VerificationOptions:
    return V.VerificationOptions(allowed_types=types)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"request_id": ""}, "request_id"),
        ({"subject_id": ""}, "subject_id"),
        ({"subject_id": "a b"}, "subject_id"),
        ({"subject_id": "x" * 65}, "subject_id"),
        ({"type": 0}, "type"),
        ({"type": 7}, "type"),
        (
            {"type": V.VERIFICATION_TYPE_ID_NUMBER, "options": V.VerificationOptions()},
            "options",
        ),
        ({"options": documents(0)}, "options.allowed_types[0]"),
        ({"options": documents(1, 1)}, "options.allowed_types"),
        ({"options": documents(1, 2, 3, 1)}, "options.allowed_types"),
        ({"return_url": "http://shop.example"}, "return_url"),
        ({"merchant_id": "shop-1"}, "merchant_id"),
        ({"person_id": "person_1"}, "merchant_id"),
        ({"person_id": "ada", "merchant_id": "shop-1"}, "person_id"),
        (
            {"person_id": "person_1", "merchant_id": "shop-1", "corridor": "default"},
            "corridor",
        ),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], field: str) -> None:
    found = VALIDATOR.violations(new_verification(**changes))
    assert field in [violation.field for violation in found]


async def test_what_is_not_there(verifications: Any) -> None:
    for call in (
        link(verifications, "vfn_1"),
        stands(verifications, "vfn_1"),
        verifications.CancelVerification(
            pb.CancelVerificationRequest(request_id="c-1", verification_id="vfn_1")
        ),
        verifications.RedactVerification(
            pb.RedactVerificationRequest(request_id="d-1", verification_id="vfn_1")
        ),
    ):
        refused = await refusal_of(call)
        assert (refused.reason, refused.metadata) == (
            "VERIFICATION_NOT_FOUND",
            {"verification_id": "vfn_1"},
        )
    refused = await refusal_of(
        verifications.CreateVerification(new_verification(corridor="elsewhere"))
    )
    assert refused.reason == "CORRIDOR_NOT_FOUND"
    refused = await refusal_of(verifications.CreateVerification(new_verification(type=0)))
    assert [violation.field for violation in refused.violations] == ["type"]


async def test_lists_newest_first_by_subject_and_state(verifications: Any) -> None:
    made = [
        await created(verifications, f"v-{number}", subject_id=subject)
        for number, subject in enumerate(("ada", "ada", "bob"))
    ]
    request = pb.ListVerificationsRequest(page_size=2)
    pages = []
    while True:
        answer = await verifications.ListVerifications(request)
        pages.append([item.verification_id for item in answer.verifications])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    ids = [item.verification_id for item in reversed(made)]
    assert pages == [ids[:2], ids[2:]]
    of_ada = await verifications.ListVerifications(pb.ListVerificationsRequest(subject_id="ada"))
    assert [item.verification_id for item in of_ada.verifications] == ids[1:]
    verified = pb.ListVerificationsRequest(state=V.VERIFICATION_STATE_VERIFIED)
    assert not (await verifications.ListVerifications(verified)).verifications


async def changes_of(verifications: Any, count: int, **cursor: int) -> Sequence[Any]:
    """The next changes of the feed."""
    feed = verifications.WatchVerifications(pb.WatchVerificationsRequest(**cursor))
    try:
        async with asyncio.timeout(30):
            return [await feed.read() for _ in range(count)]
    finally:
        feed.cancel()


async def test_the_feed_tells_each_change_once_in_order(verifications: Any, twin: Twin) -> None:
    made = await created(verifications)
    twin.finish_verification(made.stripe_session_id)
    await reaches(verifications, made.verification_id, V.VERIFICATION_STATE_VERIFIED)
    first, *_ = told = await changes_of(verifications, 2)
    assert [one.verification.sequence for one in told] == [1, 2]
    assert first.verification.state == V.VERIFICATION_STATE_REQUIRES_INPUT
    assert {one.epoch for one in told} == {0}
    [second] = await changes_of(verifications, 1, after_sequence=1)
    assert second == told[1]
    feed = verifications.WatchVerifications(pb.WatchVerificationsRequest(after_sequence=99))
    refused = await refusal_of(feed.read())
    assert refused.reason == "CURSOR_OUTDATED"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def deaf(
    database_url: str, twin: Twin, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """A gateway that no webhook reaches."""
    monkeypatch.setattr("gateway.verifications.looking.POLL_SECONDS", 0.05)
    async with running_gateway(database_url, twin, clock, webhooks=False) as running:
        yield VerificationServiceStub(running.channel)


async def test_without_webhooks_it_is_looked_at(deaf: Any, twin: Twin, clock: ManualClock) -> None:
    assert POLL_SECONDS > 0.05
    made = await created(deaf)
    twin.finish_verification(made.stripe_session_id, "abandoned")
    clock.advance(FIRST_LOOK)
    failed = await poll(
        lambda: stands(deaf, made.verification_id), lambda seen: bool(seen.error_code)
    )
    assert failed.error_code == "abandoned"
    # Stripe is away when the next look is due: it is looked at again a minute later.
    fault = twin.add_fault(kind="error", method="GET", path="/v1/identity/.*", status=500)
    looked = len(twin.requests.matching("GET", "/v1/identity/"))
    clock.advance(FIRST_LOOK)

    async def looks() -> int:
        return len(twin.requests.matching("GET", "/v1/identity/"))

    await poll(looks, lambda count: count > looked)
    twin.faults.clear(fault)
    twin.finish_verification(made.stripe_session_id)

    async def later() -> Any:
        clock.advance(AWAY)
        return await stands(deaf, made.verification_id)

    verified = await poll(later, lambda seen: seen.state == V.VERIFICATION_STATE_VERIFIED)
    assert verified.HasField("verify_time")


async def test_one_that_the_database_lost_comes_back_with_its_next_event(
    verifications: Any, twin: Twin, database_url: str
) -> None:
    made = await created(verifications, options=V.VerificationOptions(require_live_capture=True))
    before = made.verification_id
    tables = ("verification", "verification_request", "operation", "verification_change")
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        for table in tables:
            await connection.execute(f"DELETE FROM {table}")
    assert (await refusal_of(stands(verifications, before))).reason == "VERIFICATION_NOT_FOUND"
    twin.finish_verification(made.stripe_session_id)

    async def found() -> Any:
        listed = await verifications.ListVerifications(pb.ListVerificationsRequest())
        return list(listed.verifications)

    [back] = await poll(
        found, lambda all_of: [one.state for one in all_of] == [V.VERIFICATION_STATE_VERIFIED]
    )
    for name in ("verification_id", "subject_id", "corridor", "type", "options"):
        assert getattr(back, name) == getattr(made, name)
    # Its request is known again, with what it asked for.
    request = new_verification(options=V.VerificationOptions(require_live_capture=True))
    again = (await verifications.CreateVerification(request)).verification
    assert (again.verification_id, again.state) == (back.verification_id, back.state)
    other = new_verification(subject_id="bob")
    assert (await refusal_of(verifications.CreateVerification(other))).reason == (
        "REQUEST_ID_REUSED"
    )
    assert len(sessions(twin)) == 1


class ClosedGate:
    """The gate of a database that has lost something."""

    closed = True

    def check(self) -> None:
        raise database_behind()


async def test_while_the_database_is_behind_events_wait(
    verifications: Any, twin: Twin, engine: AsyncEngine
) -> None:
    made = await created(verifications)
    [session] = sessions(twin)
    corridor = single_corridor(SecretStr(twin.account().secret_key), twin.url, [])
    event = read_event(event_body(f"{SESSION}.canceled", object=session), "default")
    async with open_stripe_client([corridor], engine) as opened:
        handler = Verifications(
            engine, opened.client, RequestIdentity("default"), ClosedGate(), SystemClock()
        )
        with pytest.raises(OutsideUnavailable):
            await handler.apply(event)
    assert (await stands(verifications, made.verification_id)).sequence == 1


async def test_sessions_of_others_are_left_alone(
    verifications: Any, twin: Twin, dashboard: Shop
) -> None:
    made = await created(verifications)
    [ours] = sessions(twin)
    create = dashboard.api.identity.verification_sessions.create_async
    foreign = await create({"type": "document"}, fresh_key())
    # Metadata can be copied.
    copied = await create({"type": "document", "metadata": dict(ours["metadata"])}, fresh_key())
    for session_id in (foreign.id, copied.id, made.stripe_session_id):
        twin.finish_verification(session_id)
    verified = await reaches(verifications, made.verification_id, V.VERIFICATION_STATE_VERIFIED)
    assert verified.stripe_session_id == made.stripe_session_id
    listed = await verifications.ListVerifications(pb.ListVerificationsRequest())
    assert len(listed.verifications) == 1
    assert listed.verifications[0].type == DOCUMENT

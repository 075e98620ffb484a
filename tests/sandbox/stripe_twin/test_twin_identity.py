"""Identity: a person proves who she is, fails to, and is forgotten."""

import re
from typing import Any, get_type_hints

import aiohttp
import pytest
import stripe

from sandbox.stripe_twin import Twin
from sandbox.stripe_twin.identity import ERRORS, begin_verification
from tests.sandbox.stripe_twin.sdk_types import problems
from tests.sandbox.stripe_twin.shop import Shop, fresh_key


async def new_session(
    shop: Shop, reference: str = "subject-1"
) -> stripe.identity.VerificationSession:
    return await shop.api.identity.verification_sessions.create_async(
        {
            "type": "document",
            "client_reference_id": reference,
            "provided_details": {"email": "ada@shop.test"},
            "options": {"document": {"require_matching_selfie": True}},
        },
        fresh_key(),
    )


async def test_a_document_is_refused_then_accepted(shop: Shop, twin: Twin) -> None:
    sessions = shop.api.identity.verification_sessions
    created = await new_session(shop)
    assert (created.status, created.url is None) == ("requires_input", False)

    twin.finish_verification(created.id, "document_expired")

    refused = await sessions.retrieve_async(created.id, {"expand": ["last_verification_report"]})
    assert (refused.status, refused.last_error is None) == ("requires_input", False)
    assert refused.last_error is not None
    assert refused.last_error.code == "document_expired"
    report = refused.last_verification_report
    assert isinstance(report, stripe.identity.VerificationReport)
    assert report.document is not None
    assert report.document.status == "unverified"

    twin.finish_verification(created.id)

    plain = await sessions.retrieve_async(created.id)
    assert plain.verified_outputs is None
    verified = await sessions.retrieve_async(created.id, {"expand": ["verified_outputs"]})
    assert problems(stripe.identity.VerificationSession, verified.to_dict()) == []
    assert (verified.status, verified.client_secret, verified.url) == ("verified", None, None)
    assert verified.verified_outputs is not None
    assert verified.verified_outputs.email == "ada@shop.test"
    reports = shop.api.identity.verification_reports
    assert len((await reports.list_async({"verification_session": created.id})).data) == 2
    with pytest.raises(ValueError, match="is verified"):
        twin.finish_verification(created.id)
    assert await shop.event_types() == [
        "identity.verification_session.created",
        "identity.verification_session.processing",
        "identity.verification_session.requires_input",
        "identity.verification_session.processing",
        "identity.verification_session.verified",
    ]


async def test_a_person_is_forgotten(shop: Shop, twin: Twin) -> None:
    created = await new_session(shop)
    twin.finish_verification(created.id)
    sessions = shop.api.identity.verification_sessions
    asked = await sessions.redact_async(created.id, None, fresh_key())
    assert asked.redaction is not None
    # It takes Stripe up to four days.
    assert (asked.status, asked.redaction.status) == ("verified", "processing")
    assert await shop.event_types() == [
        f"identity.verification_session.{name}" for name in ("created", "processing", "verified")
    ]
    twin.finish_redaction(created.id)
    redacted = await sessions.retrieve_async(created.id, {"expand": ["verified_outputs"]})
    assert redacted.redaction is not None
    assert (redacted.redaction.status, redacted.metadata.to_dict()) == ("redacted", {})
    assert (await shop.event_types())[-1] == "identity.verification_session.redacted"
    assert redacted.verified_outputs is not None
    assert redacted.verified_outputs.first_name == "[redacted]"
    (report,) = (await shop.api.identity.verification_reports.list_async()).data
    assert report.document is not None
    assert (report.document.first_name, report.document.files) == ("[redacted]", [])
    with pytest.raises(stripe.InvalidRequestError, match="redacted already"):
        await sessions.redact_async(created.id, None, fresh_key())
    with pytest.raises(ValueError, match="not being redacted"):
        twin.finish_redaction(created.id)


async def test_only_what_is_verified_or_waits_is_redacted(shop: Shop, twin: Twin) -> None:
    sessions = shop.api.identity.verification_sessions
    waiting = await sessions.redact_async((await new_session(shop)).id, None, fresh_key())
    assert waiting.redaction is not None
    assert (waiting.status, waiting.redaction.status) == ("canceled", "processing")
    for status, make in (("canceled", "cancel"), ("processing", "process")):
        created = await new_session(shop)
        if make == "cancel":
            await sessions.cancel_async(created.id, None, fresh_key())
        else:
            account, item = twin.state.locate("identity.verification_session", created.id)
            begin_verification(account, item)
        with pytest.raises(stripe.InvalidRequestError, match=f"a status of {status}"):
            await sessions.redact_async(created.id, None, fresh_key())


async def test_a_link_is_new_each_time_while_the_session_waits(shop: Shop, twin: Twin) -> None:
    sessions = shop.api.identity.verification_sessions
    created = await new_session(shop)
    seen = await sessions.retrieve_async(created.id)
    assert None not in (created.url, seen.url, created.client_secret)
    assert (created.url == seen.url, created.client_secret == seen.client_secret) == (False, False)
    twin.finish_verification(created.id, "abandoned")
    again = await sessions.retrieve_async(created.id)
    assert again.url not in (None, created.url, seen.url)


def codes_of_the_sdk() -> set[str]:
    hint = get_type_hints(stripe.identity.VerificationSession.LastError)["code"]
    return set(re.findall(r"'([a-z_]+)'", str(hint)))


async def test_every_error_of_the_sdk_can_be_played(shop: Shop, twin: Twin) -> None:
    created = await new_session(shop)
    assert codes_of_the_sdk() == set(ERRORS)
    for code in sorted(ERRORS):
        twin.finish_verification(created.id, code)
        seen = await shop.api.identity.verification_sessions.retrieve_async(created.id)
        assert seen.last_error is not None
        assert (seen.status, seen.last_error.code) == ("requires_input", code)


async def test_what_stripe_refuses_is_refused(shop: Shop) -> None:
    create = shop.api.identity.verification_sessions.create_async
    wrong: list[tuple[Any, str]] = [
        ({}, "type"),
        ({"type": "document", "related_customer": "cus_1"}, "related_customer"),
        (
            {"type": "document", "related_person": {"account": "acct_1", "person": "person_1"}},
            "related_person[account]",
        ),
        (
            {"type": "document", "options": {"document": {"allowed_types": ["library_card"]}}},
            "options[document][allowed_types]",
        ),
    ]
    for params, param in wrong:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await create(params, fresh_key())
        assert refused.value.param == param


async def test_a_session_is_canceled_and_found_by_its_reference(shop: Shop) -> None:
    sessions = shop.api.identity.verification_sessions
    created = await new_session(shop)
    other = await new_session(shop, "subject-2")
    canceled = await sessions.cancel_async(created.id, None, fresh_key())
    assert (canceled.status, canceled.client_secret) == ("canceled", None)
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        await sessions.update_async(created.id, {"metadata": {"a": "b"}}, fresh_key())
    found = await sessions.list_async({"client_reference_id": "subject-2"})
    assert [item.id for item in found.data] == [other.id]
    waiting = await sessions.list_async({"status": "requires_input"})
    assert [item.id for item in waiting.data] == [other.id]


async def test_the_admin_api_plays_the_person(shop: Shop, twin: Twin) -> None:
    created = await new_session(shop)
    async with aiohttp.ClientSession(f"{twin.url}/_twin/identity/") as session:
        async with session.get(created.id) as page:
            assert "Identity test page" in await page.text()
        for step, status, result in [
            ("process", 200, "processing"),
            ("process", 409, None),
            ("fail/selfie_face_mismatch", 200, "requires_input"),
            ("fail/no_such_error", 409, None),
            ("verify", 200, "verified"),
            ("forget", 404, None),
        ]:
            async with session.post(f"{created.id}/{step}") as response:
                assert response.status == status
                assert (await response.json()).get("status") == result

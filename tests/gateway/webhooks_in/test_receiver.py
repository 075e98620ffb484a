"""What intake takes, and what it refuses without a trace."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import text

from gateway.stripe_client.corridors import Corridor
from gateway.webhooks_in.buffer import PostgresBuffer
from gateway.webhooks_in.inbox import PostgresInbox
from gateway.webhooks_in.receiver import MAX_BODY_BYTES, TEST_EVENT, WebhookReceiver
from gateway.webhooks_in.signature import find_signature_problem
from runtime.clock import ManualClock
from runtime.counted_log import LINE_SECONDS
from tests.gateway.webhooks_in.conftest import (
    OTHER_SECRET,
    ROLLED_SECRET,
    SECRET,
    START,
    Intake,
    event_body,
    signature,
)


async def test_a_signed_event_is_stored_once(intake: Intake) -> None:
    body = event_body()
    for _ in range(3):
        assert await intake.post(body, signature(body)) == (200, {"received": True})
    assert await intake.stored() == 1


async def test_the_body_is_kept_as_it_was_signed(intake: Intake) -> None:
    body = event_body(
        note="é \\u0000 \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    )
    spaced = json.dumps(json.loads(body), indent=3)
    status, _ = await intake.post(spaced, signature(spaced))
    assert status == 200
    async with intake.engine.connect() as connection:
        kept = (await connection.execute(text("SELECT body FROM webhook_event"))).scalar_one()
    assert kept == spaced


async def test_every_active_secret_counts(intake: Intake) -> None:
    for secret in (SECRET, ROLLED_SECRET):
        body = event_body()
        status, _ = await intake.post(body, signature(body, secret))
        assert status == 200
    body = event_body()
    both = signature(body, "whsec_unknown") + "," + signature(body, SECRET).split(",")[1]
    assert (await intake.post(body, both))[0] == 200


@pytest.mark.parametrize("age", [-299, 299])
async def test_clocks_may_differ_a_little(intake: Intake, age: int) -> None:
    body = event_body()
    header = signature(body, when=START - timedelta(seconds=age))
    assert (await intake.post(body, header))[0] == 200


def forged(body: str) -> str:
    return signature(body, "whsec_forger")


def changed(_body: str) -> str:
    return signature(event_body(amount=1_000_000))


@pytest.mark.parametrize(
    ("header_of", "reason"),
    [
        (lambda _body: None, "signature_missing"),
        (lambda _body: "", "signature_missing"),
        (lambda _body: "nonsense", "signature_malformed"),
        (lambda _body: "t=12", "signature_malformed"),
        (lambda body: signature(body).split(",")[1], "signature_malformed"),
        (lambda body: signature(body, scheme="v0"), "signature_malformed"),
        (lambda body: "t=1," + signature(body), "signature_malformed"),
        (lambda body: signature(body).replace("t=", "t=+"), "signature_malformed"),
        (lambda body: signature(body).replace("t=", "t=0"), "signature_malformed"),
        (lambda body: signature(body) + ",v1=" + "0" * 5000, "signature_malformed"),
        (forged, "signature_mismatch"),
        (changed, "signature_mismatch"),
        (lambda body: signature(body, ""), "signature_mismatch"),
        (lambda body: signature(body, OTHER_SECRET), "signature_mismatch"),
        (
            lambda body: signature(body).upper().replace("T=", "t=").replace("V1", "v1"),
            "signature_mismatch",
        ),
        (lambda body: signature(body, when=START - timedelta(seconds=301)), "signature_too_old"),
        (lambda body: signature(body, when=START + timedelta(seconds=301)), "signature_in_future"),
    ],
)
async def test_what_stripe_did_not_sign_now_is_refused(
    intake: Intake, header_of: Any, reason: str
) -> None:
    body = event_body()
    status, answer = await intake.post(body, header_of(body))
    assert status == 400
    assert answer == {"error": reason}
    assert await intake.stored() == 0


async def test_refusals_are_logged_in_one_line_a_second_with_their_number(
    intake: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    body = event_body()
    began = time.monotonic()
    for _ in range(100):
        await intake.post(body, None)
        await intake.post(body, forged(body), "live")
    lines = capsys.readouterr().out.count("webhooks_refused")
    assert 1 <= lines <= 1 + (time.monotonic() - began) / LINE_SECONDS


async def test_two_signature_headers_are_refused(intake: Intake) -> None:
    body = event_body()
    headers = [("Stripe-Signature", signature(body)), ("Stripe-Signature", forged(body))]
    async with intake.http.post(
        f"{intake.url}/webhooks/stripe/default", data=body, headers=headers
    ) as response:
        assert response.status == 400
        assert await response.json() == {"error": "signature_missing"}
    assert await intake.stored() == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not JSON", "not_an_event"),
        ("[]", "not_an_event"),
        ("null", "not_an_event"),
        ("[" * 100_000, "not_an_event"),
        ("{}", "not_an_event"),
        (b'{"id": "\xff"}', "not_utf8"),
        (b'{"id": "\x00"}', "not_an_event"),
        (event_body(object=None), "not_an_event"),
        (event_body(id="evt_'; DROP TABLE webhook_event"), "not_an_event"),
        (event_body(id="evt_" + "x" * 300), "not_an_event"),
        (event_body(type="payment_intent"), "not_an_event"),
        (event_body(type="payment_intent.\ud800"), "not_an_event"),
        (event_body(created="yesterday"), "not_an_event"),
        (event_body(created=10**18), "not_an_event"),
        (event_body(created=True), "not_an_event"),
        (event_body(account="not an account"), "not_an_event"),
        (event_body(livemode=True), "wrong_mode"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_no_event_is_refused_though_it_is_signed(
    intake: Intake, body: str | bytes, reason: str
) -> None:
    assert await intake.post(body, signature(body)) == (400, {"error": reason})
    assert await intake.stored() == 0


async def test_a_live_endpoint_takes_note_of_test_events_and_keeps_none(intake: Intake) -> None:
    labels = {"corridor": "live", "result": TEST_EVENT}

    def count() -> float:
        return REGISTRY.get_sample_value("gateway_webhooks_received_total", labels) or 0

    before = count()
    thin: dict[str, Any] = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.charge.updated",
    }
    thin |= {"created": "2026-11-22T12:00:00Z", "context": "acct_1", "livemode": False}
    for body in (event_body(account="acct_1"), event_body(), json.dumps(thin)):
        assert await intake.post(body, signature(body), "live") == (200, {"received": True})
    assert count() == before + 3
    assert await intake.stored() == 0
    live = event_body(account="acct_1", livemode=True)
    assert (await intake.post(live, signature(live), "live"))[0] == 200
    assert await intake.stored() == 1
    # One that does not say is no test event.
    body = event_body(account="acct_1", livemode=None)
    assert await intake.post(body, signature(body), "live") == (400, {"error": "wrong_mode"})
    # Whoever did not sign for it learns nothing of modes.
    body = event_body(account="acct_1")
    assert await intake.post(body, forged(body), "live") == (400, {"error": "signature_mismatch"})


async def test_a_large_body_is_not_read_to_its_end(intake: Intake) -> None:
    body = b"x" * (MAX_BODY_BYTES + 1)
    assert await intake.post(body, signature(body)) == (413, {"error": "too_large"})

    async def chunks() -> Any:
        for _ in range(MAX_BODY_BYTES // 4096 + 2):
            yield b"x" * 4096

    async with intake.http.post(
        f"{intake.url}/webhooks/stripe/default", data=chunks(), headers={"Stripe-Signature": "t=1"}
    ) as response:
        assert response.status == 413
    assert await intake.stored() == 0


async def test_an_unknown_corridor_and_another_ones_event_are_refused(intake: Intake) -> None:
    body = event_body()
    assert await intake.post(body, signature(body), "nowhere") == (
        404,
        {"error": "unknown_corridor"},
    )
    assert await intake.post(body, signature(body), "backup") == (
        400,
        {"error": "signature_mismatch"},
    )
    assert (await intake.post(body, signature(body, OTHER_SECRET), "backup"))[0] == 200
    assert await intake.stored() == 1


async def test_only_post_is_served(intake: Intake) -> None:
    async with intake.http.get(f"{intake.url}/webhooks/stripe/default") as response:
        assert response.status == 405


async def test_when_the_event_cannot_be_stored_stripe_is_told_to_come_again(
    intake: Intake, capfd: pytest.CaptureFixture[str]
) -> None:
    async with intake.engine.begin() as connection:
        await connection.execute(text("SET LOCAL ROLE NONE"))
        await connection.execute(text("ALTER TABLE webhook_event RENAME TO gone"))
    body = event_body(object={"id": "pi_1", "receipt_email": "jenny@example.com"})
    assert await intake.post(body, signature(body)) == (503, {"error": "not_stored"})
    shown = capfd.readouterr()
    assert "jenny" not in shown.out + shown.err


def test_an_empty_secret_is_our_mistake(inbox: PostgresInbox, clock: ManualClock) -> None:
    for secrets in ([], [""], ["  "], [SECRET, ""]):
        with pytest.raises(ValueError, match="secret"):
            find_signature_problem(b"{}", signature("{}", ""), secrets, START)
    unsafe = Corridor(name="unsafe", api_key=SecretStr("sk_test_bench"))
    with pytest.raises(ValueError, match="no webhook secret"):
        WebhookReceiver([unsafe], PostgresBuffer(inbox, clock), clock)

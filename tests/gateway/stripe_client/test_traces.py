"""Traces and logs of calls to Stripe: what happened, and nothing about whom."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.telemetry import instrument_http_client
from tests.gateway.stripe_client.conftest import ONE_ATTEMPT, PATIENT_BREAKER, bench
from tests.gateway.stripe_client.scripted_stripe import Answer, ScriptedStripe, error
from tests.tracing import kept_spans

PERSONAL = ("jenny", "example.com", "4242", "sk_test", "key-1", "insufficient funds")


@pytest.fixture
async def spans() -> AsyncIterator[InMemorySpanExporter]:
    instrument_http_client()
    with kept_spans() as spans:
        yield spans


def shown(span: ReadableSpan) -> str:
    events = [dict(event.attributes or {}) for event in span.events]
    return f"{span.name} {dict(span.attributes or {})} {events} {span.status.description}"


async def test_each_request_is_a_client_span_inside_the_call(
    stripe_server: ScriptedStripe, spans: InMemorySpanExporter
) -> None:
    stripe_server.will(error(500, type="api_error"), Answer())
    async with bench(stripe_server.url, request_timeout_seconds=2, breaker=PATIENT_BREAKER) as it:
        await it.stripe_client.create_payment_intent("default", {"amount": 1}, "key-1")
    finished = spans.get_finished_spans()
    (call,) = [span for span in finished if span.name == "stripe payment_intents"]
    requests = [span for span in finished if span.kind is trace.SpanKind.CLIENT]
    assert len(requests) == 2
    assert call.attributes is not None
    assert call.attributes["gateway.outcome"] == "SUCCEEDED"
    assert call.attributes["gateway.attempts"] == 2
    assert call.context is not None
    assert {span.parent.span_id for span in requests if span.parent} == {call.context.span_id}


async def test_a_refusal_leaves_all_that_stripe_said_of_it_but_its_message(
    stripe_server: ScriptedStripe,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stripe_server.will(
        error(
            400, type="invalid_request_error", code="email_invalid", param="email", message="Jenny"
        )
    )
    async with bench(
        stripe_server.url, ONE_ATTEMPT, request_timeout_seconds=2, breaker=PATIENT_BREAKER
    ) as it:
        await it.stripe_client.customers.create_customer("default", {"email": "x"}, "key-1")
    (call,) = [span for span in spans.get_finished_spans() if span.name == "stripe customers"]
    assert call.attributes is not None
    said = {
        "code": "email_invalid",
        "type": "invalid_request_error",
        "param": "email",
        "request_id": "req_1",
    }
    for name, value in said.items():
        assert call.attributes[f"gateway.stripe_{name}"] == value
    output = capfd.readouterr()
    (line,) = [
        line for line in (output.out + output.err).splitlines() if "stripe_call_refused" in line
    ]
    for value in (*said.values(), "REJECTED", "400"):
        assert value in line
    assert "Jenny" not in line + shown(call)


async def test_nothing_personal_or_secret_is_shown(
    stripe_server: ScriptedStripe,
    spans: InMemorySpanExporter,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stripe_server.will(
        error(
            402,
            type="card_error",
            code="card_declined",
            message="Jenny's card 4242 has insufficient funds",
        ),
        Answer(500, "jenny@example.com broke it"),
        Answer(body={"object": "list", "data": [], "has_more": False, "url": "/v1/events"}),
    )
    async with bench(
        stripe_server.url, ONE_ATTEMPT, request_timeout_seconds=2, breaker=PATIENT_BREAKER
    ) as it:
        params = {"amount": 1, "receipt_email": "jenny@example.com"}
        await it.stripe_client.create_payment_intent("default", params, "key-1")
        await it.stripe_client.create_payment_intent("default", params, "key-1")
        await it.stripe_client.list_payment_intents("default", {"customer": "jenny@example.com"})
    text = " ".join(map(shown, spans.get_finished_spans()))
    output = capfd.readouterr()
    for personal in PERSONAL:
        assert personal not in text.lower()
        assert personal not in (output.out + output.err).lower()

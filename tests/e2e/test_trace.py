"""One payment is one trace: three services, their databases and the call to Stripe."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import compliance.__main__
import gateway.__main__
import ledger.__main__
from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from runtime.telemetry import instrument_http_client
from sandbox.addresses import Ports, at
from sandbox.clients import open_clients
from sandbox.demo.shop import Shop
from sandbox.stripe_twin import DEFAULT_ACCOUNT, running_twin
from sandbox.twin_admin import TwinAdmin
from tests.tracing import kept_spans

LOCAL = "127.0.0.1:0"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Keeps the spans that end during the test."""
    instrument_http_client()
    with kept_spans() as exporter:
        yield exporter


@pytest.fixture
async def shop_in_process(
    databases: Mapping[str, str], exporter: InMemorySpanExporter
) -> AsyncIterator[Shop]:
    """A shop on an engine whose services all run in this process, their HTTP clients traced."""
    ports = Ports.free()
    async with AsyncExitStack() as stack:
        twin = await stack.enter_async_context(running_twin(port=ports.stripe_twin))
        await stack.enter_async_context(
            ledger.__main__.open_service(
                LedgerSettings(
                    listen_address=at(ports.ledger),
                    http_address=LOCAL,
                    database_url=databases["LEDGER_DATABASE_URL"],
                )
            )
        )
        await stack.enter_async_context(
            compliance.__main__.open_service(
                ComplianceSettings(
                    listen_address=at(ports.compliance),
                    http_address=LOCAL,
                    database_url=databases["COMPLIANCE_DATABASE_URL"],
                    gateway_address=at(ports.gateway),
                )
            )
        )
        await stack.enter_async_context(
            gateway.__main__.open_service(
                GatewaySettings(
                    listen_address=at(ports.gateway),
                    http_address=at(ports.gateway_http),
                    database_url=databases["GATEWAY_DATABASE_URL"],
                    ledger_address=at(ports.ledger),
                    compliance_address=at(ports.compliance),
                    stripe_api_key=DEFAULT_ACCOUNT.secret_key,
                    stripe_api_base=twin.url,
                    stripe_webhook_secrets=DEFAULT_ACCOUNT.webhook_secret,
                )
            )
        )
        twin.register_webhook(f"http://{at(ports.gateway_http)}/webhooks/stripe/default")
        clients = await stack.enter_async_context(open_clients(ports))
        admin = await stack.enter_async_context(TwinAdmin.open(twin.url))
        yield Shop(clients, admin)


def attribute(span: ReadableSpan, name: str) -> str:
    return str((span.attributes or {}).get(name, ""))


def ancestors(span: ReadableSpan, by_id: Mapping[int, ReadableSpan]) -> list[str]:
    names = []
    parent = span.parent
    while parent is not None and parent.span_id in by_id:
        names.append(by_id[parent.span_id].name)
        parent = by_id[parent.span_id].parent
    return names


async def test_a_trace_spans_services_database_and_stripe(
    shop_in_process: Shop, exporter: InMemorySpanExporter
) -> None:
    shop = shop_in_process
    merchant = await shop.add_merchant("Fern & Finch Bookshop LLC")
    customer = await shop.add_customer("Ada Mapleton")
    exporter.clear()
    made = await shop.pay(merchant, customer, 33_00, "visa")
    await shop.settled(made.id)

    spans = exporter.get_finished_spans()
    begun = [span for span in spans if span.name == "/gateway.v1.PaymentService/CreatePayment"]
    assert len(begun) == 1
    assert begun[0].parent is None
    assert begun[0].context is not None
    ours = [
        span
        for span in spans
        if span.context is not None and span.context.trace_id == begun[0].context.trace_id
    ]
    names = Counter(span.name for span in ours)
    # Client and server side of each.
    assert names["/compliance.v1.ComplianceService/CheckPayment"] == 2
    assert names["/ledger.v1.LedgerService/BatchCreateTransactions"] >= 2

    # What is written by group commit, and reads without SQLAlchemy, have spans with names of ours.
    statements = {
        f"{span.name} {attribute(span, 'db.namespace')}"
        for span in ours
        if attribute(span, "db.system") == "postgresql"
    }
    for service in ("gateway", "compliance", "ledger"):
        assert any(service in statement for statement in statements), (service, statements)

    to_stripe = [
        span
        for span in ours
        if "/v1/payment_intents" in (attribute(span, "http.url") or attribute(span, "url.full"))
    ]
    assert len(to_stripe) == 1
    by_id = {span.context.span_id: span for span in ours if span.context is not None}
    assert "/gateway.v1.PaymentService/CreatePayment" in ancestors(to_stripe[0], by_id)

    # Nothing of who pays what is in the trace.
    everything = " ".join(str(span.to_json()) for span in ours)
    for private in ("Mapleton", "Bookshop", "pm_card_visa", DEFAULT_ACCOUNT.secret_key):
        assert private not in everything

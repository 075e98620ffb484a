"""The ledger is asked within the trace of the payment that the fact is about."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.bookkeeping.worker import BookkeepingWorker
from tests.gateway.bookkeeping.conftest import Gateway, hold
from tests.tracing import kept_spans

TRACER = trace.get_tracer(__name__)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as spans:
        yield spans


async def test_a_booking_is_a_part_of_its_payments_trace(
    gateway: Gateway, worker: BookkeepingWorker, spans: InMemorySpanExporter
) -> None:
    with TRACER.start_as_current_span("take a payment") as payment:
        await gateway.report(hold(1))
    await worker.run_once()
    (booking,) = [span for span in spans.get_finished_spans() if span.name == "book facts"]
    assert booking.context is not None
    assert booking.context.trace_id == payment.get_span_context().trace_id
    assert booking.parent is not None
    assert booking.parent.span_id == payment.get_span_context().span_id


async def test_a_batch_is_linked_to_each_of_its_traces(
    gateway: Gateway, worker: BookkeepingWorker, spans: InMemorySpanExporter
) -> None:
    traces = set()
    for payment in (1, 2):
        with TRACER.start_as_current_span("take a payment") as span:
            await gateway.report(hold(payment))
            traces.add(span.get_span_context().trace_id)
    await worker.run_once()
    (booking,) = [span for span in spans.get_finished_spans() if span.name == "book facts"]
    assert {link.context.trace_id for link in booking.links} == traces

"""What operators see of bookkeeping, and its traces. Alarm on `gateway_bookings_refused` above 0.

The trace of a payment goes on in its bookings, though another process books them later."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from opentelemetry.trace import Link, Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from runtime.telemetry import tracer

OUTCOMES = Counter(
    "gateway_booking_outcomes_total",
    "What became of attempts to book a fact: booked, refused, postponed, unavailable, lease_lost.",
    ["outcome"],
)
DELAY_SECONDS = Histogram(
    "gateway_booking_delay_seconds",
    "From the report of a fact to its booking.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600, 86400),
)
PENDING = Gauge("gateway_bookings_pending", "Facts that the ledger does not have yet.")
REFUSED = Gauge(
    "gateway_bookings_refused", "Facts that the ledger refused or that contradict another."
)
BEHIND = Gauge(
    "gateway_ledger_behind",
    "1 while nothing is booked because the ledger has not what it told that it has, else 0.",
)
LAG_SECONDS = Gauge("gateway_booking_lag_seconds", "Age of the oldest fact that is not booked.")


_W3C = TraceContextTextMapPropagator()
_TRACER = tracer(__name__)


def trace_parent() -> str | None:
    """The current span as a W3C `traceparent`; None outside of any trace."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent")


def booking_span(trace_parents: Iterable[str | None]) -> AbstractContextManager[Span]:
    """The span of one batch: a part of the trace it comes from, or linked to each of several."""
    parents = [
        _W3C.extract({"traceparent": parent})
        for parent in dict.fromkeys(trace_parents)
        if parent is not None
    ]
    if len(parents) == 1:
        return _TRACER.start_as_current_span("book facts", context=parents[0])
    links = [Link(get_current_span(parent).get_span_context()) for parent in parents]
    return _TRACER.start_as_current_span("book facts", links=links)

"""The trace of a payment goes on in its bookings, though another process books them later."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

from opentelemetry.trace import Link, Span, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runtime.telemetry import tracer

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

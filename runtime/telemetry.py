"""Traces: one per request, through every service, to an OTLP collector when one is set."""

import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from yarl import URL

# https://www.w3.org/TR/trace-context/#trace-id
TRACE_ID_BYTES = 16


def setup(service: str, otlp_endpoint: str | None) -> TracerProvider | None:
    """Installs this process's tracer; None, and nothing is traced, if spans have nowhere to go.

    A traced call costs about as much as an untraced one. What share of them is traced is the
    SDK's own setting, `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    """
    if otlp_endpoint is None:
        return None
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    exporter = OTLPSpanExporter(
        endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://")
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    instrument_http_client()
    return provider


def is_on() -> bool:
    """Whether this process traces at all."""
    return isinstance(trace.get_tracer_provider(), TracerProvider)


def instrument_http_client() -> None:
    """Traces outgoing HTTP; query strings stay out of it, for they can name people."""
    instrumentor = AioHttpClientInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(url_filter=_without_query)


def _without_query(url: URL) -> str:
    return str(url.with_query(None).with_user(None).with_fragment(None))


def child_span(
    of: trace.Tracer, name: str, attributes: Mapping[str, str]
) -> AbstractContextManager[object]:
    """A span of work for a call that is traced; nothing, and nearly free, for any other."""
    if not trace.get_current_span().is_recording():
        return nullcontext()
    return of.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)


def tracer(name: str) -> trace.Tracer:
    """The tracer of one module."""
    return trace.get_tracer(name)


def current_trace_id() -> str | None:
    """The trace id of the call being served, in hex; None outside of any."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None


def new_trace_id() -> str:
    """An id in the form of a trace's, for an error in a call that is not traced."""
    return secrets.token_hex(TRACE_ID_BYTES)

"""Traces: one per request, through every service, to an OTLP collector when one is set."""

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from yarl import URL


def setup(service: str, otlp_endpoint: str | None) -> TracerProvider:
    """Installs this process's tracer; without an endpoint spans are made but go nowhere.

    They are made all the same because logs and `INTERNAL` errors carry their trace ids.
    """
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}))
    if otlp_endpoint is not None:
        exporter = OTLPSpanExporter(
            endpoint=otlp_endpoint, insecure=otlp_endpoint.startswith("http://")
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    instrument_http_client()
    return provider


def instrument_http_client() -> None:
    """Traces outgoing HTTP; query strings stay out of it, for they can name people."""
    instrumentor = AioHttpClientInstrumentor()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument(url_filter=_without_query)


def _without_query(url: URL) -> str:
    return str(url.with_query(None).with_user(None).with_fragment(None))


def tracer(name: str) -> trace.Tracer:
    """The tracer of one module."""
    return trace.get_tracer(name)


def current_trace_id() -> str | None:
    """The trace id of the call being served, in hex; None outside of any."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None

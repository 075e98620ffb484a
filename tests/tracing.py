"""Traces in tests: every call has one, and its spans are kept where a test looks at them.

To record a span that nobody looks at costs more than the statement's way through the driver.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult


class WhereKept(Sampler):
    """Samples all while a test keeps spans, and nothing otherwise."""

    def __init__(self) -> None:
        self.keeping = 0

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Sequence[Any] | None = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        if self.keeping:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        return "where a test keeps spans"


_SAMPLER = WhereKept()


def install_tracer() -> None:
    """Gives every call a trace, as a service's process does that has a collector."""
    trace.set_tracer_provider(TracerProvider(sampler=_SAMPLER))


@contextmanager
def kept_spans() -> Iterator[InMemorySpanExporter]:
    """The spans that end while the block runs."""
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    _SAMPLER.keeping += 1
    try:
        yield exporter
    finally:
        _SAMPLER.keeping -= 1
        # A processor cannot be taken away; a shut-down exporter keeps nothing.
        exporter.shutdown()

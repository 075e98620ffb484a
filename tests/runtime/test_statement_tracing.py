"""SQL statements in traces: there, under their caller, and without what they were about."""

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from runtime.postgres import create_engine
from runtime.telemetry import tracer
from tests.tracing import kept_spans


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as exporter:
        yield exporter


async def test_a_statement_is_a_span_of_its_caller_without_values(
    new_database: Callable[[str], str], exporter: InMemorySpanExporter
) -> None:
    engine = create_engine(new_database("traced"), role=None, pool_size=1, application_name="test")
    with tracer("test").start_as_current_span("caller") as caller:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT :name || '!'"), {"name": "Ada Mapleton"})
    await engine.dispose()
    spans = [span for span in exporter.get_finished_spans() if span.name.startswith("SELECT")]
    ours = [s for s in spans if s.parent and s.parent.span_id == caller.get_span_context().span_id]
    found = [span for span in ours if "|| '!'" in str((span.attributes or {})["db.query.text"])]
    assert len(found) == 1
    assert found[0].attributes is not None
    assert found[0].attributes["db.system"] == "postgresql"
    assert str(found[0].attributes["db.namespace"]).startswith("test_traced_")
    assert "Mapleton" not in found[0].to_json()


async def test_a_failed_statement_says_its_kind_and_quotes_no_row(
    new_database: Callable[[str], str], exporter: InMemorySpanExporter
) -> None:
    engine = create_engine(new_database("traced"), role=None, pool_size=1, application_name="test")
    insert, person = text("INSERT INTO person VALUES (:name)"), {"name": "Ada Mapleton"}
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE person (name text PRIMARY KEY)"))
        await connection.execute(insert, person)
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(insert, person)
    await engine.dispose()
    inserts = [s for s in exporter.get_finished_spans() if s.name.startswith("INSERT")]
    assert [span.status.is_ok for span in inserts] == [True, False]
    assert (inserts[1].attributes or {})["error.type"] == "UniqueViolation"
    assert all("Mapleton" not in span.to_json() for span in inserts)

"""A span for each SQL statement of a SQLAlchemy engine.

opentelemetry-instrumentation-sqlalchemy refuses SQLAlchemy 2.1, and puts the server's message into
the span of a failed statement: it quotes rows, which may name people. Here the span of a failure
has the error's type; the statement's text has placeholders and never a value.
"""

from typing import Any

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine, ExceptionContext

from runtime.telemetry import tracer

MAX_STATEMENT_CHARACTERS = 1_000

_tracer = tracer(__name__)


def trace_statements(engine: Engine) -> None:
    """Makes a client span, a child of the current one, for each statement from now on.

    Attributes follow the semantic conventions for PostgreSQL:
    https://opentelemetry.io/docs/specs/semconv/database/postgresql/
    """
    database = engine.url.database or ""

    @event.listens_for(engine, "before_cursor_execute")
    def begin(
        _connection: Connection,
        _cursor: Any,
        statement: str,
        _parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        operation = statement.split(maxsplit=1)[0].upper() if statement.strip() else "EMPTY"
        span = _tracer.start_span(
            f"{operation} {database}",
            kind=SpanKind.CLIENT,
            attributes={
                "db.system": "postgresql",
                "db.namespace": database,
                "db.operation.name": operation,
                "db.query.text": statement[:MAX_STATEMENT_CHARACTERS],
            },
        )
        context.statement_span = span

    @event.listens_for(engine, "after_cursor_execute")
    def end(
        _connection: Connection,
        _cursor: Any,
        _statement: str,
        _parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        _end(context)

    @event.listens_for(engine, "handle_error")
    def fail(failure: ExceptionContext) -> None:
        _end(failure.execution_context, error=type(failure.original_exception).__name__)


def _end(context: Any, error: str | None = None) -> None:
    span: Span | None = getattr(context, "statement_span", None)
    if span is None:
        return  # The error came before or after a statement, such as at connecting.
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error))
        span.set_attribute("error.type", error)
    span.end()

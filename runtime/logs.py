"""JSON logs, one event a line, with the trace they belong to and never a secret."""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

from runtime.json_numbers import exact

# Keys whose values are secret or personal wherever they turn up, and texts that look like keys.
_HIDDEN_KEYS = re.compile(
    r"secret|password|token|authorization|api_key|private|database_url|card|name_line|birth|email",
    re.IGNORECASE,
)
_HIDDEN_TEXT = re.compile(
    r"\b(?:sk|rk|pk)_(?:live|test)_\w+|\bwhsec_\w+|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)|_secret_\w+"
)
_HIDDEN = "[hidden]"
MAX_LOGGED_FRAMES = 8


def get_logger(name: str) -> Any:
    """A structured logger: `log.info("event_in_words", key=value)`."""
    return structlog.stdlib.get_logger(name)


def place_of(error: BaseException) -> dict[str, Any]:
    """The error's type and the frames it passed through, without its message.

    The message of a database error quotes the row, which may name a person.
    """
    frames = traceback.extract_tb(error.__traceback__)[-MAX_LOGGED_FRAMES:]
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error_type": type(error).__name__, "places": places}


def configure(service: str, level: str) -> None:
    """Sends this process's logs, the libraries' too, to standard error as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service_adder(service),
        add_trace,
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                exact_numbers,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The SDK and the HTTP server log each request with its address; traces have that already.
    for chatty in ("stripe", "aiohttp.access", "alembic", "psycopg.pool"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _service_adder(service: str) -> structlog.typing.Processor:
    def add_service(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add_service


def add_trace(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Adds the ids of the current trace and span, if there is one."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def hide_secrets(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Blanks values under telling keys and texts that look like keys or passwords."""
    for key, value in event.items():
        if _HIDDEN_KEYS.search(key):
            event[key] = _HIDDEN
        elif isinstance(value, str):
            event[key] = _HIDDEN_TEXT.sub(_HIDDEN, value)
    return event


def exact_numbers(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Whole numbers that a reader of JSON might round, an amount for example, become strings."""
    for key, value in event.items():
        if type(value) is int:
            event[key] = exact(value)
    return event

"""Nothing secret gets into a log line, whoever writes it."""

import json
import logging
import subprocess
import sys

import pytest
from opentelemetry import trace

from runtime.logs import add_trace, hide_secrets

PROGRAM = """
import logging
from runtime import logs
logs.configure("echo", "INFO")
logs.get_logger("a").info("event", api_key="sk_test_1", url="postgresql://u:hush@h/d", amount=5)
logs.get_logger("a").info("large", amount=2**53, negative=-(2**63), limit=2**53 - 1, flag=True)
logging.getLogger("library").warning("used sk_live_abc and whsec_def")
"""


def test_lines_are_json_and_hold_no_secret() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    first, large, second = (json.loads(line) for line in ran.stderr.splitlines())
    assert (first["event"], first["service"], first["amount"]) == ("event", "echo", 5)
    assert first["api_key"] == "[hidden]"
    assert first["url"] == "postgresql://[hidden]@h/d"
    assert (large["amount"], large["negative"]) == ("9007199254740992", "-9223372036854775808")
    assert (large["limit"], large["flag"]) == (9007199254740991, True)
    assert second["event"] == "used [hidden] and [hidden]"


@pytest.mark.parametrize(
    "text", ["sk_live_51Habc", "rk_test_9", "whsec_x1", "pi_1_secret_2", "x://u:p@h"]
)
def test_texts_that_look_like_keys_are_hidden(text: str) -> None:
    event = hide_secrets(None, "", {"note": f"see {text} there"})
    assert text not in event["note"]


def test_lines_carry_the_trace_they_belong_to() -> None:
    with trace.get_tracer("test").start_as_current_span("work") as span:
        event = add_trace(None, "", {})
    assert event["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)
    logging.getLogger("silence").debug("outside of a span there is no id")
    assert "trace_id" not in add_trace(None, "", {})

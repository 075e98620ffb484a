"""House rules of the Stripe client, read from the source."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import stripe

from gateway.stripe_client import calls

ROOT = Path(__file__).parents[3]
STRIPE_CLIENT = ROOT / "gateway" / "stripe_client"
# Methods of the SDK's services that end in a POST, as far as the Stripe client use any.
READS = {"retrieve_async", "list_async", "search_async"}
DELETES = {"delete_async"}


def sdk_calls() -> list[tuple[str, ast.Call, list[ast.AST]]]:
    """Every call of an SDK service in the Stripe client, with the nodes around it."""
    found: list[tuple[str, ast.Call, list[ast.AST]]] = []

    def walk(path: Path, node: ast.AST, around: list[ast.AST]) -> None:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and ast.unparse(node.func).startswith("client.")
        ):
            found.append((f"{path.name}:{node.lineno}", node, around))
        for child in ast.iter_child_nodes(node):
            walk(path, child, [*around, node])

    for path in sorted(STRIPE_CLIENT.glob("*.py")):
        walk(path, ast.parse(path.read_text(encoding="utf-8")), [])
    return found


def wrapper_of(around: list[ast.AST]) -> str:
    """The method of StripeCalls that a call is handed to."""
    for node in reversed(around):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr
    return ""


def test_there_are_call_sites() -> None:
    assert len(sdk_calls()) > 20


@pytest.mark.parametrize("site", sdk_calls(), ids=lambda site: site[0])
def test_every_post_has_an_idempotency_key(site: tuple[str, ast.Call, list[ast.AST]]) -> None:
    _, call, around = site
    assert isinstance(call.func, ast.Attribute)
    method = call.func.attr
    assert method.endswith("_async"), "the SDK's blocking calls stop the event loop"
    expected = "get" if method in READS else "delete" if method in DELETES else "post"
    assert wrapper_of(around) == expected
    # The options carry the key, the account and nothing of the call site's own.
    assert ast.unparse(call.args[-1]) == "options"
    assert not call.keywords
    if expected == "post":
        function = next(node for node in reversed(around) if isinstance(node, ast.AsyncFunctionDef))
        parameters = [argument.arg for argument in function.args.args]
        assert "idempotency_key" in parameters
        defaults = len(function.args.defaults)
        required = parameters[: len(parameters) - defaults]
        assert "idempotency_key" in required, "a caller cannot leave the key out"


def test_only_the_rails_import_the_sdk() -> None:
    importers = set()
    for package in ("gateway", "ledger", "compliance", "runtime"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module or ""]
                if any(name.split(".")[0] == "stripe" for name in names):
                    importers.add(path.relative_to(ROOT).parent.as_posix())
    assert importers == {"gateway/stripe_client"}


def test_sdk_logging_of_customers_data_is_refused() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "from gateway.stripe_client.calls import _keep_sdk_silent as k; k()",
        ],
        cwd=ROOT,
        env={**os.environ, "STRIPE_LOG": "debug"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "STRIPE_LOG prints" in ran.stderr


def test_sdk_telemetry_is_off() -> None:
    calls._keep_sdk_silent()
    assert stripe.enable_telemetry is False

"""docs/unimplemented.md lists the RPCs that answer UNIMPLEMENTED: all of them, and no other."""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
SERVICES = ("ledger", "gateway", "compliance")
# How a handler says it by itself, and where that is defined.
RAISERS = {"unimplemented", "ERROR_REASON_UNIMPLEMENTED"}
DEFINITIONS = {"ledger/errors.py"}


def documented() -> list[str]:
    """The RPCs of the page's table, such as `ledger.v1.AuditService/GetCheckpoint`."""
    page = (PROJECT / "docs/unimplemented.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([\w.]+/\w+)` \|", page, re.MULTILINE)


def contract() -> Iterator[tuple[Any, type[Any], type[Any]]]:
    """Each gRPC service: its descriptor, the generated base, and the class that serves it.

    A service without a class of its own is served by the generated base.
    """
    for service in SERVICES:
        importlib.import_module(f"{service}.__main__")  # Imports every servicer.
        for path in sorted((PROJECT / "protos" / service / "v1").glob("*_service.proto")):
            module = importlib.import_module(f"{service}.v1.{path.stem}_pb2")
            stubs = importlib.import_module(f"{service}.v1.{path.stem}_pb2_grpc")
            for name, descriptor in module.DESCRIPTOR.services_by_name.items():
                base = getattr(stubs, f"{name}Servicer")
                served_by = [kind for kind in leaves(base) if kind.__module__.startswith(service)]
                assert len(served_by) == 1, f"one class serves {name}"
                yield descriptor, base, served_by[0]


def leaves(kind: type[Any]) -> list[type[Any]]:
    """The classes at the end of its line; itself, if nothing derives from it."""
    return [leaf for derived in kind.__subclasses__() for leaf in leaves(derived)] or [kind]


def names_in(tree: ast.AST) -> set[str]:
    """Every name and attribute that is used in a piece of code."""
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.Attribute))
    }


def raises_by_itself(handler: Any) -> bool:
    """Whether the handler's own code raises the error."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
    return any(names_in(node) & RAISERS for node in ast.walk(tree) if isinstance(node, ast.Raise))


def unimplemented() -> list[str]:
    """What the code does not implement: not overridden, or overridden by raising."""
    return [
        f"{descriptor.full_name}/{method.name}"
        for descriptor, base, servicer in contract()
        for method in descriptor.methods
        if getattr(servicer, method.name) is getattr(base, method.name)
        or raises_by_itself(getattr(servicer, method.name))
    ]


def test_the_page_lists_what_is_not_implemented() -> None:
    assert sorted(documented()) == sorted(unimplemented())


def test_most_of_the_contract_is_implemented() -> None:
    """Guards the reader of the code: one that finds nothing built would agree with a long page."""
    rpcs = {
        f"{descriptor.full_name}/{method.name}"
        for descriptor, _, _ in contract()
        for method in descriptor.methods
    }
    built = rpcs - set(unimplemented())
    assert {
        "gateway.v1.PaymentService/CreatePayment",
        "gateway.v1.PaymentService/WatchPayments",
        "ledger.v1.AuditService/VerifyLedger",
        "compliance.v1.ComplianceService/CheckPayment",
    } <= built
    assert len(built) > len(rpcs) / 2


def test_only_handlers_raise_it() -> None:
    """Code below a handler that raised it would be missed by the first test."""
    handlers = {
        Path(inspect.getfile(servicer)).relative_to(PROJECT).as_posix()
        for _, base, servicer in contract()
        if servicer is not base
    }
    users = {
        path.relative_to(PROJECT).as_posix()
        for service in SERVICES
        for path in (PROJECT / service).rglob("*.py")
        if "v1" not in path.parts
        and names_in(ast.parse(path.read_text(encoding="utf-8"))) & RAISERS
    }
    assert users <= handlers | DEFINITIONS | {"gateway/__main__.py"}

"""Every RPC of every proto is implemented, by exactly one class."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool

PROJECT = Path(__file__).parent.parent
SERVICES = ("ledger", "gateway", "compliance", "reconciliation")
# How a handler could say by itself that it is not built; nothing may.
SAYING_SO = {"UNIMPLEMENTED", "ERROR_REASON_UNIMPLEMENTED"}


def contract() -> Iterator[tuple[Any, type[Any], type[Any]]]:
    """Each gRPC service: its descriptor, the generated base, and the class that serves it."""
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
    """The classes that nothing derives from; itself, if nothing derives from it."""
    return [leaf for derived in kind.__subclasses__() for leaf in leaves(derived)] or [kind]


def raises_it(code: str) -> bool:
    """Whether a `raise` in the code names it, be it as a name, an attribute or a text."""
    raised = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Raise)]
    return any(names_in(node) & SAYING_SO for node in raised)


def names_in(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


def handlers() -> Iterator[tuple[str, Any, Any]]:
    """Each RPC by its full name, with what the generated base and the servicer have for it."""
    for descriptor, base, servicer in contract():
        for method in descriptor.methods:
            name = f"{descriptor.full_name}/{method.name}"
            yield name, getattr(base, method.name), getattr(servicer, method.name)


def test_every_rpc_is_implemented() -> None:
    assert [name for name, missing, handler in handlers() if handler is missing] == []


def test_no_code_of_a_service_says_that_something_is_not_built() -> None:
    saying_so = [
        path.relative_to(PROJECT).as_posix()
        for service in SERVICES
        for path in sorted((PROJECT / service).rglob("*.py"))
        if "v1" not in path.parts and raises_it(path.read_text(encoding="utf-8"))
    ]
    assert saying_so == []
    assert raises_it('def handler():\n    raise ERRORS.error(code, "UNIMPLEMENTED", "later")')


def test_amounts_are_of_one_type() -> None:
    """Clients have one type for the amounts of all services."""
    pool = descriptor_pool.Default()
    kinds = {
        field.message_type.full_name
        for path in sorted((PROJECT / "protos").glob("*/v1/*.proto"))
        for kind in importlib.import_module(
            f"{path.parent.parent.name}.v1.{path.stem}_pb2"
        ).DESCRIPTOR.message_types_by_name.values()
        for field in kind.fields
        if field.message_type is not None
    }
    amounts = {"currency_code", "minor_units"}
    assert {
        name for name in kinds if amounts <= set(pool.FindMessageTypeByName(name).fields_by_name)
    } == {"money.v1.Money"}


def test_the_whole_contract_is_looked_at() -> None:
    """Guards the reader of the code: one that finds no RPC would find none missing."""
    rpcs = {name for name, _, _ in handlers()}
    assert {
        "gateway.v1.PaymentService/CreatePayment",
        "gateway.v1.PaymentService/WatchPayments",
        "ledger.v1.AuditService/VerifyLedger",
        "compliance.v1.ComplianceService/CheckPayment",
        "compliance.v1.PolicyService/GetPolicyVersion",
    } <= rpcs
    assert len(rpcs) == sum(
        path.read_text(encoding="utf-8").count("\n  rpc ")
        for path in (PROJECT / "protos").glob("*/v1/*.proto")
    )

"""Compares an answer of the twin with the types that the SDK declares for it.

A field that the SDK does not know, a required one that is missing and a value of another type are
each reported, at every depth.
"""

import ast
import importlib
import inspect
import sys
import types
import typing
from functools import cache
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

from stripe import StripeObject

MAX_DEPTH = 20


def problems(kind: type, value: Any, path: str = "") -> list[str]:
    """What is wrong with a JSON object that should be a `kind`; empty if nothing is."""
    if len(path.split(".")) > MAX_DEPTH:
        raise RecursionError(path)
    if not isinstance(value, dict):
        return [f"{path}: expected {kind.__name__}, got {value!r}"]
    declared = _declared(kind)
    found = [f"{path}.{name}: unknown to the SDK" for name in value if name not in declared]
    for name, annotation in declared.items():
        if name in value:
            found += _check(annotation, value[name], f"{path}.{name}", kind)
        elif type(None) not in get_args(annotation) and name not in _OPTIONAL:
            found.append(f"{path}.{name}: missing")
    return found


# The SDK marks these as required although they are only on deleted or live objects.
_OPTIONAL = {"deleted"}


@cache
def _declared(kind: type) -> dict[str, Any]:
    declared: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, StripeObject) and base.__module__ != "stripe._stripe_object":
            declared |= {
                name: annotation
                for name, annotation in vars(base).get("__annotations__", {}).items()
                if not name.startswith("_") and "ClassVar" not in str(annotation)
            }
    if "object" not in declared and hasattr(kind, "OBJECT_NAME"):
        declared["object"] = str
    return declared


def _check(annotation: Any, value: Any, path: str, owner: type) -> list[str]:
    annotation = _resolved(annotation, owner)
    origin = get_origin(annotation)
    if annotation is Any:
        return []
    if origin in (Union, types.UnionType):
        return _check_union(get_args(annotation), value, path, owner)
    if origin is Literal:
        return [] if value in get_args(annotation) else [f"{path}: {value!r} is no {annotation}"]
    if origin is list:
        return _check_items(annotation, value, path, owner)
    if origin is dict or "UntypedStripeObject" in str(annotation):
        return [] if isinstance(value, dict) else [f"{path}: {value!r} is no map"]
    if origin is not None and issubclass(origin, StripeObject):
        return _check_page(annotation, value, path, owner)
    if annotation is StripeObject:
        return [] if isinstance(value, dict) else [f"{path}: {value!r} is no object"]
    if isinstance(annotation, type) and issubclass(annotation, StripeObject):
        return problems(annotation, value, path)
    return _check_scalar(annotation, value, path)


def _check_union(branches: tuple[Any, ...], value: Any, path: str, owner: type) -> list[str]:
    reports = [_check(branch, value, path, owner) for branch in branches]
    if any(not report for report in reports):
        return []
    # The branch that came closest is about what was meant.
    return max(reports, key=lambda report: max(len(line) for line in report))


def _check_items(annotation: Any, value: Any, path: str, owner: type) -> list[str]:
    if not isinstance(value, list):
        return [f"{path}: {value!r} is no list"]
    (item,) = get_args(annotation)
    return [
        line
        for index, child in enumerate(value)
        for line in _check(item, child, f"{path}[{index}]", owner)
    ]


def _check_page(annotation: Any, value: Any, path: str, owner: type) -> list[str]:
    """A `ListObject[Refund]` and the like."""
    (item,) = get_args(annotation)
    if not isinstance(value, dict) or value.get("object") not in ("list", "search_result"):
        return [f"{path}: {value!r} is no list object"]
    items = types.GenericAlias(list, (item,))
    return _check_items(items, value["data"], f"{path}.data", owner)


def _check_scalar(annotation: Any, value: Any, path: str) -> list[str]:
    if annotation is type(None):
        return [] if value is None else [f"{path}: {value!r} is not null"]
    if annotation is float:
        annotation = (int, float)
    if annotation is int and isinstance(value, bool):
        return [f"{path}: {value!r} is no number"]
    return [] if isinstance(value, annotation) else [f"{path}: {value!r} is no {annotation}"]


@cache
def _resolved(annotation: Any, owner: type) -> Any:
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    scope: Any = sys.modules[owner.__module__]
    names = _Names(vars(scope))
    names.imported = _imported(owner.__module__)
    for name in owner.__qualname__.split("."):
        scope = getattr(scope, name)
        names.update(vars(scope))
    return eval(annotation, {}, names)


class _Names(dict[str, Any]):
    """The names that an annotation may use: its scopes' own, then what its module imports."""

    imported: dict[str, tuple[str, str]]

    def __missing__(self, name: str) -> Any:
        if name in self.imported:
            module, original = self.imported[name]
            return getattr(importlib.import_module(module), original)
        return getattr(typing, name)


@cache
def _imported(module: str) -> dict[str, tuple[str, str]]:
    """What a module imports, also what it imports for type checkers only."""
    source = inspect.getsource(sys.modules[module])
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

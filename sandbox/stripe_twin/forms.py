"""Stripe's request encoding: `application/x-www-form-urlencoded` with brackets for nesting.

`card[number]=4242&expand[0]=latest_charge&expand[]=customer` becomes
`{"card": {"number": "4242"}, "expand": ["latest_charge", "customer"]}`. All leaves are strings.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

# Stripe refuses larger requests; this is far above what any call needs.
MAX_FIELDS = 2_000
MAX_DEPTH = 12

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_STEP = re.compile(r"\[([^\[\]]*)\]")
# Maps whose keys the caller chooses: digits in them are keys, not positions.
_FREE_FORM = frozenset({"metadata"})


class FormError(ValueError):
    """A body that is no bracketed form; the text says what is wrong with it."""


def decode_form(raw: str) -> dict[str, Any]:
    """Decodes a query string or a form body. Raises FormError."""
    try:
        pairs = parse_qsl(
            raw, keep_blank_values=True, strict_parsing=bool(raw), max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise FormError(f"Invalid request body: {error}") from error
    root: dict[str, Any] = {}
    nested = False
    for name, value in pairs:
        if "[" not in name:
            root[name] = value
            continue
        nested = True
        _insert(root, name, value)
    return _with_lists(root) if nested else root


def _insert(root: dict[str, Any], name: str, value: str) -> None:
    match = _KEY.match(name)
    if match is None:
        raise FormError(f"Invalid parameter name: {name}")
    steps = [match.group(1), *_STEP.findall(match.group(2))]
    if len(steps) > MAX_DEPTH:
        raise FormError(f"Parameter nested too deeply: {name}")
    node = root
    for step in steps[:-1]:
        key = step or str(len(node))
        child = node.setdefault(key, {})
        if not isinstance(child, dict):
            raise FormError(f"Parameter given both as a value and as a map: {name}")
        node = child
    last = steps[-1] or str(len(node))
    node[last] = value


def _with_lists(node: dict[str, Any]) -> dict[str, Any]:
    for key, child in node.items():
        if isinstance(child, dict):
            if key in _FREE_FORM:
                continue
            converted = _with_lists(child)
            node[key] = list(converted.values()) if _is_list(converted) else converted
    return node


def _is_list(node: dict[str, Any]) -> bool:
    return bool(node) and all(key.isdigit() for key in node)

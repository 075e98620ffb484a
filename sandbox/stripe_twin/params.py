"""What a request brings along, checked against the Stripe SDK's own typed parameters.

The v1 API's encoding is `application/x-www-form-urlencoded` with brackets for nesting:
`card[number]=4242&expand[0]=latest_charge&expand[]=customer` becomes
`{"card": {"number": "4242"}, "expand": ["latest_charge", "customer"]}`. All leaves are strings.
The v2 API's is JSON.

The check keeps the twin honest: what the pinned API version does not know, the twin refuses as
Stripe does, and the numbers and booleans of a form arrive converted. The SDK's types are all that
the twin takes from the `stripe` package.
"""

import importlib
import json
import re
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import ConfigDict, TypeAdapter, ValidationError

from sandbox.stripe_twin.errors import ApiError, invalid_request
from sandbox.stripe_twin.multipart import MULTIPART, decode_multipart

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


def posted(request: web.BaseRequest, raw: bytes) -> dict[str, Any]:
    """The parameters of a POST. Raises ApiError (400), which no key stores."""
    if raw and request.path.startswith("/v2/"):
        return _json(raw)
    if request.content_type == MULTIPART:
        return dict(decode_multipart(request.headers["Content-Type"], raw))
    if raw and request.content_type != "application/x-www-form-urlencoded":
        raise invalid_request(
            f"Invalid request (check that your POST content type is "
            f"application/x-www-form-urlencoded): {request.content_type}",
            stored=False,
        )
    return decoded(raw.decode("ascii", errors="replace"))


def queried(text: str) -> dict[str, Any]:
    """The parameters of a GET or DELETE. Raises ApiError (400).

    The SDK's asynchronous `fetch_event` and `fetch_related_object` send a stray `usage`, which
    belongs to its telemetry (16.1); the twin overlooks it.
    """
    found = decoded(text)
    found.pop("usage", None)
    return found


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise invalid_request(f"Invalid JSON: {error}", stored=False) from error
    if not isinstance(body, dict):
        raise invalid_request("Invalid JSON: expected an object", stored=False)
    return body


def decoded(text: str) -> dict[str, Any]:
    """The parameters of a query string or a form. Raises ApiError (400)."""
    try:
        return decode_form(text)
    except FormError as error:
        raise invalid_request(str(error), stored=False) from error


_Value = TypeVar("_Value")
_STRICT = ConfigDict(extra="forbid")

# Parameters that the API version of the pinned SDK removed, and the code that Stripe now answers:
# https://docs.stripe.com/changelog/endive/2026-09-30
_REMOVED = {
    ("payment_intent", "payment_method_types"): "payment_method_types_no_longer_supported",
}


@cache
def adapter(name: str) -> TypeAdapter[dict[str, Any]]:
    """The check for e.g. `payment_intent_create`; built once for the whole process."""
    package, _, plain = name.rpartition(".")
    module = importlib.import_module(
        ".".join(filter(None, ("stripe.params", package, f"_{plain}_params")))
    )
    type_name = "".join(part.capitalize() for part in plain.split("_")) + "Params"
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            value.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
    # The SDK's own type for free maps is for type checkers only; a form has text values.
    free_map = types.GenericAlias(dict, (str, _Value))
    names = {**vars(typing), **vars(module), "StripeContext": object}
    with _replaced(module, "UntypedStripeObject", free_map):
        check: TypeAdapter[dict[str, Any]] = TypeAdapter(getattr(module, type_name))
        check.rebuild(force=True, _types_namespace={**names, "UntypedStripeObject": free_map})
    return check


@contextmanager
def _replaced(module: types.ModuleType, name: str, value: object) -> Iterator[None]:
    """Lets a module's name mean something else for a moment, where the module has it."""
    before = vars(module).get(name)
    if before is None:
        yield
        return
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@cache
def transport_options() -> frozenset[str]:
    """The SDK's own call options, which its parameter types carry and the API does not know."""
    module = importlib.import_module("stripe._request_options")
    return frozenset(module.RequestOptions.__annotations__)


def check_params(name: str, form: dict[str, Any]) -> dict[str, Any]:
    """Gives the parameters converted. Raises ApiError (400), which no key stores."""
    for option in form.keys() & transport_options():
        raise _unknown(option)
    if name.startswith("v2.") and name.endswith("_list") and "page" in form:
        # The position of the next page comes from an answer's URL and is in no type.
        page, form = form["page"], {key: form[key] for key in form if key != "page"}
        return {**check_params(name, form), "page": page}
    try:
        return adapter(name).validate_python(form)
    except ValidationError as error:
        raise _failure(name, error) from error


def _failure(name: str, error: ValidationError) -> ApiError:
    # A union reports each branch; the deepest finding is the one about what the caller meant.
    # What nobody knows comes before what is missing or of another type.
    finding = max(
        error.errors(include_url=False, include_input=True),
        key=lambda item: (item["type"] == "extra_forbidden", len(item["loc"])),
    )
    param = _bracketed(finding["loc"])
    match finding["type"]:
        case "extra_forbidden":
            removed = _REMOVED.get((name.rsplit("_", 1)[0], param))
            if removed is not None:
                message = f"The parameter {param} is no longer supported in this API version."
                return invalid_request(message, code=removed, param=param, stored=False)
            return _unknown(param)
        case "missing":
            message = f"Missing required param: {param}."
            return invalid_request(message, code="parameter_missing", param=param, stored=False)
        case "int_parsing" | "int_type" | "int_from_float":
            message = f"Invalid integer: {finding['input']}"
            return invalid_request(
                message, code="parameter_invalid_integer", param=param, stored=False
            )
        case "bool_parsing" | "bool_type":
            message = f"Invalid boolean: {finding['input']}"
            return invalid_request(message, param=param, stored=False)
        case "dict_type":
            message = "Invalid object"
            return invalid_request(message, param=param, stored=False)
        case "list_type":
            return invalid_request("Invalid array", param=param, stored=False)
        case _:
            message = f"Invalid {param}: {finding['msg']}"
            return invalid_request(message, param=param, stored=False)


def _unknown(param: str) -> ApiError:
    return invalid_request(
        f"Received unknown parameter: {param}",
        code="parameter_unknown",
        param=param,
        stored=False,
    )


def _bracketed(location: tuple[int | str, ...]) -> str:
    """The location as Stripe writes it, without the names of union branches."""
    steps = [str(step) for step in location if not _is_branch(step)]
    return steps[0] + "".join(f"[{step}]" for step in steps[1:]) if steps else ""


def _is_branch(step: int | str) -> bool:
    # Pydantic names the branch of a union by its type: `literal['']`, `int`, `SomeParamsCard`.
    return isinstance(step, str) and (
        step in {"int", "str", "bool", "float"} or not step.islower() or "[" in step
    )

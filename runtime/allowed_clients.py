"""Who may call what: a service's own rules, and what a deployment's settings say instead.

A rule is the names in clients' certificates that may call a method; `*` stands for the methods of a
service that have no rule of their own. What has no rule is refused.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

ANY_METHOD = "*"
MAX_NAME_CHARACTERS = 255

Allowed = dict[str, dict[str, list[str]]]
# The descriptor of a gRPC service, and the names that may call its methods.
DefaultClients = Sequence[tuple[Any, Mapping[str, Collection[str]]]]


def parsed(text: str) -> Any:
    """What a setting says. Raises ValueError for what is not JSON or says something twice."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'is not JSON like {{"SERVICE": {{"METHOD or *": ["NAME"]}}}}: {error.msg}'
            f" at character {error.pos}"
        ) from None


def merged(defaults: DefaultClients, given: Mapping[str, Mapping[str, Sequence[str]]]) -> Allowed:
    """The rules of all services, those given in place of the defaults, method by method.

    Raises ValueError for a service or method that there is not, and for what is no client's name.
    """
    rules: Allowed = {
        service.full_name: {method: sorted(names) for method, names in allowed.items()}
        for service, allowed in defaults
    }
    methods = {
        service.full_name: [ANY_METHOD, *(method.name for method in service.methods)]
        for service, _ in defaults
    }
    for service, changes in given.items():
        _known(service, list(methods), "service")
        for method, names in changes.items():
            _known(method, methods[service], f"method of {service}")
            for name in names:
                _check_name(name)
            rules[service][method] = sorted(set(names))
    return rules


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("says something twice")
    return found


def _known(name: str, names: Sequence[str], what: str) -> None:
    if name in names:
        return
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(names)}"
    raise ValueError(f"there is no {what} {name!r}{hint}")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable() or " " in name:
        raise ValueError(f"{name!r} is not a name in a certificate")

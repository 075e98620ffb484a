"""Who may call what: a service's table of methods and roles, and which names have which role.

The table is complete and in code; settings narrow or widen it for single methods. Names are DNS
names in clients' certificates. A name without a role, and a method without a rule, is refused.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Protocol


class Role(StrEnum):
    """What a client is to a service."""

    CLIENT = "client"
    OPERATOR = "operator"
    FINANCE = "finance"
    SUPPORT = "support"
    SERVICE = "service"
    """Another service of the engine that calls this one."""


READ_ONLY = frozenset({Role.FINANCE, Role.SUPPORT})
# A DNS name has at most 253 characters, a label 63: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
MAX_NAME_CHARACTERS = 253
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
ROLE = "role"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which roles may call a method, and whether it changes anything."""

    roles: frozenset[Role]
    changes: bool
    about: str = ""
    """The fields of the request that name what is changed, as dotted paths with spaces between."""


def reads(*roles: Role) -> Rule:
    """The rule of a method that changes nothing."""
    return Rule(frozenset(roles), changes=False)


def changes(about: str, *roles: Role) -> Rule:
    """The rule of a method that changes something, which no read-only role may call."""
    assert not READ_ONLY & set(roles), "read-only roles change nothing"
    return Rule(frozenset(roles), changes=True, about=about)


# {service's full name: {method: its rule}}
Rights = Mapping[str, Mapping[str, Rule]]
# What settings say: {service: {method: roles}}
MethodRoles = dict[str, dict[str, list[str]]]
# … and {name: role}, or {name: {"role": role, and what it is bound to}}
ClientRoles = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """What names may be bound to in a service, such as single merchants."""

    key: str
    """As settings call it."""
    pattern: re.Pattern[str]
    max_characters: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. Without TLS nobody has a role, and everything may be called."""

    name: str
    role: Role | None = None
    bound_to: frozenset[str] | None = None
    """The only ones whose things are there for it; None is no such limit."""


class Bounds(Protocol):
    """Keeps callers that are bound to something to what is theirs."""

    def covers(self, path: str) -> bool:
        """Whether a method (`/service/method`) can be told apart by what callers are bound to; one
        that cannot is refused to them."""
        ...

    async def check(self, path: str, request: Any, bound_to: frozenset[str]) -> None:
        """Raises a `ServiceError`, the same for what is another's and for what is not there."""
        ...


def parsed(text: str, form: str) -> Any:
    """What a setting says. Raises ValueError for what is not JSON or says something twice."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON like {form}: {error.msg} at character {error.pos}") from None


def with_method_roles(rights: Rights, given: Mapping[str, Mapping[str, Sequence[str]]]) -> Rights:
    """The table with the roles of some methods in place of its own.

    Raises ValueError for a service, method or role that there is not, for a role that is given
    twice, and for a role that changes nothing where something is changed.
    """
    table = {service: dict(rules) for service, rules in rights.items()}
    for service, methods in given.items():
        _known(service, list(table), "service")
        for method, roles in methods.items():
            _known(method, list(table[service]), f"method of {service}")
            rule = table[service][method]
            allowed = frozenset(_roles(roles, f"{service}/{method}"))
            if rule.changes and allowed & READ_ONLY:
                raise ValueError(
                    f"{service}/{method} changes something, which"
                    f" {', '.join(sorted(allowed & READ_ONLY))} may not"
                )
            table[service][method] = Rule(allowed, rule.changes, rule.about)
    return table


def roles_of_methods(rights: Rights) -> MethodRoles:
    """The table as settings give it."""
    return {
        service: {method: sorted(rule.roles) for method, rule in rules.items()}
        for service, rules in rights.items()
    }


def callers(clients: Mapping[str, Any], binding: Binding | None) -> dict[str, Caller]:
    """Who has which role, by name.

    Raises ValueError for what is no DNS name in lower case or no role, and for a name that is bound
    to nothing, to something twice, or to what this service cannot keep apart.
    """
    return {name: _caller(name, said, binding) for name, said in clients.items()}


def _caller(name: str, said: Any, binding: Binding | None) -> Caller:
    if len(name) > MAX_NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a DNS name in lower case")
    if isinstance(said, str):
        return Caller(name, _role(said, name))
    if not isinstance(said, Mapping) or not isinstance(said.get(ROLE), str):
        raise ValueError(  # noqa: TRY004 (a setting's problem, as all here)
            f'{name}: is not a role, or {{"{ROLE}": …}}'
        )
    role = _role(said[ROLE], name)
    others = [key for key in said if key != ROLE]
    if not others:
        return Caller(name, role)
    if binding is None:
        raise ValueError(f"{name}: this service cannot keep {others[0]} apart, it would see all")
    if others != [binding.key]:
        raise ValueError(
            f"{name}: a name has a {ROLE} and may have {binding.key}, not {', '.join(others)}"
        )
    return Caller(name, role, frozenset(_bound(name, said[binding.key], binding)))


def _bound(name: str, listed: Any, binding: Binding) -> Iterator[str]:
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{name}: {binding.key} is not a list of one or more")
    seen = set()
    for one in listed:
        fits = isinstance(one, str) and len(one) <= binding.max_characters
        if not fits or not binding.pattern.fullmatch(one):
            raise ValueError(f"{name}: {one!r} cannot be one of {binding.key}")
        if one in seen:
            raise ValueError(f"{name}: {binding.key} has {one!r} twice")
        seen.add(one)
        yield one


def _roles(roles: Sequence[str], of: str) -> Iterator[Role]:
    seen = set()
    for word in roles:
        role = _role(word, of)
        if role in seen:
            raise ValueError(f"{of}: has {role} twice")
        seen.add(role)
        yield role


def _role(word: str, of: str) -> Role:
    try:
        return Role(word)
    except ValueError:
        nearest = get_close_matches(word, list(Role), n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(Role)}"
        raise ValueError(f"{of}: there is no role {word!r}; {hint}") from None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"says {key!r} twice")
        found[key] = value
    return found


def _known(name: str, names: Collection[str], what: str) -> None:
    if name in names:
        return
    nearest = get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names)}"
    raise ValueError(f"there is no {what} {name!r}; {hint}")

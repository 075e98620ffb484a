"""Settings as a process reads them from its environment, and all that is wrong with them."""

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from runtime.config import DatabaseSettings, SettingsTogetherError

# What Kubernetes tells every pod of a service named, say, `gateway`: its address, in variables
# that have the gateway's prefix.
_SERVICE_LINK = re.compile(r"\w+_(SERVICE_HOST|SERVICE_PORT\w*|PORT_\d+_(TCP|UDP|SCTP)\w*)")
_SERVICE_LINK_PORT = re.compile(r"(tcp|udp|sctp)://\S+")

Settings = TypeVar("Settings", bound=DatabaseSettings)


class SettingsError(Exception):
    """Settings that cannot be used: one problem a line, each with its variable, without secrets."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_settings(settings_type: type[Settings], **given: Any) -> Settings:
    """The settings of this process's environment, but for those given. Raises `SettingsError`."""
    problems = list(unknown_variables(settings_type, os.environ))
    try:
        settings = settings_type(**given)
    except ValidationError as error:
        problems += _problems_of(settings_type, error)
        problems += _problems_beside(settings_type, error, given)
    except ValueError as error:  # A secret's file that is missing or given twice.
        problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    return settings


def unknown_variables(
    settings_type: type[DatabaseSettings], environment: Mapping[str, str]
) -> Iterator[str]:
    """A line for each variable that has the service's prefix and is none of its settings.

    Its value is not shown: what is misspelled may be a secret.
    """
    prefix = settings_type.model_config.get("env_prefix", "")
    if not prefix:
        return
    known = {*settings_type.variables(), *settings_type.other_variables}
    for variable, value in sorted(environment.items()):
        name = variable.upper()
        if not name.startswith(prefix) or name in known or _is_service_link(name, value):
            continue
        nearest = get_close_matches(name, known, n=1)
        yield f"{variable}: there is no such setting" + (
            f"; did you mean {nearest[0]}?" if nearest else ""
        )


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_LINK_PORT.fullmatch(value) is not None


def _problems_of(settings_type: type[DatabaseSettings], refused: ValidationError) -> Iterator[str]:
    for problem in refused.errors(include_input=False, include_url=False):
        error = problem.get("ctx", {}).get("error")
        if isinstance(error, SettingsTogetherError):
            yield from error.problems
        else:
            message = _message_of(problem["msg"])
            yield ": ".join([*_variable_at(settings_type, problem["loc"]), message])


def _problems_beside(
    settings_type: type[DatabaseSettings], refused: ValidationError, given: Mapping[str, Any]
) -> Iterator[str]:
    """What else is wrong where some values cannot be read, found with defaults in their place.

    Settings that only fit together are not looked at before each can be read.
    """
    problems = refused.errors(include_input=False, include_url=False, include_context=False)
    unreadable = {name for one in problems for name in _variable_at(settings_type, one["loc"])}
    unread = {
        name: field.get_default(call_default_factory=True)
        for name, field in settings_type.model_fields.items()
        if settings_type.variable(name) in unreadable
    }
    if not unread or "env" in unread:
        return
    try:
        settings_type(**{**given, **unread})
    except ValidationError as error:
        for problem in _problems_of(settings_type, error):
            if not any(variable in problem for variable in unreadable):
                yield problem


def _variable_at(
    settings_type: type[DatabaseSettings], location: tuple[int | str, ...]
) -> Iterator[str]:
    """The variable that a problem is about; if it is about several, its message names them."""
    if location:
        yield settings_type.variable(str(location[0]))


def _message_of(message: str) -> str:
    return message.removeprefix("Value error, ")

"""What keeps a process from starting, said in one line instead of a traceback, without secrets."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from runtime.addresses import split_address
from runtime.config import ServiceSettings

# What a lost or overloaded database raises; others are faults of ours, and want their traceback.
UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
_HIDDEN = "[hidden]"


class StartupError(RuntimeError):
    """The process cannot start, and its operator can do something about it."""


@contextmanager
def database_needed(variable: str, url: str) -> Iterator[None]:
    """What the database of this setting refuses, or its silence, ends the start."""
    try:
        yield
    except (psycopg.Error, DBAPIError) as error:
        raise StartupError(f"{variable}: {_database_reason(error, url)}") from error


@contextmanager
def startup_failures(settings: ServiceSettings) -> Iterator[None]:
    """What a service may meet while it is opened, besides what its parts put into words."""
    try:
        yield
    except UNREACHABLE as error:
        url = settings.database_url.get_secret_value() if settings.database_url else ""
        reason = _database_reason(error, url)
        raise StartupError(f"{settings.variable('database_url')}: {reason}") from error
    except OSError as error:
        if error.filename is None:
            raise
        where = "".join(f"{variable}: " for variable in _settings_with(settings, error.filename))
        raise StartupError(f"{where}{error.filename}: {error.strerror}") from error


def _settings_with(settings: ServiceSettings, filename: object) -> Iterator[str]:
    """The variables that name a file."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, Path) and str(value) == str(filename):
            yield settings.variable(name)


def check_free(variable: str, address: str) -> None:
    """Raises `StartupError` unless `host:port` can be listened on: gRPC does not say why not."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise cannot_listen(variable, address, error) from error


def cannot_listen(variable: str, address: str, error: OSError) -> StartupError:
    """The failure to bind an address, by the system's own word for it."""
    known = error.errno is not None and error.errno > 0 and not isinstance(error, socket.gaierror)
    reason = os.strerror(error.errno) if known and error.errno else error.strerror or str(error)
    return StartupError(f"{variable}: cannot listen on {address}: {reason}")


def _database_reason(error: Exception, url: str) -> str:
    """The server's or libpq's message on one line; never a row, which only the detail quotes."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    reason = " ".join((primary or str(cause)).split())
    password = urlsplit(url).password
    for secret in filter(None, (password, password and unquote(password))):
        reason = reason.replace(secret, _HIDDEN)
    return reason

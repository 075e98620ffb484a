"""URLs of PostgreSQL, in the forms of libpq and of SQLAlchemy: one reading, or a refusal by name.

Several hosts are written in three ways, and each of the two misreads one of the other's:

    postgresql://login@h1:5432,h2:5433/database             libpq's; SQLAlchemy refuses it
    postgresql://login@/database?host=h1:5432&host=h2:5433  SQLAlchemy's; libpq takes the last
    postgresql://login@/database?host=h1,h2&port=5432,5433  of both

All are taken. A service writes, so that of several servers it looks for the one that takes writes:
`target_session_attrs=read-write`, whether the URL says so or not.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
https://docs.sqlalchemy.org/en/20/dialects/postgresql.html#specifying-multiple-fallback-hosts
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import make_conninfo

FORM = (
    "is not postgresql://login:password@host:port/database"
    " (in the password, signs such as @ : / ? # are written %40 and so on)"
)
SCHEMES = ("postgresql", "postgres")
WRITING = ("read-write", "primary")
MAX_HOSTS = 16
_PERCENT_ALONE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](:(?P<port>.*))?")
_OF_HOSTS = ("host", "hostaddr", "port")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Host:
    """A server, or a Unix socket's folder; what is empty is libpq's default."""

    host: str = ""
    port: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where a database is, and how one logs in."""

    hosts: tuple[Host, ...]
    parameters: Mapping[str, str]

    def conninfo(self, host: Host | None = None, **more: Any) -> str:
        """libpq's connection string: to one of the hosts, or to whichever takes writes."""
        hosts = (host,) if host is not None else self.hosts
        lists = {
            "host": [one.host for one in hosts],
            "port": [one.port for one in hosts],
            "hostaddr": [one.address for one in hosts],
        }
        where = {name: ",".join(values) for name, values in lists.items() if any(values)}
        parameters: dict[str, Any] = {**self.parameters, **where, **more}
        return make_conninfo(**parameters)


def parse(url: str) -> DatabaseUrl:
    """Reads a URL. Raises `ValueError`, which never quotes the login or the password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(FORM) from None
    if (
        parts.scheme not in SCHEMES
        or parts.netloc.count("@") > 1
        or parts.fragment
        or _PERCENT_ALONE.search(url)
    ):
        raise ValueError(FORM)
    login, _, authority = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    given = dict(_query(parts.query))
    hosts = _hosts(authority, given)
    parameters = {
        "user": unquote(user),
        "password": unquote(password),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    parameters = {name: value for name, value in parameters.items() if value} | {
        name: values[0] for name, values in given.items() if name not in _OF_HOSTS
    }
    wanted = parameters.setdefault("target_session_attrs", WRITING[0])
    if wanted not in WRITING:
        raise ValueError(
            f"target_session_attrs={wanted}: a service writes; leave it out, or say read-write"
        )
    found = DatabaseUrl(hosts, parameters)
    try:
        found.conninfo()
    except psycopg.ProgrammingError as error:
        # It names the parameter that libpq does not know.
        raise ValueError(" ".join(str(error).split())) from None
    return found


def with_schema(url: str, schema: str) -> str:
    """The same URL, with a schema in which alone names are looked up, and tables made."""
    parts = urlsplit(url)
    options = [
        unquote(pair.removeprefix("options="))
        for pair in parts.query.split("&")
        if pair.startswith("options=")
    ]
    pairs = [pair for pair in parts.query.split("&") if pair and not pair.startswith("options=")]
    text = " ".join([*options, f"-c search_path={schema}"])
    return urlunsplit(parts._replace(query="&".join([*pairs, f"options={quote(text)}"])))


def _query(query: str) -> Iterator[tuple[str, list[str]]]:
    """The parameters after the `?`: each name once, but for `host`, which SQLAlchemy repeats."""
    values: dict[str, list[str]] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(FORM)
        values.setdefault(unquote(name), []).append(unquote(value))
    for name, several in values.items():
        if len(several) > 1 and name != "host":
            raise ValueError(f"it has {name} more than once")
    yield from values.items()


def _hosts(authority: str, given: Mapping[str, list[str]]) -> tuple[Host, ...]:
    named = [unquote(one) for one in authority.split(",")] if authority else []
    queried = [one for value in given.get("host", []) for one in value.split(",")]
    if any(named) and any(queried):
        raise ValueError("hosts stand before the / and after the ?: name them in one place")
    pairs = [_host_and_port(one) for one in named or queried]
    ports = _listed(given, "port")
    if ports and any(port for _, port in pairs):
        raise ValueError("ports stand with the hosts and in port=: name them in one place")
    addresses = _listed(given, "hostaddr")
    count = max(len(pairs), len(addresses), 1)
    if count > MAX_HOSTS:
        raise ValueError(f"it has {count} hosts: at most {MAX_HOSTS}")
    if len(ports) not in {0, 1, count}:
        raise ValueError(f"it has {count} hosts and {len(ports)} ports: one for all, or one each")
    if pairs and addresses and len(addresses) != count:
        raise ValueError(f"it has {len(pairs)} hosts and {len(addresses)} in hostaddr: one each")
    if len(ports) == 1:
        ports *= count
    for port in (*ports, *(port for _, port in pairs)):
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
            raise ValueError(FORM)
    nothing = [""] * count
    return tuple(
        Host(host, port or listed, address)
        for (host, port), listed, address in zip(
            pairs or [("", "")] * count, ports or nothing, addresses or nothing, strict=True
        )
    )


def _listed(given: Mapping[str, list[str]], name: str) -> list[str]:
    values = given.get(name)
    return values[0].split(",") if values else []


def _host_and_port(text: str) -> tuple[str, str]:
    """`host:port`, `[::1]:port`, a host alone or a Unix socket's folder."""
    if text.startswith("/"):
        return text, ""
    if text.startswith("["):
        bracketed = _BRACKETED.fullmatch(text)
        if bracketed is None:
            raise ValueError(FORM)
        return bracketed["host"], bracketed["port"] or ""
    if text.count(":") > 1:
        return text, ""  # An IPv6 address, as libpq takes it in `host=`.
    host, _, port = text.partition(":")
    return host, port

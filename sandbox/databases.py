"""The services' databases: on the servers that the environment names, or embedded."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from sandbox import embedded_postgres
from sandbox.database_copies import create_database

# Those that a payment goes through.
PAYING = ("ledger", "gateway", "compliance")
SERVICES = (*PAYING, "reconciliation")


def kept_databases() -> dict[str, str]:
    """`*_DATABASE_URL` of databases that stay: the given ones, or the machine's embedded ones."""
    given = _given("DATABASE_URL")
    return {
        _variable(service, "DATABASE_URL"): given.get(service)
        or embedded_postgres.database_url(service)
        for service in SERVICES
    }


@contextmanager
def fresh_databases() -> Iterator[dict[str, str]]:
    """`*_DATABASE_URL` and `*_OWNER_DATABASE_URL` of empty databases, which go with the block.

    If the environment names databases, the new ones are created beside those; a service without
    its own variable uses the server of another's.
    """
    given = _given("DATABASE_URL") | _given("OWNER_DATABASE_URL")
    if not given:
        with embedded_postgres.temporary_server() as server:
            yield _settings({service: server.database_url(service) for service in SERVICES})
        return
    fallback = next(iter(given.values()))
    with databases_beside({s: given.get(s, fallback) for s in SERVICES}) as databases:
        yield databases


@contextmanager
def databases_beside(urls: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Like `fresh_databases`, on the server of each service's URL."""
    suffix = uuid.uuid4().hex[:8]
    names = {service: f"sandbox_{service}_{suffix}" for service in urls}
    for service, url in urls.items():
        _execute(url, create_database(names[service]))
    try:
        yield _settings(
            {service: with_database(url, names[service]) for service, url in urls.items()}
        )
    finally:
        for service, url in urls.items():
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            _execute(url, drop.format(sql.Identifier(names[service])))


def with_database(url: str, name: str) -> str:
    """The same server's URL with another database."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _settings(urls: Mapping[str, str]) -> dict[str, str]:
    return {
        _variable(service, name): url
        for service, url in urls.items()
        for name in ("DATABASE_URL", "OWNER_DATABASE_URL")
    }


def _given(name: str) -> dict[str, str]:
    urls = {service: os.environ.get(_variable(service, name)) for service in SERVICES}
    return {service: url for service, url in urls.items() if url}


def _variable(service: str, name: str) -> str:
    return f"{service.upper()}_{name}"


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)

"""A database's logins as in a deployment: one owns it, the other only serves."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def serving_login(owner_url: str, service: str) -> Iterator[str]:
    """URL of a login that may act as `<service>_service` alone; it goes with the block."""
    login = f"test_{service}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(owner_url, autocommit=True) as connection:
        for statement in (
            f"DO $$ BEGIN CREATE ROLE {service}_service NOLOGIN;"
            " EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            f"CREATE ROLE {login} LOGIN PASSWORD 'hush' NOINHERIT",
            f"GRANT {service}_service TO {login}",
        ):
            connection.execute(statement.encode())
    _, _, place = owner_url.partition("@")
    try:
        yield f"postgresql://{login}:hush@{place}"
    finally:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {login}".encode())

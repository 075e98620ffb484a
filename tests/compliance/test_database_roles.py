"""The service and its migrations under logins that are no superusers, as in a deployment."""

import uuid

import psycopg
from psycopg import sql

from tests.compliance.conftest import OpenGuard
from tests.compliance.guard import verdict
from tests.plugin import url_of

PATHS = """
    SELECT p.proname::text, array_to_string(p.proconfig, ';')
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype = 'trigger'::regtype
"""


async def test_an_owner_migrates_and_a_login_serves(
    open_guard: OpenGuard, postgres_url: str
) -> None:
    database = f"test_compliance_roles_{uuid.uuid4().hex[:12]}"
    owner, login = (sql.Identifier(f"{database}_{part}") for part in ("owner", "login"))
    name = sql.Identifier(database)
    with psycopg.connect(postgres_url, autocommit=True) as connection:

        def run(statement: str, **names: sql.Identifier) -> None:
            connection.execute(sql.SQL(statement).format(**names).as_string().encode())

        run(
            "DO $$ BEGIN CREATE ROLE compliance_service NOLOGIN; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        run("CREATE ROLE {owner} LOGIN PASSWORD 'owner'", owner=owner)
        run("CREATE ROLE {login} LOGIN PASSWORD 'login' NOINHERIT", login=login)
        run("GRANT compliance_service TO {login}", login=login)
        run("CREATE DATABASE {name} OWNER {owner}", name=name, owner=owner)
        try:
            server = url_of(postgres_url, database)
            _, separator, place = server.partition("@")
            async with open_guard(
                owner_database_url=f"postgresql://{database}_owner:owner{separator}{place}",
                database_url=f"postgresql://{database}_login:login{separator}{place}",
            ) as guard:
                assert verdict(await guard.check(await guard.merchant())) == "ALLOW"
                # Nobody can put a table of his own in the place of one that the triggers read.
                may = "SELECT has_database_privilege(%s, %s, 'TEMPORARY')"
                row = connection.execute(may, [f"{database}_login", database]).fetchone()
                assert row == (False,)
                with psycopg.connect(server) as inside:
                    paths: dict[str, str] = dict(inside.execute(PATHS).fetchall())
                    assert set(paths) == {
                        *("refuse_change", "chain_decision", "note_account_change"),
                        "number_case_event",
                        "note_collection_change",
                    }
                    assert set(paths.values()) == {"search_path=pg_catalog, public, pg_temp"}
        finally:
            run("DROP DATABASE {name} WITH (FORCE)", name=name)
            run("DROP ROLE {owner}", owner=owner)
            run("DROP ROLE {login}", login=login)

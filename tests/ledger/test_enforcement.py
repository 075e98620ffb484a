"""What the database refuses to every writer: the service's role and the owner alike.

Tables are found in the catalogue, so that a new one is append-only or listed here as a projection.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import sql

from runtime.migrations import migrate
from sandbox.databases import databases_beside
from tests.ledger import raw_sql
from tests.ledger.client import LedgerClient, transfer
from tests.ledger.raw_sql import Connection, Row, add, count_of, tables

# What can be computed again from the log, and so may be changed, but not removed.
PROJECTIONS = {"ledger_heads", "balances", "holds", "snapshot_heads"}
# Where ledgers are changes, and is kept, too.
PROJECTIONS |= {"ledger_placements", "placement_version"}
ROLE = "ledger_service"
LOGINS = (ROLE, None)
REFUSED = (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege)

RIGHTS = """
    SELECT g.table_name, g.privilege_type
    FROM information_schema.role_table_grants AS g
    WHERE g.table_schema = 'public' AND g.grantee IN (%s, 'PUBLIC')
"""
COLUMN_RIGHTS = """
    SELECT a.attrelid::regclass::text, a.attname
    FROM pg_attribute AS a
    INNER JOIN pg_class AS c ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attacl IS NOT NULL
"""
OWNED = """
    SELECT 'relation', c.relname::text FROM pg_class AS c WHERE c.relowner = %(role)s::regrole
    UNION ALL
    SELECT 'function', p.proname::text FROM pg_proc AS p WHERE p.proowner = %(role)s::regrole
    UNION ALL
    SELECT 'schema', n.nspname::text FROM pg_namespace AS n WHERE n.nspowner = %(role)s::regrole
    UNION ALL
    SELECT 'type', t.typname::text FROM pg_type AS t WHERE t.typowner = %(role)s::regrole
"""
# A role that may do nothing but what it was granted.
ATTRIBUTES = """
    SELECT
        r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls
    FROM pg_roles AS r
    WHERE r.rolname = %s
"""
MEMBERSHIPS = "SELECT roleid FROM pg_auth_members WHERE member = %s::regrole"
DEFINERS = """
    SELECT p.proname
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
"""
# Of each function that a trigger runs: where it looks names up.
PATHS = """
    SELECT p.proname::text, p.proconfig
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype = 'trigger'::regtype
"""
# Of each table: the events that its triggers refuse, and whether they do so in every mode.
REFUSING = """
    SELECT
        t.tgrelid::regclass::text,
        bool_or(t.tgtype::integer & 16 > 0),
        bool_or(t.tgtype::integer & 8 > 0),
        bool_or(t.tgtype::integer & 32 > 0),
        bool_and(t.tgenabled = 'A')
    FROM pg_trigger AS t
    WHERE t.tgfoid = 'refuse_change'::regproc
    GROUP BY t.tgrelid
"""
WHOLE = ((0, 1, 1, 5), (1, 3, 2, 5))


@pytest.fixture(params=LOGINS, ids=["service", "owner"])
async def connection(
    request: pytest.FixtureRequest, bank: LedgerClient, url: str
) -> AsyncIterator[Connection]:
    """A connection in the service's role or as owner, to a ledger with two transactions."""
    await bank.create(transfer("payable", "cash", 100))
    await bank.create(transfer("payable", "cash", 50))
    await bank.account("gone")
    await bank.close("gone")
    await bank.account("dollars", currency="USD")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        if request.param is not None:
            await connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(request.param)))
        yield connection


@pytest.fixture
async def owner(bank: LedgerClient, url: str) -> AsyncIterator[Connection]:
    """A connection as owner, to an empty ledger."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def test_what_is_recorded_is_never_changed(connection: Connection) -> None:
    append_only = [name for name in await tables(connection) if name not in PROJECTIONS]
    assert {"ledgers", "accounts", "transactions", "entries", "decisions"} < set(append_only)
    for name in append_only:
        key = sql.Identifier("act_number" if name.startswith("operator_act") else "ledger_id")
        for statement in (
            "UPDATE {} SET {} = DEFAULT",
            "UPDATE {} SET {} = DEFAULT WHERE FALSE",
            "DELETE FROM {}",
            "DELETE FROM {} WHERE FALSE",
            "TRUNCATE {} CASCADE",
        ):
            with pytest.raises(REFUSED):
                await connection.execute(sql.SQL(statement).format(sql.Identifier(name), key))


async def test_projections_are_never_removed(connection: Connection) -> None:
    assert set(await tables(connection)) > PROJECTIONS
    for name in PROJECTIONS:
        for statement in ("DELETE FROM {}", "TRUNCATE {} CASCADE"):
            with pytest.raises(REFUSED):
                await connection.execute(sql.SQL(statement).format(sql.Identifier(name)))


async def test_every_table_has_its_trigger_in_every_mode(owner: Connection) -> None:
    rows = await (await owner.execute(REFUSING)).fetchall()
    assert {row[0] for row in rows} == set(await tables(owner))
    for name, *refused in rows:
        assert refused == [name not in PROJECTIONS, True, True, True], name


async def test_the_role_has_the_granted_rights_and_no_others(owner: Connection) -> None:
    rights: dict[object, set[object]] = {}
    for table, right in await (await owner.execute(RIGHTS, [ROLE])).fetchall():
        rights.setdefault(table, set()).add(right)
    expected = {
        name: {"SELECT", "INSERT"} | ({"UPDATE"} if name in PROJECTIONS else set())
        for name in await tables(owner)
    }
    # The migrations' own: a service looks up what was applied.
    assert rights == expected | {"schema_revision": {"SELECT"}}
    assert await (await owner.execute(COLUMN_RIGHTS)).fetchall() == []
    (attributes,) = await (await owner.execute(ATTRIBUTES, [ROLE])).fetchall()
    assert not any(attributes)
    assert await (await owner.execute(MEMBERSHIPS, [ROLE])).fetchall() == []
    # A function that ran with its owner's rights would be a way round all this.
    assert await (await owner.execute(DEFINERS)).fetchall() == []


async def test_the_role_owns_nothing(owner: Connection) -> None:
    assert await (await owner.execute(OWNED, {"role": ROLE})).fetchall() == []


@asynccontextmanager
async def member_of_the_role(owner: Connection) -> AsyncIterator[None]:
    """As a login with the service's role and nothing else: a superuser could set anything."""
    member = sql.Identifier(f"member_{uuid.uuid4().hex[:12]}")
    await owner.execute(sql.SQL("CREATE ROLE {} IN ROLE ledger_service").format(member))
    try:
        await owner.execute(sql.SQL("SET SESSION AUTHORIZATION {}").format(member))
        yield
    finally:
        await owner.execute("RESET SESSION AUTHORIZATION")
        await owner.execute(sql.SQL("DROP ROLE {}").format(member))


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entries DISABLE TRIGGER ALL",
        "ALTER TABLE entries DISABLE TRIGGER balanced",
        "DROP TRIGGER append_only ON entries",
        "ALTER TABLE transactions ADD COLUMN note text",
        "DROP TABLE holds",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE TABLE beside (number integer)",
        "CREATE RULE quietly AS ON INSERT TO entries DO INSTEAD NOTHING",
        "SET session_replication_role = replica",
    ],
)
async def test_the_role_may_not_change_what_stops_it(owner: Connection, statement: str) -> None:
    async with member_of_the_role(owner):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await owner.execute(statement.encode())


async def test_the_role_cannot_grant_itself_more(owner: Connection) -> None:
    async with member_of_the_role(owner):
        # PostgreSQL only warns that nothing was granted.
        await owner.execute("GRANT UPDATE ON entries TO ledger_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await owner.execute("UPDATE entries SET amount = 1")


async def test_a_balanced_transaction_can_be_added(connection: Connection) -> None:
    await add(connection, *WHOLE)
    assert await count_of(connection, "transactions") == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, 1, 1, 5), (1, 3, 2, 6)], "does not balance"),
        ([(0, 1, 1, 5), (1, 3, 1, 5)], "does not balance"),
        # Account 6 is in USD: neither currency balances by itself.
        ([(0, 1, 1, 5), (1, 6, 2, 5)], "does not balance"),
        ([(0, 1, 1, 5), (1, 99, 2, 5)], "unknown account"),
        ([(0, 1, 1, 5), (1, 5, 2, 5)], "closed account"),
        ([(0, 1, 1, -5), (1, 3, 2, -5)], "amount"),
        ([(0, 1, 1, 0), (1, 3, 2, 0)], "amount"),
        ([(0, 1, 3, 5), (1, 3, 2, 5)], "direction"),
        ([(0, 1, 1, 5), (2, 3, 2, 5)], "not the whole|no entries"),
        ([(1, 1, 1, 5), (2, 3, 2, 5)], "not the whole|no entries|without"),
        ([(0, 1, 1, 5), (0, 3, 2, 5)], "duplicate key"),
        ([(0, 1, 1, 5), (1, 3, 2, 3), (2, 3, 2, 2)], "not the whole|no entries"),
    ],
)
async def test_a_wrong_insert_fails_whoever_tries(
    connection: Connection, rows: list[Row], message: str
) -> None:
    with pytest.raises(psycopg.errors.IntegrityError, match=message):
        await add(connection, *rows)
    assert await count_of(connection, "entries") == 4
    assert await count_of(connection, "transactions") == 2


async def test_a_transaction_needs_entries_and_entries_a_transaction(
    connection: Connection,
) -> None:
    for statement in (raw_sql.transaction(3), raw_sql.entries(3, *WHOLE)):
        with pytest.raises(psycopg.errors.CheckViolation, match=r"no entries|whole|without"):
            await connection.execute(statement.encode())


async def test_nothing_can_be_added_to_a_recorded_transaction(connection: Connection) -> None:
    for rows in (((2, 1, 1, 5), (3, 3, 2, 5)), WHOLE):
        with pytest.raises(psycopg.errors.IntegrityError):
            await connection.execute(raw_sql.entries(2, *rows).encode())
    assert await count_of(connection, "entries") == 4


@pytest.mark.parametrize("sequence", [0, 2, 4, 5])
async def test_the_sequence_has_no_gaps(connection: Connection, sequence: int) -> None:
    with pytest.raises(psycopg.errors.IntegrityError, match=r"does not follow|duplicate|sequence"):
        await add(connection, *WHOLE, sequence=sequence)
    assert await count_of(connection, "transactions") == 2


async def test_record_times_do_not_go_back(connection: Connection) -> None:
    early = raw_sql.transaction(3, record_time="timestamptz '2001-01-01Z'")
    with pytest.raises(psycopg.errors.CheckViolation, match="does not follow"):
        await connection.execute(f"WITH t AS ({early}) {raw_sql.entries(3, *WHOLE)}".encode())


async def test_a_transaction_needs_a_ledger(connection: Connection) -> None:
    alone = raw_sql.transaction(1, ledger=77)
    with pytest.raises(psycopg.errors.IntegrityError):
        await connection.execute(
            f"WITH t AS ({alone}) {raw_sql.entries(1, *WHOLE, ledger=77)}".encode()
        )


async def test_copy_is_checked_like_any_insert(connection: Connection) -> None:
    columns = (
        "entries (ledger_id, sequence, entry_index, account_number, direction, effect, amount, "
        "posted_debits, posted_credits, pending_debits, pending_credits, version)"
    )
    for sequence in (2, 3):
        with pytest.raises(psycopg.errors.IntegrityError):
            async with connection.cursor().copy(f"COPY {columns} FROM STDIN".encode()) as copy:
                await copy.write_row((1, sequence, 2, 1, 1, 1, 5, 0, 0, 0, 0, 9))
    transactions = (
        "transactions (ledger_id, sequence, kind, entry_count, record_time, body, leaf_hash)"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        async with connection.cursor().copy(f"COPY {transactions} FROM STDIN".encode()) as copy:
            await copy.write_row((1, 3, 1, 2, "2027-01-01Z", b"", b"0" * 32))
    assert await count_of(connection, "entries") == 4


async def test_triggers_also_hold_in_replica_mode(owner: Connection) -> None:
    await owner.execute("SET session_replication_role = replica")
    for name in await tables(owner):
        with pytest.raises(psycopg.errors.RestrictViolation):
            await owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
    with pytest.raises(psycopg.errors.CheckViolation):
        await add(owner, (0, 1, 1, 5), (1, 3, 2, 6), sequence=1)
    with pytest.raises(psycopg.errors.CheckViolation):
        await add(owner, *WHOLE, sequence=2)


async def test_triggers_look_names_up_where_nobody_can_put_others(owner: Connection) -> None:
    rows = await (await owner.execute(PATHS)).fetchall()
    assert {name for name, _ in rows} >= {"refuse_change", "check_added_entries"}
    for name, settings in rows:
        assert settings, name
        assert "search_path=pg_catalog, public, pg_temp" in str(settings), name


@pytest.mark.parametrize("connection", [None], ids=["owner"], indirect=True)
@pytest.mark.parametrize("rows", [[(0, 1, 1, 5), (1, 99, 2, 5)], [(0, 1, 1, 5), (1, 6, 2, 5)]])
async def test_temporary_tables_hide_nothing_from_the_triggers(
    connection: Connection, rows: list[Row]
) -> None:
    """Account 99 is not there and account 6 is in USD, whatever a temporary table says."""
    await connection.execute("CREATE TEMP TABLE accounts AS TABLE public.accounts")
    await connection.execute(
        "INSERT INTO accounts (ledger_id, account_number, currency_code) VALUES (1, 99, 'EUR')"
    )
    await connection.execute("UPDATE accounts SET currency_code = 'EUR'")
    with pytest.raises(psycopg.errors.IntegrityError, match=r"unknown account|does not balance"):
        await add(connection, *rows)


async def test_the_role_may_make_no_temporary_table(postgres_url: str) -> None:
    """Rights on a database are not copied with it: this one is migrated by itself."""
    with databases_beside({"ledger": postgres_url}) as databases:
        url = databases["LEDGER_DATABASE_URL"]
        await migrate(url, "ledger")
        async with (
            await psycopg.AsyncConnection.connect(url, autocommit=True) as owner,
            member_of_the_role(owner),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await owner.execute("CREATE TEMP TABLE accounts (number integer)")

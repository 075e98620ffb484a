"""The schema, walked in the catalogue: ready to be spread by ledger_id."""

import psycopg

from tests.ledger.client import LedgerClient

OF_MIGRATIONS = {"alembic_version", "schema_revision"}
# What operators do need not be about one ledger, and where ledgers are is known by their names.
OF_ALL_LEDGERS = {"operator_act", "operator_act_outcome", "ledger_placements", "placement_version"}
KEYS = """
    SELECT c.conrelid::regclass::text, c.contype::text, a.attname
    FROM pg_constraint AS c
    INNER JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
    WHERE c.contype IN ('p', 'f') AND c.connamespace = 'public'::regnamespace
"""
FOREIGN_TARGETS = """
    SELECT c.conname, c.confrelid::regclass::text, a.attname
    FROM pg_constraint AS c
    INNER JOIN pg_attribute AS a ON a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
"""
TABLES = """
    SELECT c.relname
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
"""


async def test_every_key_begins_with_the_ledger(client: LedgerClient, url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        keys = await (await connection.execute(KEYS)).fetchall()
        targets = await (await connection.execute(FOREIGN_TARGETS)).fetchall()
        tables = {row[0] for row in await (await connection.execute(TABLES)).fetchall()}
    tables -= OF_MIGRATIONS
    keys = [key for key in keys if key[0] not in OF_MIGRATIONS]
    assert {key[0] for key in keys if key[1] == "p"} == tables
    assert {key[2] for key in keys if key[0] not in OF_ALL_LEDGERS} == {"ledger_id"}
    assert {target[2] for target in targets if target[1] not in OF_ALL_LEDGERS} == {"ledger_id"}

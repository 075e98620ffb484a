"""Operations of before the tables were merged: moved as they were, in their order."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, pool
from sqlalchemy.ext.asyncio import create_async_engine

import gateway
from gateway.operations import store
from gateway.operations.operation import Operation
from gateway.operations.operation import OperationKind as K
from gateway.operations.operation import OperationState as S
from runtime.postgres import sqlalchemy_url
from tests.conftest import NewDatabase

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OLD = [
    """
    INSERT INTO payment_operation (
        id, payment_id, kind, state, corridor, params, attempt, send_count, first_send_time,
        last_send_time, fencing_token, next_attempt_time, deadline, expires_payment, queued,
        failure_code, create_time, end_time
    )
    SELECT
        row.id, 'pay_1', row.kind, row.state, 'default', row.params, row.attempt, 5, now, now, 4,
        now, now, row.kind = 'CANCEL', FALSE, row.code, now, row.end_time
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    CROSS JOIN LATERAL (VALUES
        ('op_2', 'AUTHORIZE', 'SUCCEEDED', '{"name": "Ada Mapleton"}', 1, '', now),
        ('op_1', 'CANCEL', 'UNKNOWN', '{"a": 1}', 2, 'TIMEOUT', NULL)
    ) AS row (id, kind, state, params, attempt, code, end_time)
    """,
    """
    INSERT INTO stripe_operation (
        id, kind, subject_id, corridor, stripe_account, params, state, attempt, send_count,
        fencing_token, next_attempt_time, deadline, failure_code, failure_param, create_time
    )
    SELECT
        'op_3', 'CREATE_PAYOUT', 'pyo_1', 'default', 'acct_1', '{"amount": 5}', 'PENDING', 1, 0,
        2, now, now, 'TIMEOUT', 'amount', now
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    """,
]


def upgrade(url: str, revision: str) -> None:
    config = Config()
    folder = Path(next(iter(gateway.__path__))) / "migrations"
    config.set_main_option("script_location", str(folder))
    engine = create_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


async def test_operations_are_moved_as_they_were(new_database: NewDatabase) -> None:
    url = new_database("gateway")
    await asyncio.to_thread(upgrade, url, "0013")
    with psycopg.connect(url, autocommit=True) as connection:
        # Their payments are of no matter here.
        connection.execute("ALTER TABLE payment_operation DISABLE TRIGGER ALL")
        for statement in OLD:
            connection.execute(statement)
    await asyncio.to_thread(upgrade, url, "0014")
    engine = create_async_engine(sqlalchemy_url(url), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        ended, unknown = await store.operations_of(connection, "pay_1")
        [payout] = await store.operations_of(connection, "pyo_1")
    await engine.dispose()
    assert (ended.id, ended.kind, ended.state) == ("op_2", K.AUTHORIZE, S.SUCCEEDED)
    # What has ended keeps nothing that may say something of people.
    assert ended.params == "{}"
    assert unknown == Operation(
        id="op_1",
        kind=K.CANCEL,
        subject_id="pay_1",
        corridor="default",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW,
        state=S.UNKNOWN,
        params='{"a": 1}',
        attempt=2,
        send_count=5,
        first_send_time=NOW,
        last_send_time=NOW,
        fencing_token=4,
        expires_payment=True,
        failure_code="TIMEOUT",
    )
    assert unknown.idempotency_key == "op_1-2", "what is sent again has the same key"
    assert payout == Operation(
        id="op_3",
        kind=K.CREATE_PAYOUT,
        subject_id="pyo_1",
        corridor="default",
        connected_account="acct_1",
        create_time=NOW,
        next_attempt_time=NOW,
        deadline=NOW,
        params='{"amount": 5}',
        fencing_token=2,
        failure_code="TIMEOUT",
        failure_param="amount",
    )

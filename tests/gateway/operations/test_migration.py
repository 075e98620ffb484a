"""Operations of before the tables were merged: moved as they were, in their order."""

import asyncio
from datetime import UTC, datetime

import psycopg

from gateway.operations import store
from gateway.operations.operation import Operation, Step, next_step
from gateway.operations.operation import OperationKind as K
from gateway.operations.operation import OperationState as S
from gateway.operations.requests import (
    CUSTOMER_REQUEST,
    DISPUTE_REQUEST,
    MERCHANT_REQUEST,
    PAYOUT_REQUEST,
    RequestRecord,
    known_request,
)
from runtime.migrations import migrate_to
from runtime.postgres import create_engine
from tests.plugin import NewDatabase

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
    """
    INSERT INTO merchant (
        merchant_id, corridor, stripe_account_id, state, create_request_id, create_time,
        update_time
    )
    SELECT row.id, 'default', row.account, row.state, row.request, now, now
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    CROSS JOIN LATERAL (VALUES
        ('shop-1', NULL, 'CREATING', 'create-1'), ('shop-2', 'acct_2', 'CONNECTED', 'create-2')
    ) AS row (id, account, state, request)
    """,
    """
    INSERT INTO merchant_request (
        request_id, method, body, fingerprint, idempotency_key, merchant_id, answer, failure,
        create_time, answer_time
    )
    SELECT
        row.id, row.method, '', decode(repeat('00', 32), 'hex'), row.id, row.merchant,
        decode(row.answer, 'hex'), row.failure::jsonb, now, row.answer_time
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    CROSS JOIN LATERAL (VALUES
        ('create-1', 'CreateMerchant', 'shop-1', NULL, NULL, NULL),
        ('create-2', 'CreateMerchant', 'shop-2', '0102', NULL, now),
        ('create-3', 'CreateMerchant', 'shop-2', NULL, '{"code": "ALREADY_EXISTS"}', now),
        ('tax-1', 'CreateTaxId', 'shop-2', NULL, NULL, NULL)
    ) AS row (id, method, merchant, answer, failure, answer_time)
    """,
    """
    INSERT INTO customer (
        customer_id, corridor, stripe_customer_id, state, failure_code, default_payment_method,
        create_request_id, create_time, update_time
    )
    SELECT 'ada', 'default', '', 'CREATING', '', '', 'create-1', now, now
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    """,
    """
    INSERT INTO customer_request (
        request_id, method, body, fingerprint, idempotency_key, subject_id, create_time
    )
    SELECT 'create-1', 'CreateCustomer', '', '', 'gw-1', 'ada', now
    FROM (SELECT timestamptz '2026-11-01T00:00:00Z' AS now) AS clock
    """,
]


async def test_operations_are_moved_as_they_were(new_database: NewDatabase) -> None:
    url = new_database("gateway")
    await asyncio.to_thread(migrate_to, url, "gateway", "0013")
    with psycopg.connect(url, autocommit=True) as connection:
        # Their payments are of no matter here.
        connection.execute("ALTER TABLE payment_operation DISABLE TRIGGER ALL")
        for statement in OLD:
            connection.execute(statement)
    # Later migrations only add columns to them.
    await asyncio.to_thread(migrate_to, url, "gateway", "head")
    engine = create_engine(url, role=None, pool_size=1, application_name="test")
    async with engine.connect() as connection:
        ended, unknown = await store.operations_of(connection, "pay_1")
        [payout] = await store.operations_of(connection, "pyo_1")
        [account] = await store.operations_of(connection, "merchant.shop-1")
        [customer] = await store.operations_of(connection, "customer.1")
        records = [
            await known_request(connection, table, request_id)
            for table, request_id in (
                *((MERCHANT_REQUEST, f"create-{number}") for number in (1, 2, 3)),
                (MERCHANT_REQUEST, "tax-1"),
                (CUSTOMER_REQUEST, "create-1"),
            )
        ]
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
    # Sent under a key of before, which is not sent again: it is only looked up.
    for undecided, kind in ((account, K.CREATE_ACCOUNT), (customer, K.CREATE_CUSTOMER)):
        assert (undecided.kind, undecided.state) == (kind, S.UNKNOWN)
        assert next_step(undecided, datetime.now(UTC)) is Step.RESOLVE
    begun, answered, refused, anew, made = records
    assert begun is not None
    assert (begun.method, begun.operation_id) == ("CreateMerchantRequest", account.id)
    assert answered is not None
    assert (answered.answer, answered.operation_id) == (b"\x01\x02", None)
    assert refused is not None
    assert refused.refusal == {"code": "ALREADY_EXISTS"}
    assert anew is None
    assert made is not None
    assert (made.subject_id, made.operation_id) == ("ada", customer.id)


async def test_requests_go_to_the_service_that_they_were_of(new_database: NewDatabase) -> None:
    url = new_database("gateway")
    await asyncio.to_thread(migrate_to, url, "gateway", "0014")
    methods = ("AcceptDisputeRequest", "CreatePayoutRequest", "SubmitDisputeEvidence")
    with psycopg.connect(url, autocommit=True) as connection:
        for number, method in enumerate(methods):
            connection.execute(
                """
                INSERT INTO stripe_request (
                    request_id, method, body, fingerprint, subject_id, operation_id, answer,
                    create_time
                ) VALUES (%s, %s, '', decode(repeat('00', 32), 'hex'), 'subject', 'op_1', 'a', %s)
                """,
                (f"request-{number}", method, NOW),
            )
    await asyncio.to_thread(migrate_to, url, "gateway", "0015")
    engine = create_engine(url, role=None, pool_size=1, application_name="test")
    for table, wanted in ((DISPUTE_REQUEST, [0, 2]), (PAYOUT_REQUEST, [1])):
        async with engine.connect() as connection:
            found = [await known_request(connection, table, f"request-{n}") for n in range(3)]
        assert [number for number in range(3) if found[number] is not None] == wanted
        kept = found[wanted[0]]
        assert kept == RequestRecord(
            f"request-{wanted[0]}", methods[wanted[0]], "subject", NOW, "op_1", b"a"
        )
    await engine.dispose()

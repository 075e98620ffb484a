"""VerifyLedger finds what somebody with the right to update a projection did to it."""

import grpc
import psycopg
import pytest

from ledger.v1 import audit_service_pb2 as audit
from tests.ledger.client import LedgerClient, failure_of, transfer


@pytest.fixture
async def used(bank: LedgerClient) -> LedgerClient:
    await bank.create(transfer("wallet", "cash", 100))
    await bank.hold("payable", "wallet", 40)
    return bank


async def changed(url: str, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SET ROLE ledger_service")
        await connection.execute(statement.encode())


async def test_an_untouched_ledger_is_intact(used: LedgerClient) -> None:
    found = await used.verify()
    assert (found.intact, found.sequence, found.accounts, found.entries) == (True, 2, 4, 4)
    assert not found.HasField("first_difference")


@pytest.mark.parametrize(
    ("statement", "projection", "account", "expected", "found"),
    [
        (
            "UPDATE balances SET posted_debits = 101 WHERE account_number = 1",
            "balance",
            "cash",
            "100 0 0 0 1",
            "101 0 0 0 1",
        ),
        (
            "UPDATE holds SET remaining = 39 WHERE entry_index = 1",
            "hold",
            "payable",
            "40",
            "39",
        ),
        ("UPDATE ledger_heads SET last_sequence = 3", "head", "", "2", "3"),
    ],
)
async def test_the_first_difference_is_reported(
    used: LedgerClient,
    url: str,
    statement: str,
    projection: str,
    account: str,
    expected: str,
    found: str,
) -> None:
    await changed(url, statement)
    difference = (await used.verify()).first_difference
    assert (difference.projection, difference.account) == (projection, account)
    assert (difference.expected, difference.found) == (expected, found)


async def test_a_wrong_running_balance_is_found(used: LedgerClient, url: str) -> None:
    """A writer of his own can add a transaction that balances but lies about the totals."""
    await changed(
        url,
        """
        WITH t AS (
            INSERT INTO transactions (ledger_id, sequence, kind, entry_count, record_time, body)
            VALUES (1, 3, 1, 2, now(), '')
        )
        INSERT INTO entries (
            ledger_id, sequence, entry_index, account_number, direction, effect, amount,
            posted_debits, posted_credits, pending_debits, pending_credits, version
        )
        VALUES (1, 3, 0, 1, 1, 1, 5, 999, 0, 0, 0, 2), (1, 3, 1, 2, 2, 1, 5, 0, 5, 0, 0, 1)
        """,
    )
    await changed(url, "UPDATE ledger_heads SET last_sequence = 3")
    difference = (await used.verify()).first_difference
    assert (difference.projection, difference.sequence) == ("running_balance", 3)
    assert (difference.expected, difference.found) == ("105 0 0 0 2", "999 0 0 0 2")


async def test_proofs_say_that_they_are_not_built_yet(used: LedgerClient) -> None:
    for call, feature in (
        (used.audit.GetCheckpoint(audit.GetCheckpointRequest(ledger="main")), "checkpoints"),
        (
            used.audit.GetInclusionProof(audit.GetInclusionProofRequest(ledger="main", sequence=1)),
            "inclusion_proofs",
        ),
        (
            used.audit.GetConsistencyProof(
                audit.GetConsistencyProofRequest(ledger="main", first_tree_size=1)
            ),
            "consistency_proofs",
        ),
    ):
        error = await failure_of(call)
        assert error.code is grpc.StatusCode.UNIMPLEMENTED
        assert error.metadata == {"feature": feature}

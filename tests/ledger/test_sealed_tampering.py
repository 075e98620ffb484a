"""What is sealed stays: against the service, its owner, and an owner without triggers."""

import psycopg
import pytest
from prometheus_client import REGISTRY

from ledger.placements import DEFAULT_SHARD
from ledger.seals import Seals, TamperedError
from runtime.clock import ManualClock
from tests.ledger.client import LedgerClient
from tests.ledger.sealers import checkpoints, grow, new_sealer

SHARD = {"shard": DEFAULT_SHARD}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transactions SET leaf_hash = sha256('') WHERE sequence = 299",
        "UPDATE sealed_nodes SET hash = sha256('') WHERE level = 8",
        "DELETE FROM sealed_nodes",
        "ALTER TABLE transactions DROP CONSTRAINT transactions_pkey CASCADE;"
        " DELETE FROM transactions WHERE sequence = 299",
    ],
)
async def test_nothing_is_signed_on_top_of_what_was_changed(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str, statement: str
) -> None:
    """By an owner who takes the triggers away. The other ledger is sealed all the same."""
    await grow(unsealed, 300)
    await new_sealer(seals, clock).seal_all()
    await grow(unsealed, 10)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in ("transactions", "sealed_nodes"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only".encode())
        for part in statement.split(";"):
            await connection.execute(part.encode())
    unsealed.ledger = "other"
    await unsealed.create_ledger()
    await unsealed.account("cash")
    await unsealed.account("safe")
    await grow(unsealed, 5)
    sealer = new_sealer(seals, clock)
    with pytest.raises(TamperedError):
        await sealer.seal((await seals.pending(0, 10))[0])
    await sealer.seal_all()
    assert [c.tree_size for c in await checkpoints(seals, 1)] == [300]
    assert [c.tree_size for c in await checkpoints(seals, 2)] == [5]
    assert REGISTRY.get_sample_value("ledger_unsealed_transactions", SHARD) == 10


async def test_a_ledger_that_cannot_be_sealed_holds_up_no_other(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    """Its accounts are not what the sealer asserts of them, which is no tampering that it knows."""

    def failures() -> tuple[float, float]:
        items = {"items": "ledgers to seal", "failure": "unhandled"}
        return (
            REGISTRY.get_sample_value("loop_items_failed_total", items) or 0,
            REGISTRY.get_sample_value("ledger_seals_total", {"result": "failed"}) or 0,
        )

    await grow(unsealed, 7)
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("ALTER TABLE accounts DISABLE TRIGGER ALL")
        await connection.execute("UPDATE accounts SET account_number = account_number + 10")
    unsealed.ledger = "other"
    await unsealed.create_ledger()
    await unsealed.account("cash")
    await unsealed.account("safe")
    await grow(unsealed, 5)
    sealer = new_sealer(seals, clock)
    before = failures()
    for times in (1, 2):
        assert await sealer.seal_all() is False
        assert failures() == (before[0] + times, before[1] + times)
    assert await checkpoints(seals, 1) == []
    assert [c.tree_size for c in await checkpoints(seals, 2)] == [5]
    assert REGISTRY.get_sample_value("ledger_unsealed_transactions", SHARD) == 7


async def test_neither_the_service_nor_the_owner_changes_what_is_sealed(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    await grow(unsealed, 256)
    await new_sealer(seals, clock).seal_all()
    changes = ("UPDATE {} SET ledger_id = 1", "DELETE FROM {}", "TRUNCATE {}")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for table in ("checkpoints", "sealed_nodes"):
            for change in changes:
                with pytest.raises(psycopg.errors.RestrictViolation):
                    await connection.execute(change.format(table).encode())
        await connection.execute("SET ROLE ledger_service")
        for table in ("checkpoints", "sealed_nodes"):
            for change in changes:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(change.format(table).encode())


async def test_the_database_keeps_checkpoints_in_one_line(
    unsealed: LedgerClient, seals: Seals, clock: ManualClock, url: str
) -> None:
    await grow(unsealed, 3)
    await new_sealer(seals, clock).seal_all()
    statement = """
        INSERT INTO checkpoints VALUES (1, %s, %s, sha256(''), 2, sha256(''), 'note', now())
    """
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for size, previous, error in (
            (3, 1, psycopg.errors.UniqueViolation),
            (2, 0, psycopg.errors.UniqueViolation),
            (2, 2, psycopg.errors.CheckViolation),
            (4, 3, psycopg.errors.ForeignKeyViolation),
        ):
            with pytest.raises(error):
                await connection.execute(statement, [size, previous])

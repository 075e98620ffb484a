"""Imports from Parquet tables."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.load.tables import Table, cut
from runtime.clock import ManualClock
from tests.ledger.books import last_sequence
from tests.ledger.running import (
    Served,
    load,
    serving,
)


@pytest.fixture
async def served(url: str, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with an empty ledger."""
    async with serving(url, clock) as service:
        await service.client.create_ledger()
        yield service


async def test_tables(served: Served, tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {
                "name": ["cash", "payable"],
                "currency": ["EUR", "EUR"],
                "normal_balance": pa.array(["DEBIT", "CREDIT"]).dictionary_encode(),
                "min_available": pa.array([None, 0], pa.int64()),
            }
        ),
        tmp_path / "accounts.parquet",
    )
    count = 2_500
    pq.write_table(
        entries_table(
            [
                (f"t-{number}", name, side, number + 1)
                for number in range(count)
                for name, side in (("cash", "DEBIT"), ("payable", "CREDIT"))
            ]
        ),
        tmp_path / "entries.parquet",
    )
    files = (tmp_path / "accounts.parquet", tmp_path / "entries.parquet")
    ran = await load(served, *files)
    assert ran.code == 0, ran.said
    assert await served.client.posted("payable") == count * (count + 1) // 2
    found = (await served.client.get("t-7")).transaction
    assert (found.reference, found.metadata["n"]) == ("ref t-7", "t-7")
    assert found.effective_time.ToDatetime(UTC) == EFFECTIVE
    assert found.entries[1].description == "CREDIT"
    assert (await load(served, *files)).code == 0
    assert await last_sequence(served.client) == count


EFFECTIVE = datetime(2025, 6, 1, 12, 30, 0, 123456, tzinfo=UTC)


def entries_table(rows: Sequence[tuple[str | None, str, str, int]]) -> pa.Table:
    ids, accounts, sides, amounts = zip(*rows, strict=True)
    return pa.table(
        {
            "request_id": pa.array(ids, pa.large_string()),
            "account": pa.array(accounts).dictionary_encode(),
            "direction": pa.array(sides),
            "amount": pa.array(amounts, pa.int32()),
            "currency": pa.array(["EUR"] * len(rows)),
            "description": pa.array(sides),
            "effective_time": pa.array([EFFECTIVE] * len(rows), pa.timestamp("ns", tz="CET")),
            "reference": pa.array([f"ref {request_id}" for request_id in ids]),
            "metadata": pa.array(
                [[("n", str(request_id))] for request_id in ids], pa.map_(pa.string(), pa.string())
            ),
        }
    )


async def test_bad_tables(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"

    async def said(table: pa.Table) -> str:
        pq.write_table(table, file)
        ran = await load(served, file)
        assert ran.code == 2, ran.said
        return ran.said

    pair = [("a", "cash", "DEBIT", 1), ("a", "payable", "CREDIT", 1)]
    good = entries_table(pair)
    assert "the table lacks account" in await said(good.drop_columns(["account"]))
    assert "has an unknown reason" in await said(good.append_column("reason", good["account"]))
    wrong = good.set_column(3, "amount", pa.array([1.0, 1.0]))
    assert "column amount is double, not int64" in await said(wrong)
    naive = good.set_column(6, "effective_time", pa.array([1, 1], pa.timestamp("us")))
    assert "column effective_time is timestamp[us]" in await said(naive)
    huge = good.set_column(3, "amount", pa.array([2**63, 1], pa.uint64()))
    assert "after row 0" in await said(huge)
    missing = entries_table([*pair, (None, "cash", "DEBIT", 1)])
    assert f"{file}, row 3: request_id is required" in await said(missing)
    sides = entries_table([*pair, ("b", "cash", "LEFT", 1)])
    assert f"{file}, row 3: direction is neither DEBIT nor CREDIT" in await said(sides)
    single = entries_table([*pair, ("b", "cash", "DEBIT", 1)])
    assert f"{file}, row 3: create.entries has fewer than 2 items" in await said(single)
    mixed = good.set_column(7, "reference", pa.array(["x", "y"]))
    assert "row 2: reference is not that of the transaction's first row" in await said(mixed)
    file.write_bytes(file.read_bytes()[:-100])
    assert (await load(served, file)).code == 2
    assert await last_sequence(served.client) == 0


def test_times_finer_than_the_ledgers_are_cut_off(tmp_path: Path) -> None:
    """To the microsecond before, as those of requests are, and whatever zone they are shown in."""
    nanos = [1_999, 1_000, 999, 0, -1, -1_001, None]
    table = pa.table(
        {
            "request_id": [f"t-{index}" for index in range(len(nanos))],
            "account": ["cash"] * len(nanos),
            "direction": ["DEBIT"] * len(nanos),
            "amount": [1] * len(nanos),
            "currency": ["EUR"] * len(nanos),
            "effective_time": pa.array(nanos, pa.int64()).cast(
                pa.timestamp("ns", "Asia/Kathmandu")
            ),
        }
    )
    rows = cut(table.to_batches()[0])
    assert rows["effective_time"].cast(pa.int64()).to_pylist() == [1, 1, 0, 0, -1, -2, None]
    pq.write_table(table, tmp_path / "fine.parquet")
    lines = list(Table(tmp_path / "fine.parquet").given(0))
    assert len(lines) == len(nanos)

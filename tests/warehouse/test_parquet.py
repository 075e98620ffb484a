"""Exports as Parquet: exact, what is new and no more, named only once they are whole."""

import asyncio
import hashlib
import io
import json
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from runtime.clock import ManualClock
from runtime.progress import Progress
from tests.ledger.running import Ran
from tests.warehouse.loading import LEDGER, run_dying
from tests.warehouse.stores import DuckDbStore, Store
from tests.warehouse.test_facts import EXTREMES, SOURCE, changes, moved, paid, payouts
from tests.warehouse.test_loading import a_leaf, span_of
from warehouse.facts.columns import Column, Type
from warehouse.facts.rows import Position
from warehouse.facts.tables import PAYOUTS
from warehouse.jobs import CANNOT, EQUAL, REFUSED, STOPPED
from warehouse.parquet.command import open_place, parser, run
from warehouse.parquet.exporter import Exporter
from warehouse.parquet.files import parquet_bytes
from warehouse.parquet.places import Folder
from warehouse.sink import LoadRefusedError


async def export(store: Store, to: str | Path, clock: ManualClock) -> Ran:
    """The command from start to end."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in store.environment.items():
            patched.setenv(name, value)
        parsed = parser().parse_args(["--to", str(to), *store.arguments])
        code = await run(parsed, Progress(said, clock), clock)
    return Ran(code, said.getvalue())


def manifests(place: Path) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted(place.glob("manifests/*.json"))]


def named(place: Path, table: str) -> list[str]:
    """The files of a table, as a reader has to find them."""
    return [
        str(place / file["path"])
        for manifest in manifests(place)
        for file in manifest["files"]
        if file["table"] == table
    ]


def read(place: Path, table: str, columns: str, order: str) -> list[tuple[Any, ...]]:
    """Rows of a table in all files that manifests name."""
    with duckdb.connect() as connection:
        return connection.execute(
            f"SELECT {columns} FROM read_parquet($files, union_by_name = true) ORDER BY {order}",
            {"files": named(place, table)},
        ).fetchall()


def book(store: Store, *sequences: int) -> None:
    """Transactions of a ledger with amounts of 64 bits, on three days."""
    leaves = [
        a_leaf(
            sequence,
            record_time=f"2026-01-{sequence % 3 + 1:02}T23:59:59.999999Z",
            entries=[
                {"account": f"a/{side}", "amount": str(2**63 - sequence), "currency": "EUR"}
                | {"direction": side, "effect": "POST"}
                for side in ("DEBIT", "CREDIT")
            ],
        )
        for sequence in sequences
    ]
    with store.sink.load(span_of(*leaves, after=store.sink.position(LEDGER))) as load:
        load.keep()


def fill(store: Store) -> Store:
    """A warehouse with a ledger and facts."""
    store.sink.prepare()
    store.facts.prepare()
    book(store, *range(1, 6))
    store.facts.take(SOURCE, Position(), changes(moved(1, **EXTREMES), moved(2)))
    store.facts.take(PAYOUTS, Position(), payouts(paid("a", amount_minor=-(2**63)), paid("b")))
    return store


@pytest.fixture
def loaded(store: Store) -> Store:
    return fill(store)


@pytest.fixture
def in_duckdb(tmp_path: Path, clock: ManualClock) -> Store:
    """A few transactions of a ledger, of one day."""
    store = DuckDbStore(tmp_path / "filled.duckdb", clock)
    store.sink.prepare()
    store.facts.prepare()
    book(store, 1)
    return store


LEDGER_COLUMNS = "sequence, entry_index, account, currency, direction, effect, amount_minor"


async def test_every_row_is_exported_once_and_what_is_new_comes_after(
    loaded: Store, tmp_path: Path, clock: ManualClock
) -> None:
    place = tmp_path / "place"
    ran = await export(loaded, place, clock)
    assert ran.code == EQUAL
    assert ran.said.startswith("manifest 1: ")
    entries = f"SELECT {LEDGER_COLUMNS} FROM ledger_entry ORDER BY 1, 2"
    assert read(place, "ledger_entry", LEDGER_COLUMNS, "1, 2") == loaded.rows(entries)
    leaves = "SELECT sequence, leaf FROM ledger_transaction ORDER BY 1"
    assert read(place, "ledger_transaction", "sequence, leaf", "1") == loaded.rows(leaves)
    texts = [f"{name} AT TIME ZONE 'UTC'" if name.endswith("_time") else name for name in EXTREMES]
    found = read(place, "balance_transaction_version", ", ".join(texts), "sequence")
    wanted = [v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in EXTREMES.values()]
    assert list(found[0]) == wanted
    files = named(place, "ledger_entry")
    assert (await export(loaded, place, clock)).said == "nothing is new since the last export\n"
    book(loaded, *range(6, 9))
    loaded.facts.take(SOURCE, loaded.facts.position(SOURCE), changes(moved(3)))
    assert (await export(loaded, place, clock)).code == EQUAL
    assert read(place, "ledger_entry", LEDGER_COLUMNS, "1, 2") == loaded.rows(entries)
    assert read(place, "balance_transaction_version", "sequence", "1") == [(1,), (2,), (3,)]
    assert read(place, "payout_version", "payout_id, amount_minor", "1") == [
        *(("a", -(2**63)), ("b", 7))
    ]
    # What was there has not been written again.
    assert set(files) < set(named(place, "ledger_entry"))
    first, second = manifests(place)
    content = (place / "manifests/000000000001.json").read_bytes()
    assert second["previous_sha256"] == hashlib.sha256(content).hexdigest()
    assert first["previous_sha256"] == ""
    assert {file["table"] for file in second["files"]} == {
        *("ledger_transaction", "ledger_entry", "balance_transaction_version")
    }
    for manifest in (first, second):
        for file in manifest["files"]:
            written = (place / file["path"]).read_bytes()
            assert hashlib.sha256(written).hexdigest() == file["sha256"]
            assert len(written) == file["bytes"]
            assert f"record_day={file['record_day']}/" in file["path"]
            assert file["first"] <= file["last"]
    proofs = {file["table"]: file["proven"] for file in first["files"]}
    assert proofs["ledger_entry"] == "trial balance"
    assert proofs["balance_transaction_version"] == "feed"
    assert proofs["payout_version"] == "list"


def test_a_file_holds_every_value_and_type() -> None:
    columns = [Column(f"c{number}", kind) for number, kind in enumerate(Type)]
    values: dict[Type, Sequence[Any]] = {
        Type.INTEGER: [2**63 - 1, -(2**63), 0, None],
        Type.TEXT: ["", 'ü\n\x01"\\', "x" * 70_000, None],
        Type.BOOLEAN: [True, False, True, None],
        Type.TIME: [
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            None,
        ],
    }
    rows = [{c.name: values[c.type][number] for c in columns} for number in range(4)]
    content = parquet_bytes(columns, [*rows, rows[0]])
    assert content[:4] == content[-4:] == b"PAR1"
    with pytest.raises(duckdb.ConversionException):
        parquet_bytes(columns, [{"c0": 2**63}])


def test_a_file_that_holds_something_else_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("a", Type.INTEGER)]
    for changed in (
        "SELECT a + 1 AS a FROM given_rows",
        "SELECT cast(a AS INTEGER) AS a FROM given_rows",
    ):
        write = f"COPY ({changed}) TO '{{path}}' (FORMAT parquet)"
        monkeypatch.setattr("warehouse.parquet.files.WRITE", write)
        with pytest.raises(LoadRefusedError, match="rows of a file are not as they were given"):
            parquet_bytes(columns, [{"a": 1}])


async def test_a_file_is_bounded_and_is_of_one_day(
    loaded: Store, tmp_path: Path, clock: ManualClock
) -> None:
    progress = Progress(io.StringIO(), clock)
    # A transaction's entries may be in two files.
    exporter = Exporter(loaded.facts, Folder(tmp_path), parquet_bytes, progress, clock, 3)
    manifest = await exporter.export()
    assert manifest is not None
    assert all(file.rows <= 3 for file in manifest.files)
    assert read(tmp_path, "ledger_entry", LEDGER_COLUMNS, "1, 2") == loaded.rows(
        f"SELECT {LEDGER_COLUMNS} FROM ledger_entry ORDER BY 1, 2"
    )
    for name in named(tmp_path, "ledger_transaction"):
        with duckdb.connect() as connection:
            days = connection.execute(
                "SELECT DISTINCT cast(record_time AT TIME ZONE 'UTC' AS date)::varchar"
                f" FROM read_parquet('{name}')"
            ).fetchall()
        assert [f"record_day={day}" in name for (day,) in days] == [True]


async def test_an_export_in_between_wins_and_the_other_one_names_nothing(
    in_duckdb: Store, tmp_path: Path, clock: ManualClock
) -> None:
    class Slow(Folder):
        """A place where somebody else's manifest comes first."""

        async def put(self, name: str, content: bytes) -> bool:
            if name.startswith("manifests/"):
                assert (await export(in_duckdb, tmp_path, clock)).code == EQUAL
            return await super().put(name, content)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("warehouse.parquet.command.open_place", _once(Slow(tmp_path), tmp_path))
        ran = await export(in_duckdb, tmp_path, clock)
    assert ran.code == STOPPED
    assert "another export has come first" in ran.said
    assert len(manifests(tmp_path)) == 1
    assert (
        await export(in_duckdb, tmp_path, clock)
    ).said == "nothing is new since the last export\n"


async def test_a_killed_export_is_not_seen(
    in_duckdb: Store, tmp_path: Path, clock: ManualClock
) -> None:
    store = in_duckdb
    place = tmp_path / "place"
    ended = await run_dying(store, "manifest", "parquet", "--to", str(place))
    assert ended == -signal.SIGKILL
    assert list(place.rglob("*.parquet"))
    assert manifests(place) == []
    assert (await export(store, place, clock)).code == EQUAL
    assert read(place, "ledger_entry", LEDGER_COLUMNS, "1, 2") == store.rows(
        f"SELECT {LEDGER_COLUMNS} FROM ledger_entry ORDER BY 1, 2"
    )
    assert not list(place.rglob("*.part"))


async def test_storage_that_speaks_s3(in_duckdb: Store, clock: ManualClock, s3_url: str) -> None:
    ran = await export(in_duckdb, s3_url, clock)
    assert (ran.code, ran.said[:12]) == (EQUAL, "manifest 1: ")
    assert (await export(in_duckdb, s3_url, clock)).said == "nothing is new since the last export\n"
    async with AsyncExitStack() as stack:
        place: Any = await open_place(stack, s3_url)
        content = await place.last_manifest()
        assert content is not None
        told = json.loads(content)
        for file in told["files"]:
            written = await place._storage.read(file["path"], 2**24)
            assert hashlib.sha256(written).hexdigest() == file["sha256"]
        assert not await place.put("manifests/000000000001.json", b"another")
        assert await place.last_manifest() == content


CHANGES = {
    "another warehouse": "UPDATE warehouse_identity SET identity = 'other'",
    "fewer loads": "UPDATE warehouse_source SET load_number = 1 WHERE source = 'payouts'",
    "not the one that was proven": "UPDATE ledger_transaction SET leaf = '{}'",
    "changes of its feed": "DELETE FROM balance_transaction_version WHERE sequence = 1",
}


@pytest.mark.parametrize("told", CHANGES)
async def test_a_warehouse_with_another_past_is_refused(
    loaded: Store, tmp_path: Path, clock: ManualClock, told: str
) -> None:
    position = loaded.facts.position(PAYOUTS)
    loaded.facts.take(PAYOUTS, position, payouts(paid("c")))
    assert (await export(loaded, tmp_path, clock)).code == EQUAL
    loaded.change(CHANGES[told])
    ran = await export(loaded, tmp_path, clock)
    assert ran.code == REFUSED
    assert told in ran.said
    assert len(manifests(tmp_path)) == 1


async def test_what_cannot_be_done_is_said_in_a_line(
    store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    away = "s3://bucket/x?endpoint=http://127.0.0.1:9&region=us-east-1"
    for to, code, told in (
        ("s3://user:secret@bucket", CANNOT, "--to is not s3://BUCKET"),
        (away, STOPPED, "the storage answers"),
        (str(tmp_path / "file"), CANNOT, "file"),
    ):
        (tmp_path / "file").write_text("no folder")
        store.sink.prepare()
        store.facts.prepare()
        store.facts.take(PAYOUTS, store.facts.position(PAYOUTS), payouts(paid(to)))
        ran = await export(store, to, clock)
        assert (ran.code, told in ran.said, "secret" in ran.said) == (code, True, False)
    broken = tmp_path / "broken"
    (broken / "manifests").mkdir(parents=True)
    (broken / "manifests/000000000001.json").write_text("{}")
    ran = await export(store, broken, clock)
    assert (ran.code, "manifest cannot be read" in ran.said) == (CANNOT, True)


def _once(first: Folder, then: Path) -> Any:
    """The first place once, and then plain folders."""
    places = [first]

    async def opened(*_: Any) -> Folder:
        return places.pop() if places else Folder(then)

    return opened


async def test_a_warehouse_that_is_not_there_is_not_made(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "boks.duckdb"
    ran = await export(DuckDbStore(path, clock), tmp_path / "exports", clock)
    assert ran == Ran(CANNOT, f"warehouse: --duckdb {path}: there is no such file\n")
    assert not await asyncio.to_thread(path.exists)

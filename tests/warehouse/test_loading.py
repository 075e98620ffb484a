"""What is loaded is what the ledger has, once, however it comes, or it is not kept."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from ledger.limits import Limits
from runtime.clock import ManualClock
from sandbox.child import child_command
from sandbox.polling import poll
from tests.ledger.client import CREDIT_NORMAL, transfer
from tests.ledger.running import START, Served, serving, write_many
from tests.plugin import NewDatabase
from tests.warehouse.loading import LEDGER, load, loader_of, log_of, run_dying, trial_balance
from tests.warehouse.stores import DuckDbStore, PostgresStore, Store
from warehouse.jobs import CANNOT, EQUAL, REFUSED, STOPPED
from warehouse.loader import LoadLimits, load_proven
from warehouse.sink import AnotherLoadError, LoadRefusedError, Position, Span, leaf_hash
from warehouse.totals import Key, Totals, differences, told

LEAVES = "SELECT leaf FROM ledger_transaction WHERE ledger = 'main' ORDER BY sequence"
LOADS = "SELECT through_sequence FROM ledger_load WHERE ledger = 'main' ORDER BY 1"


def leaves_in(store: Store) -> Sequence[bytes]:
    return [leaf.encode() for (leaf,) in store.rows(LEAVES)]


async def test_rows_are_what_the_ledger_has(
    served: Served, store: Store, clock: ManualClock
) -> None:
    ran = await load(served, store, clock)
    log = await log_of(served)
    assert (ran.code, ran.said) == (
        EQUAL,
        f"main: equal to the ledger up to transaction {len(log)}\n",
    )
    assert leaves_in(store) == log
    assert store.rows(LOADS) == [(len(log),)]
    # Read with another reader than the one that loads.
    wanted = [
        (
            int(leaf["sequence"]),
            index,
            entry["account"],
            entry["currency"],
            entry["direction"],
            entry["effect"],
            int(entry["amount"]),
            entry.get("description"),
            None if "source_entry" not in entry else int(entry["source_entry"]),
        )
        for leaf in map(json.loads, log)
        for index, entry in enumerate(leaf["entries"])
    ]
    columns = "account, currency, direction, effect, amount_minor, description, source_entry"
    assert (
        store.rows(f"SELECT sequence, entry_index, {columns} FROM ledger_entry ORDER BY 1, 2")
        == wanted
    )
    told = store.rows(
        "SELECT kind, request_id, reference, settles, reverses, metadata FROM ledger_transaction"
        " ORDER BY sequence"
    )
    assert [
        (kind, request, reference, settles, reverses, metadata and json.loads(metadata))
        for kind, request, reference, settles, reverses, metadata in told
    ] == [
        (
            leaf["kind"],
            leaf.get("request_id"),
            leaf.get("reference"),
            int(leaf["settles"]) if "settles" in leaf else None,
            int(leaf["reverses"]) if "reverses" in leaf else None,
            leaf.get("metadata"),
        )
        for leaf in map(json.loads, log)
    ]


async def test_the_trial_balance_of_the_rows_is_the_ledgers(
    served: Served, store: Store, clock: ManualClock
) -> None:
    await load(served, store, clock)
    wanted = {
        (line.balance.account, line.balance.currency_code): (
            line.balance.posted_debits_minor,
            line.balance.posted_credits_minor,
        )
        for line in (await trial_balance(served)).lines
        if line.balance.posted_debits_minor or line.balance.posted_credits_minor
    }
    rows = store.rows(
        "SELECT account, currency, debits_minor, credits_minor FROM ledger_trial_balance"
    )
    assert {(row[0], row[1]): (int(row[2]), int(row[3])) for row in rows} == wanted


async def test_what_is_new_is_added_in_bounded_loads(
    served: Served, store: Store, clock: ManualClock
) -> None:
    limits = LoadLimits(leaves=200)
    loader = loader_of(served, store, clock, limits)
    first = await loader.run()
    # Nothing is new.
    assert await loader.run() == first
    assert store.rows(LOADS) == [(first,)]
    await write_many(served.client, 1_000)
    assert await loader.run() == first + 1_000
    assert leaves_in(store) == await log_of(served)
    loads = [through for (through,) in store.rows(LOADS)]
    # A message has at most 200, and the last of the load before comes once more.
    assert all(before < after <= before + 400 for before, after in pairwise(loads))
    assert len(loads) >= 4


async def test_a_load_takes_no_more_bytes_than_its_bound_and_a_message(
    served: Served, store: Store, clock: ManualClock
) -> None:
    await write_many(served.client, 1_000)
    loader = loader_of(served, store, clock, LoadLimits(leaf_bytes=1))
    await loader.run()
    assert len(store.rows(LOADS)) >= 5
    assert leaves_in(store) == await log_of(served)


async def test_a_hold_whose_time_has_come_counts_no_more(
    service_database: NewDatabase, store: Store, clock: ManualClock
) -> None:
    """Its expiry is recorded with what is booked next; the ledger's answer does not wait for it."""
    one_by_one = Limits(sweep_interval_seconds=86_400.0, expiries_per_commit=1)
    async with serving(service_database("ledger"), clock, one_by_one) as served:
        client = served.client
        await client.create_ledger()
        await client.account("cash")
        await client.account("wallet", CREDIT_NORMAL)
        for number in range(4):
            soon = clock.now() + timedelta(minutes=1)
            await client.hold("wallet", "cash", 10 + number, f"hold-{number}", expire_time=soon)
        await client.post("hold-3", {0: 3, 1: 3})
        loader = loader_of(served, store, clock)
        await loader.run()
        clock.advance(timedelta(minutes=2))
        await client.create(transfer("wallet", "cash", 5), "after")
        # Some of the holds are recorded as expired by now, and none of them counts.
        await loader.run()
        lines = (await trial_balance(served)).lines
        assert {line.balance.pending_debits_minor for line in lines} == {0}
        while await loader.run() < 12:
            await client.create(transfer("wallet", "cash", 1))
        assert leaves_in(store) == await log_of(served)


CHANGES = {
    "an amount": (
        "UPDATE ledger_entry SET amount_minor = amount_minor + 1 WHERE sequence = 1"
        " AND entry_index = 0"
    ),
    "an account": "UPDATE ledger_entry SET account = 'wallets/b' WHERE account = 'wallets/a'",
    "a currency": "UPDATE ledger_entry SET currency = 'USD' WHERE account = 'assets/cash'",
    "a direction": "UPDATE ledger_entry SET direction = 'DEBIT' WHERE sequence = 1",
    "a hold": "DELETE FROM ledger_entry WHERE effect = 'HOLD' AND amount_minor = 70",
    "a row that is missing": "DELETE FROM ledger_entry WHERE sequence = 1",
    "a row too many": (
        "INSERT INTO ledger_entry (ledger, sequence, entry_index, account, currency, direction,"
        " effect, amount_minor, record_time, effective_time) SELECT ledger, sequence, 99, account,"
        " currency, direction, effect, amount_minor, record_time, effective_time"
        " FROM ledger_entry WHERE sequence = 1 AND entry_index = 0"
    ),
}


@pytest.mark.parametrize("what", CHANGES)
async def test_rows_that_were_changed_refuse_the_next_load(
    served: Served, store: Store, clock: ManualClock, what: str
) -> None:
    await load(served, store, clock)
    before = leaves_in(store)
    store.change(CHANGES[what])
    await write_many(served.client, 1)
    ran = await load(served, store, clock)
    assert ran.code == REFUSED
    assert f"warehouse: main refused: at {len(before) + 1} " in ran.said
    assert "the rows have" in ran.said
    # Nothing of it was kept.
    assert leaves_in(store) == before
    assert store.rows(LOADS) == [(len(before),)]


async def test_a_ledger_with_another_past_is_refused(
    served: Served, store: Store, clock: ManualClock, service_database: NewDatabase
) -> None:
    await load(served, store, clock)
    before = leaves_in(store)
    async with serving(service_database("ledger"), ManualClock(START)) as other:
        await other.client.create_ledger()
        await other.client.account("assets/cash")
        await other.client.account("wallets/b", CREDIT_NORMAL)
        shorter = await load(other, store, clock)
        assert shorter.code == REFUSED
        assert f"the ledger ends at 0, and the warehouse has {len(before)}" in shorter.said
        for more in (len(before), 1):
            await write_many(other.client, more, f"other-{more}")
            different = await load(other, store, clock)
            assert different.code == REFUSED
            assert f"transaction {len(before)} is not the one that was loaded" in different.said
    assert leaves_in(store) == before


@pytest.mark.parametrize("late", [False, True], ids=["before the commit", "after the commit"])
async def test_a_kill_loses_and_doubles_nothing(
    served: Served, store: Store, clock: ManualClock, *, late: bool
) -> None:
    await write_many(served.client, 50)
    log = await log_of(served)
    kind = "ledger-duckdb" if isinstance(store, DuckDbStore) else "ledger-postgres"
    source = ("--address", served.address, "--ledger", LEDGER)
    assert await run_dying(store, kind, *source, late=late) == -signal.SIGKILL
    assert leaves_in(store) == (log if late else [])
    assert (await load(served, store, clock)).code == EQUAL
    assert leaves_in(store) == log
    assert store.rows(LOADS) == [(len(log),)]


def span_of(*leaves: bytes, ledger: str = LEDGER, after: Position | None = None) -> Span:
    return Span(ledger, after or Position(), leaves, START)


def a_leaf(sequence: int = 1, **changes: object) -> bytes:
    entry = {"account": "a", "amount": "5", "currency": "EUR", "direction": "DEBIT"}
    time = "2026-01-05T12:00:00.000000Z"
    leaf = {
        "effective_time": time,
        "entries": [entry | {"effect": "POST"}],
        "kind": "DIRECT",
        "ledger": LEDGER,
        "record_time": time,
        "sequence": str(sequence),
    } | changes
    return json.dumps({key: value for key, value in leaf.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("leaves", "told"),
    [
        ([b"not JSON"], "JSON|as expected"),
        ([a_leaf(2)], "those of 2 to 2, not of 1 to 1"),
        ([a_leaf(1), a_leaf(1)], "2 leaves 2 were read, 1 of them"),
        ([a_leaf(1), a_leaf(3)], "those of 1 to 3, not of 1 to 2"),
        ([a_leaf(ledger="other")], "another ledger"),
        ([a_leaf(kind=None)], "as expected"),
        ([a_leaf(record_time="yesterday, or so")], "as expected"),
        ([a_leaf(entries=[{"account": "a"}])], "as expected"),
        ([a_leaf(sequence=2**63)], "as expected|JSON"),
    ],
)
def test_leaves_that_are_no_leaves_are_refused(
    store: Store, leaves: list[bytes], told: str
) -> None:
    store.sink.prepare()
    with pytest.raises(LoadRefusedError, match=told):
        load_proven(store.sink, span_of(*leaves), {})
    assert leaves_in(store) == []
    assert store.sink.position(LEDGER) == Position()


def test_a_load_that_does_not_begin_where_the_last_one_ended_is_refused(store: Store) -> None:
    store.sink.prepare()
    elsewhere = span_of(a_leaf(8), after=Position(7, b"7" * 32))
    with pytest.raises(AnotherLoadError), store.sink.load(elsewhere):
        pass


def test_two_loads_at_once_are_one(new_database: NewDatabase, clock: ManualClock) -> None:
    store = PostgresStore(new_database("empty"), clock)
    store.sink.prepare()
    with (
        store.sink.load(span_of(a_leaf())) as first,
        pytest.raises(AnotherLoadError, match="under way"),
        store.sink.load(span_of(a_leaf())),
    ):
        pass
    assert first is not None


async def test_a_file_that_is_open_elsewhere_is_tried_again(
    served: Served, tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "books.duckdb"
    holding = (
        "import duckdb, sys\n"
        "with duckdb.connect(sys.argv[1]):\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = await asyncio.create_subprocess_exec(
        *child_command("--", sys.executable, "-c", holding, path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert await process.stdout.readline() == b"open\n"
    store = DuckDbStore(path, clock)
    ran = await load(served, store, clock)
    assert ran.code == STOPPED
    assert "is open elsewhere; run the same command again" in ran.said
    process.stdin.close()
    await process.wait()
    assert (await load(served, store, clock)).code == EQUAL


def test_every_account_that_differs_is_told() -> None:
    rows = {Key(f"a{number}", "EUR"): Totals(posted_debits=number) for number in range(8)}
    ledger = {Key("a0", "EUR"): Totals(), Key("b", "EUR"): Totals(pending_credits=3)}
    found = list(differences(rows, ledger))
    assert found[0] == "a1 EUR: the rows have 1 of posted debits, the ledger 0"
    assert found[-1] == "b EUR: the rows have 0 of pending credits, the ledger 3"
    assert len(found) == 8
    assert told(found).endswith("; and 3 more")
    assert told(found[:5]).count(";") == 4
    assert list(differences(rows, rows)) == []


async def test_it_follows_what_is_booked(served: Served, store: Store, clock: ManualClock) -> None:
    store.sink.prepare()
    following = asyncio.create_task(load(served, store, clock, "--follow", "0.01"))
    first = len(await log_of(served))

    async def last() -> int:
        return (await asyncio.to_thread(store.sink.position, LEDGER)).sequence

    await poll(last, lambda sequence: sequence == first)
    await write_many(served.client, 3)
    await poll(last, lambda sequence: sequence == first + 3)
    assert not following.done()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
    assert leaves_in(store) == await log_of(served)


async def test_what_cannot_be_done_is_said_in_a_line(
    served: Served, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere(DuckDbStore):
        def __init__(self) -> None:
            super().__init__(tmp_path / "x.duckdb", clock)
            self.arguments = ()

    neither = await load(served, Nowhere(), clock)
    assert (neither.code, neither.said) == (
        CANNOT,
        "warehouse: give either --duckdb or WAREHOUSE_DATABASE_URL\n",
    )
    store = DuckDbStore(tmp_path / "y.duckdb", clock)
    unknown = await load(served, store, clock, "--ledger", "nobodys")
    assert unknown.code == CANNOT
    assert "LEDGER_NOT_FOUND" in unknown.said
    away = await load(served, store, clock, "--address", "127.0.0.1:9")
    assert away.code == STOPPED
    assert "nobody answers at 127.0.0.1:9" in away.said
    monkeypatch.delitem(sys.modules, "warehouse.duckdb_sink")
    monkeypatch.delitem(sys.modules, "warehouse.facts.duckdb_warehouse")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    missing = await load(served, store, clock)
    assert missing.code == CANNOT
    assert missing.said.startswith("warehouse: DuckDB is an extra: install ")


def test_a_hash_is_that_of_rfc_9162() -> None:
    # Of an empty leaf, as RFC 6962's test vectors have it.
    assert leaf_hash(b"").hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )

"""The command with every service: what it loads and says, kills anywhere, failures, following."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.v1 import dispute_pb2, payout_pb2
from reconciliation.v1 import reconciliation_pb2
from runtime.clock import ManualClock
from sandbox.polling import poll
from tests.ledger.running import START, Ran, Served
from tests.plugin import NewDatabase
from tests.waiting import WAIT_SECONDS
from tests.warehouse.fake_engine import ServedEngine, serving_engine
from tests.warehouse.loading import LEDGER, load, run_dying, run_with
from tests.warehouse.stores import DuckDbStore, PostgresStore, Store
from tests.warehouse.stripe_files import query, report
from tests.warehouse.test_feeds import a_break, decided, euros, moved, payment
from warehouse.__main__ import parser
from warehouse.facts.feeds import FeedLimits, FeedReader
from warehouse.jobs import CANNOT, EQUAL, STOPPED

ROWS = {
    "payment_version": 3,
    "payment_operation_version": 3,
    "refund_version": 2,
    "balance_transaction_version": 3,
    "dispute_version": 1,
    "payout_version": 2,
    "break_event_version": 2,
    "break_version": 2,
    "match_version": 1,
    "decision_version": 3,
    "sigma_run_version": 1,
    "sigma_file_version": 1,
    "report_file_version": 1,
}


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.feeds.FAILS_WITHIN_SECONDS", 0.05)
    limits = FeedLimits(gather_seconds=0.01, quiet_seconds=0.2)
    monkeypatch.setattr("warehouse.wiring.FeedReader", partial(FeedReader, limits=limits))


@pytest.fixture
async def engine() -> AsyncIterator[ServedEngine]:
    """An engine in which something of every kind has happened."""
    async with serving_engine(START) as served:
        fake = served.engine
        for key in ("p1", "p2", "p3"):
            fake.change_payment("captured", payment(key, operations="A"))
        fake.as_they_are["p1"] = payment("p1", operations="A", refunds="AB")
        for key in ("txn_1", "txn_2", "txn_3"):
            fake.move(moved(key))
        fake.disputes.append(
            dispute_pb2.Dispute(
                id="d1",
                payment_id="p1",
                state=dispute_pb2.DISPUTE_STATE_NEEDS_RESPONSE,
                amount=euros(1),
            )
        )
        for key in ("po_1", "po_2"):
            fake.pay_out(
                payout_pb2.Payout(id=key, state=payout_pb2.PAYOUT_STATE_PAID, amount=euros(2))
            )
        for number in (1, 2):
            fake.break_event(a_break(number), "OPENED")
        fake.matches.append(
            reconciliation_pb2.Match(
                match_id=1,
                leg=reconciliation_pb2.LEG_BOOKED,
                rule=reconciliation_pb2.MATCH_RULE_REFERENCE,
            )
        )
        decided(fake, "p1", "p2", "p3")
        query(fake, "sqr_1", b"a\nx\n")
        report(fake, "rep_1", b"a\nx\n")
        yield served


def addresses(engine: ServedEngine) -> tuple[str, ...]:
    names = ("gateway", "reconciliation", "compliance")
    return tuple(part for name in names for part in (f"--{name}-address", engine.address))


def counts(store: Store) -> dict[str, int]:
    counted = (f"SELECT '{name}', count(*) FROM {name}" for name in ROWS)
    return dict(store.rows(" UNION ALL ".join(counted)))


async def load_all(engine: ServedEngine, store: Store, clock: ManualClock, *ledger: str) -> Ran:
    """Runs the command until everything is there: a silence on a machine that stands still for a
    while looks like there being nothing new, and the next run goes on."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            ran = await run_with(store, clock, *ledger, *addresses(engine))
            if ran.code != EQUAL or counts(store) == ROWS:
                return ran


async def test_everything_is_loaded_once_and_told(
    served: Served, engine: ServedEngine, store: Store, clock: ManualClock
) -> None:
    ledger = ("--address", served.address, "--ledger", LEDGER)
    ran = await load_all(engine, store, clock, *ledger)
    assert (ran.code, counts(store)) == (EQUAL, ROWS)
    told = {line.split(":")[0]: line for line in ran.said.splitlines()}
    assert told.keys() == {
        *(LEDGER, "payments", "balance transactions", "billing", "disputes", "payouts"),
        *("breaks", "matches", "decisions", "sigma", "report files"),
    }
    assert told["payments"].startswith("payments: up to change 3, ")
    assert told["payouts"].startswith("payouts: up to change 2, ")
    assert told["sigma"].startswith("sigma: up to change 1, ")
    assert told["report files"].startswith("report files: 1 listed, ")
    again = await load(served, store, clock, *addresses(engine))
    assert (again.code, counts(store)) == (EQUAL, ROWS)
    assert "payments: up to change 3, 0 new rows\n" in again.said
    assert "decisions: up to decision 3, 0 new rows\n" in again.said
    fresh = store.rows("SELECT source, complete_time IS NOT NULL FROM warehouse_freshness")
    assert sorted(fresh) == sorted(
        (name if name != LEDGER else f"ledger {LEDGER}", True) for name in told
    )


@pytest.mark.parametrize(
    ("store", "at", "late"),
    [("duckdb", 3, False), ("postgres", 1, True), ("postgres", 2, False)],
    indirect=["store"],
)
async def test_a_kill_loses_and_doubles_nothing(
    engine: ServedEngine,
    store: Store,
    clock: ManualClock,
    at: int,
    *,
    late: bool,
) -> None:
    ended = await run_dying(store, "facts", *addresses(engine), at=at, late=late)
    assert ended == -signal.SIGKILL
    ((kept,),) = store.rows("SELECT count(*) FROM warehouse_load")
    # Sources do not wait for each other.
    assert kept >= late
    assert (await load_all(engine, store, clock)).code == EQUAL
    assert counts(store) == ROWS
    for name in ("payment", "balance_transaction", "decision", "refund", "payout"):
        ((all_rows,),) = store.rows(f"SELECT count(*) FROM {name}")
        assert all_rows == ROWS[f"{name}_version"]


async def test_one_service_that_is_away_keeps_no_other_from_being_loaded(
    engine: ServedEngine, new_database: NewDatabase, clock: ManualClock
) -> None:
    store = PostgresStore(new_database("empty"), clock)
    names = addresses(engine)[:2]
    ran = await run_with(store, clock, *names, "--compliance-address", "127.0.0.1:9")
    assert ran.code == STOPPED
    assert "nobody answers at 127.0.0.1:9" in ran.said
    assert "payouts: up to change 2, 2 new rows" in ran.said
    assert store.rows("SELECT count(*) FROM payout") == [(2,)]


async def test_what_is_wrong_with_the_arguments_is_said(tmp_path: Path, clock: ManualClock) -> None:
    store = DuckDbStore(tmp_path / "books.duckdb", clock)
    for given, told in (
        ((), "give the address of one service at least"),
        (("--ledger", "main"), "give --address and --ledger together"),
        (("--address", "127.0.0.1:9"), "give --address and --ledger together"),
        (("--gateway-address", "nonsense"), "--gateway-address nonsense "),
        (("--gateway-address", "example.com:1"), "plain text is for loopback only"),
    ):
        ran = await run_with(store, clock, *given)
        assert ran.code == CANNOT
        assert told in ran.said


async def test_a_file_that_is_no_warehouse_is_said(tmp_path: Path, clock: ManualClock) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no database")
    for path in (text, tmp_path / "nowhere" / "books.duckdb"):
        ran = await run_with(DuckDbStore(path, clock), clock, "--gateway-address", "127.0.0.1:9")
        assert (ran.code, ran.said.count("\n")) == (CANNOT, 1)
        assert ran.said.startswith(f"warehouse: {path} cannot be opened: ")
    assert text.read_text() == "no database"


@pytest.mark.parametrize("seconds", ["0", "86401", "nan", "soon"])
def test_seconds_that_are_none_are_said(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["--follow", seconds])
    assert caught.value.code == CANNOT
    assert "--follow: more than 0 and at most 86400 seconds are expected" in capsys.readouterr().err


async def test_it_follows_every_source(
    served: Served, engine: ServedEngine, new_database: NewDatabase, clock: ManualClock
) -> None:
    store = PostgresStore(new_database("empty"), clock)
    store.sink.prepare()
    store.facts.prepare()
    often = ("--follow", "0.05", "--walk-every", "0.05")
    following = asyncio.ensure_future(load(served, store, clock, *addresses(engine), *often))

    async def found() -> dict[str, int]:
        return await asyncio.to_thread(counts, store)

    await poll(found, lambda rows: rows == ROWS)
    fake = engine.engine
    fake.change_payment("refund_started", payment("p2", operations="AB"))
    fake.pay_out(payout_pb2.Payout(id="po_1", state=payout_pb2.PAYOUT_STATE_PAID, amount=euros(9)))
    fake.break_event(a_break(1, state=reconciliation_pb2.BREAK_STATE_ENDED), "ENDED")
    decided(fake, "p4")
    more = {
        "payment_version": 4,
        "payment_operation_version": 4,
        "payout_version": 3,
        "break_event_version": 3,
        "break_version": 3,
        "decision_version": 4,
    }
    wanted: dict[str, Any] = {**ROWS, **more}
    await poll(found, lambda rows: rows == wanted)
    assert not following.done()
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following

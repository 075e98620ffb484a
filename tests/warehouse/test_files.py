"""Files of Stripe's in every warehouse: as they come, once, in tables that grow, proven."""

import csv
import hashlib
import io
import json
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sigma.errors import file_damaged, file_not_kept
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from gateway.v1 import sigma_pb2
from gateway.v1.report_service_pb2_grpc import ReportServiceStub
from gateway.v1.sigma_service_pb2_grpc import SigmaServiceStub
from runtime.clock import ManualClock
from tests.ledger.running import START
from tests.warehouse.fake_engine import FakeEngine, ServedEngine, serving_engine
from tests.warehouse.loading import run_dying, run_with
from tests.warehouse.stores import Store
from tests.warehouse.stripe_files import ACTIVITY, query, report
from tests.warehouse.test_parquet import export, manifests, read
from warehouse.facts.columns import Kind
from warehouse.facts.feeds import FeedLimits, FeedReader
from warehouse.facts.rows import Place
from warehouse.facts.tables import TABLES
from warehouse.files import loading
from warehouse.files.names import HASH_DIGITS, REPORT, SIGMA, columns_of, table_of
from warehouse.files.report_loader import ASK_AGAIN, LoadedReports, ReportLoader
from warehouse.files.sigma_feed import SigmaFeed
from warehouse.files.stripe_file import StripeFile, count_and_hash, summary_of
from warehouse.jobs import EQUAL, REFUSED
from warehouse.sink import LoadRefusedError

QUICK = FeedLimits(gather_seconds=0.01, quiet_seconds=0.2)
REPORT_TABLE = "report_balance_change_from_activity__itemized__3"


def table(*rows: tuple[str, ...]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.feeds.FAILS_WITHIN_SECONDS", 0.05)
    monkeypatch.setattr("warehouse.wiring.FeedReader", partial(FeedReader, limits=QUICK))


@pytest.fixture
async def engine() -> AsyncIterator[ServedEngine]:
    async with serving_engine(START) as served:
        yield served


@pytest.fixture
def ready(store: Store) -> Store:
    store.sink.prepare()
    store.facts.prepare()
    return store


async def load_runs(engine: ServedEngine, store: Store) -> None:
    def loaded() -> dict[str, str]:
        return dict(store.facts.read("loaded_sigma_files", {}))

    feed = SigmaFeed(SigmaServiceStub(engine.channel), engine.address, loaded)
    wanted = len(engine.engine.queried.messages)
    while True:
        read = await FeedReader(feed, store.facts, QUICK, one_by_one=True).catch_up()
        if read.position.place.sequence == wanted:
            return


async def load_reports(engine: ServedEngine, store: Store) -> LoadedReports:
    stub = ReportServiceStub(engine.channel)
    return await ReportLoader(stub, engine.address, store.facts).load()


EXTREMES = (
    *("", " ", "NULL", "0012", "-1.50", 'say "so"', "two\nlines", "a\tb\\n", "ü😀", "\x01{}%s$$"),
    "x" * (100 * 1024),
)


async def test_rows_are_as_they_came(ready: Store, engine: ServedEngine) -> None:
    headings = tuple(f"c{number}" for number in range(len(EXTREMES)))
    query(engine.engine, "sqr_1", table(headings, EXTREMES, EXTREMES[::-1]))
    await load_runs(engine, ready)
    cells = ", ".join(headings)
    assert ready.rows(f"SELECT _row_number, {cells} FROM sigma_nets ORDER BY 1") == [
        (1, *EXTREMES),
        (2, *EXTREMES[::-1]),
    ]
    content = engine.engine.contents["sqr_1"]
    assert isinstance(content, bytes)
    sha256 = hashlib.sha256(content).hexdigest()
    assert ready.rows(
        "SELECT DISTINCT _corridor, _run_id, _file_id, _file_sha256 FROM sigma_nets"
    ) == [("us", "sqr_1", "us/sqr_1", sha256)]
    ((row_count, rows_sha256, told, size),) = ready.rows(
        "SELECT row_count, rows_sha256, headings, size_bytes FROM sigma_file"
    )
    assert (row_count, rows_sha256) == count_and_hash([EXTREMES, EXTREMES[::-1]])
    assert (json.loads(told), size) == (list(headings), len(content))
    assert ready.rows("SELECT run_id, state, file_state, title FROM sigma_run") == [
        ("sqr_1", "COMPLETED", "KEPT", "nets")
    ]


async def test_tables_grow_with_their_files(ready: Store, engine: ServedEngine) -> None:
    query(engine.engine, "sqr_1", table(("order", "id"), ("1", "a")))
    query(engine.engine, "sqr_2", table(("id", "Net Amount", "id"), ("b", "2", "c")))
    query(engine.engine, "sqr_3", table(("id",)))
    query(engine.engine, "sqr_4", table(("id",), ("x",)), title="Nets!")
    query(engine.engine, "sqr_5", table(("xmin", "rowid", "select"), ("1", "2", "3")), title="run")
    await load_runs(engine, ready)
    ((net,),) = ready.rows("SELECT column_name FROM stripe_column WHERE heading = 'Net Amount'")
    (_, _, second) = columns_of(["id", "Net Amount", "id"])
    assert net.startswith("net_amount_")
    assert ready.rows(f'SELECT "order", id, {net}, {second} FROM sigma_nets ORDER BY id') == [
        ("1", "a", None, None),
        (None, "b", "2", "c"),
    ]
    assert ready.rows(f"SELECT id FROM {table_of(SIGMA, 'Nets!')}") == [("x",)]
    assert ready.rows("SELECT run_id, row_count FROM sigma_file ORDER BY 1") == [
        ("sqr_1", 1),
        ("sqr_2", 1),
        ("sqr_3", 0),
        ("sqr_4", 1),
        ("sqr_5", 1),
    ]
    taken = ", ".join(f'"{name}"' for name in columns_of(["xmin", "rowid", "select"]))
    assert ready.rows(f"SELECT {taken} FROM {table_of(SIGMA, 'run')}") == [("1", "2", "3")]
    assert engine.engine.read_files == [f"sqr_{number}" for number in range(1, 6)]


async def test_long_files_are_written_and_read_back_in_pieces(
    ready: Store, engine: ServedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "CHUNK_ROWS", 3)
    monkeypatch.setattr(loading, "CHUNK_CHARACTERS", 5)
    rows = [(str(number), "ab" * (number % 3)) for number in range(20)]
    query(engine.engine, "sqr_1", table(("a", "b"), *rows))
    await load_runs(engine, ready)
    assert ready.rows("SELECT a, b FROM sigma_nets ORDER BY _row_number") == rows
    assert ready.rows("SELECT row_count FROM warehouse_load") == [(22,)]


async def test_other_bytes_than_those_that_were_told_are_refused(
    ready: Store, engine: ServedEngine
) -> None:
    fake = engine.engine
    query(fake, "sqr_1", table(("a",), ("1",)))
    good = fake.contents["sqr_1"]
    for wrong, told in (
        (table(("a",), ("2",)), "not those that were told"),
        (b"", "not those that were told"),
        (file_damaged("us", "sqr_1"), "damaged"),
    ):
        fake.contents["sqr_1"] = wrong
        with pytest.raises(LoadRefusedError, match=told):
            await load_runs(engine, ready)
    assert ready.rows("SELECT count(*) FROM sigma_run_version") == [(0,)]
    assert ready.facts.position("sigma").place == Place()
    fake.contents["sqr_1"] = good
    await load_runs(engine, ready)
    query(fake, "sqr_2", b'a\n"')
    with pytest.raises(LoadRefusedError, match="no table"):
        await load_runs(engine, ready)
    assert ready.facts.position("sigma").place == Place(0, 1)


async def test_rows_that_are_not_the_files_are_refused(
    ready: Store, engine: ServedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    query(engine.engine, "sqr_1", table(("a",), ("1",), ("2",)))
    write: Any = loading._write

    def lossy(*given: Any) -> None:
        *more, rows = given
        write(*more, [["x"], *rows[1:]])

    monkeypatch.setattr(loading, "_write", lossy)
    with pytest.raises(LoadRefusedError, match="2 rows of us/sqr_1 in sigma_nets are not the 2"):
        await load_runs(engine, ready)
    assert ready.rows("SELECT count(*) FROM stripe_table") == [(0,)]
    monkeypatch.undo()
    await load_runs(engine, ready)
    assert ready.rows("SELECT a FROM sigma_nets ORDER BY 1") == [("1",), ("2",)]


async def test_a_table_has_so_many_columns_and_one_title(
    ready: Store, engine: ServedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_TABLE_COLUMNS", len(loading.OWN) + 2)
    query(engine.engine, "sqr_1", table(("a", "b")))
    await load_runs(engine, ready)
    query(engine.engine, "sqr_2", table(("c",)))
    with pytest.raises(LoadRefusedError, match="sigma_nets would have more than 9 columns"):
        await load_runs(engine, ready)
    monkeypatch.undo()
    ready.change("UPDATE stripe_table SET title = 'other'")
    with pytest.raises(LoadRefusedError, match="the table of another title"):
        await load_runs(engine, ready)


async def test_a_restored_gateway_tells_runs_again_and_files_stay(
    ready: Store, engine: ServedEngine
) -> None:
    fake = engine.engine
    query(fake, "sqr_1", table(("a",), ("1",)))
    query(fake, "sqr_2", table(("a",), ("2",)))
    await load_runs(engine, ready)
    fake.queried.restore(1, 7)
    query(fake, "sqr_2", table(("a",), ("2",)))
    query(fake, "sqr_3", table(("a",), ("3",)))
    await load_runs(engine, ready)
    assert ready.rows("SELECT a FROM sigma_nets ORDER BY 1") == [("1",), ("2",), ("3",)]
    assert ready.rows("SELECT run_id FROM sigma_run ORDER BY 1") == [
        *(("sqr_1",), ("sqr_2",), ("sqr_3",))
    ]
    assert fake.read_files.count("sqr_2") == 1
    fake.queried.restore(2, 8)
    query(fake, "sqr_3", table(("a",), ("other",)))
    with pytest.raises(LoadRefusedError, match="another file of us/sqr_3"):
        await load_runs(engine, ready)


async def test_runs_without_a_file_are_told(ready: Store, engine: ServedEngine) -> None:
    fake = engine.engine
    none = sigma_pb2.SigmaFile(state=sigma_pb2.SIGMA_FILE_STATE_NONE)
    query(fake, "sqr_1", b"", state=sigma_pb2.SIGMA_STATE_FAILED, file=none)
    query(fake, "sqr_2", table(("a",)))
    fake.contents["sqr_2"] = file_not_kept("us", "sqr_2", "DISCARDED")
    lost = sigma_pb2.SigmaFile(
        state=sigma_pb2.SIGMA_FILE_STATE_LOST, stripe_file_id="file_3", problem="EXPIRED"
    )
    query(fake, "sqr_3", b"", file=lost)
    await load_runs(engine, ready)
    assert ready.rows(
        "SELECT run_id, state, file_state, file_problem FROM sigma_run ORDER BY 1"
    ) == [
        ("sqr_1", "FAILED", "NONE", None),
        ("sqr_2", "COMPLETED", "KEPT", None),
        ("sqr_3", "COMPLETED", "LOST", "EXPIRED"),
    ]
    assert ready.rows("SELECT count(*) FROM sigma_file") == [(0,)]


def stripe_rejects() -> Any:
    failure = Failure(code="resource_missing", http_status=404)
    return call_failed("us", Outcome(OutcomeClass.REJECTED, failure=failure))


async def test_reports_are_loaded_once_and_those_that_cannot_be_had_are_told(
    ready: Store, engine: ServedEngine, clock: ManualClock
) -> None:
    fake = engine.engine
    for number in range(3):
        report(fake, f"rep_{number}", table(("gross", "net"), (f"{number}.10", "1")))
    report(fake, "rep_gone", stripe_rejects())
    report(fake, "rep_s", table(("category",), ("ending_balance",)), "balance.summary.1")
    loader = ReportLoader(ReportServiceStub(engine.channel), engine.address, ready.facts)
    first = await loader.load()
    assert (first.listed, first.loaded, first.missing, first.row_count) == (5, 4, 1, 4)
    assert first.news_time == START
    again = await loader.load()
    assert (again.loaded, again.missing, again.row_count) == (0, 1, 0)
    assert len(fake.read_files) == 5
    assert ready.rows(f"SELECT gross, net FROM {REPORT_TABLE} ORDER BY 1") == [
        *(("0.10", "1"), ("1.10", "1"), ("2.10", "1"))
    ]
    assert ready.rows("SELECT category FROM report_balance__summary__1") == [("ending_balance",)]
    problems = "SELECT run_id FROM report_file WHERE problem = 'STRIPE_REJECTED'"
    assert ready.rows(problems) == [("rep_gone",)]
    fake.contents["rep_gone"] = table(("gross",), ("9.90",))
    clock.advance(ASK_AGAIN - timedelta(seconds=1))
    assert (await loader.load()).missing == 1
    clock.advance(timedelta(seconds=1))
    assert (await loader.load()).loaded == 1
    assert ready.rows(problems) == []
    ((source, is_complete),) = ready.rows(
        "SELECT source, complete_time IS NOT NULL FROM warehouse_freshness"
    )
    assert (source, is_complete) == ("report files", True)


async def test_a_report_that_is_no_table_is_refused(ready: Store, engine: ServedEngine) -> None:
    report(engine.engine, "rep_1", b"a,b\n1\n")
    with pytest.raises(LoadRefusedError, match="us/rep_1 is no table: line 2"):
        await load_reports(engine, ready)
    assert ready.rows("SELECT count(*) FROM report_file_version") == [(0,)]


def filled(fake: FakeEngine) -> None:
    query(fake, "sqr_1", table(("a",), ("1",), ("2",)))
    query(fake, "sqr_2", table(("a", "b"), ("3", "4")))
    report(fake, "rep_1", table(("gross",), ("1.00",)))


ALL = (
    "SELECT a FROM sigma_nets UNION ALL SELECT b FROM sigma_nets WHERE b IS NOT NULL"
    f" UNION ALL SELECT gross FROM {REPORT_TABLE} ORDER BY 1"
)


@pytest.mark.parametrize(
    ("store", "at", "late"),
    [("duckdb", 2, True), ("postgres", 2, False)],
    indirect=["store"],
)
async def test_a_kill_loses_and_doubles_nothing(
    engine: ServedEngine, store: Store, clock: ManualClock, at: int, *, late: bool
) -> None:
    filled(engine.engine)
    gateway = ("--gateway-address", engine.address)
    assert await run_dying(store, "facts", *gateway, at=at, late=late) == -signal.SIGKILL
    while True:
        assert (await run_with(store, clock, *gateway)).code == EQUAL
        if store.rows("SELECT sequence FROM warehouse_source WHERE source = 'sigma'") == [(2,)]:
            break
    assert store.rows(ALL) == [("1",), ("1.00",), ("2",), ("3",), ("4",)]
    assert store.rows("SELECT count(*) FROM sigma_file_version") == [(2,)]
    assert store.rows("SELECT count(*) FROM report_file_version") == [(1,)]


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_the_command_says_what_was_refused(
    engine: ServedEngine, store: Store, clock: ManualClock
) -> None:
    filled(engine.engine)
    engine.engine.contents["sqr_2"] = b"a\n"
    ran = await run_with(store, clock, "--gateway-address", engine.address)
    assert ran.code == REFUSED
    assert "sigma refused: the bytes of us/sqr_2 are not those that were told" in ran.said
    assert "report files: 1 listed, 1 loaded with 1 rows" in ran.said


async def test_files_are_exported_with_the_columns_that_they_have(
    ready: Store, engine: ServedEngine, tmp_path: Path, clock: ManualClock
) -> None:
    place = tmp_path / "place"
    fake = engine.engine
    query(fake, "sqr_1", table(("order",), ("1",), ("",)))
    await load_runs(engine, ready)
    assert (await export(ready, place, clock)).code == EQUAL
    query(fake, "sqr_2", table(("order", "b"), ("2", "x")))
    report(fake, "rep_1", table(("gross",), ("1.00",)))
    await load_runs(engine, ready)
    await load_reports(engine, ready)
    assert (await export(ready, place, clock)).code == EQUAL
    assert "nothing is new" in (await export(ready, place, clock)).said
    assert read(place, "sigma_nets", '_run_id, _row_number, "order", b', "1, 2") == [
        ("sqr_1", 1, "1", None),
        ("sqr_1", 2, "", None),
        ("sqr_2", 1, "2", "x"),
    ]
    assert read(place, REPORT_TABLE, "gross", "1") == [("1.00",)]
    files = [file for manifest in manifests(place) for file in manifest["files"]]
    proofs = {file["table"]: file["proven"] for file in files}
    assert (proofs["sigma_nets"], proofs[REPORT_TABLE]) == ("file", "file")
    assert proofs["sigma_run_version"] == "feed"


@pytest.mark.parametrize(
    ("kind", "title", "name"),
    [
        (SIGMA, "nets", "sigma_nets"),
        (SIGMA, "nets_2026", "sigma_nets_2026"),
        (REPORT, ACTIVITY, REPORT_TABLE),
        (REPORT, "balance.summary.1", "report_balance__summary__1"),
    ],
)
def test_plain_names_stay(kind: str, title: str, name: str) -> None:
    assert table_of(kind, title) == name


@pytest.mark.parametrize(
    "title", ["Nets", "ne ts", "a" * 46, "1a", "_a", "a_01234567", "", "ü", "é"]
)
def test_other_names_have_a_hash(title: str) -> None:
    digits = hashlib.sha256(title.encode()).hexdigest()[:HASH_DIGITS]
    assert table_of(SIGMA, title).endswith(f"_{digits}")


def test_no_file_takes_a_name_that_is_the_warehouses_own() -> None:
    own = {
        name
        for each in TABLES
        for name in (each.name, each.view, *[f"{each.view}_history"] * (each.kind is Kind.CHANGES))
        if name.startswith((f"{SIGMA}_", f"{REPORT}_"))
    }
    assert {"sigma_run", "sigma_file", "report_file"} <= own
    for name in own:
        kind, _, title = name.partition("_")
        assert table_of(kind, title) not in own


def test_a_type_is_never_called_as_another_is() -> None:
    assert table_of(REPORT, "a.b") == "report_a__b"
    assert table_of(REPORT, "a__b") != "report_a__b"


HEADINGS = st.lists(st.text(max_size=60) | st.sampled_from(["id", "ID", "i d", "id_"]), max_size=8)


@given(HEADINGS, st.text(max_size=300))
def test_names_are_safe_and_their_own(headings: list[str], title: str) -> None:
    names = columns_of(headings)
    assert len(set(names)) == len(headings)
    assert columns_of([*headings, "more"])[: len(names)] == names
    for name in (*names, table_of(SIGMA, title), table_of(REPORT, title)):
        assert len(name) <= 63
        assert name[0].isascii()
        assert name[0].isalpha()
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(st.tuples(CELLS, CELLS)), st.lists(st.tuples(CELLS, CELLS)))
def test_rows_hash_alike_only_where_they_are_alike(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    def summary(rows: list[tuple[str, str]]) -> Any:
        return summary_of(StripeFile(SIGMA, "t", "us", "sqr_1", table(("a", "b"), *rows)))

    assert (summary(one) == summary(other)) == (one == other)
    assert (summary(one).row_count, summary(one).columns) == (len(one), ["a", "b"])

"""Files of Stripe's as Parquet on storage that speaks S3: every row, once, as it came."""

import hashlib
from pathlib import Path

from runtime.clock import ManualClock
from runtime.object_storage import open_object_storage, read_location
from tests.warehouse.fake_engine import serving_engine
from tests.warehouse.stores import DuckDbStore
from tests.warehouse.stripe_files import query, report
from tests.warehouse.test_files import REPORT_TABLE, load_reports, load_runs, table
from tests.warehouse.test_parquet import export, manifests, read
from warehouse.jobs import EQUAL

MAX_COPIED_BYTES = 1024 * 1024
NETS = '_run_id, _row_number, "order", net'


async def copied(url: str, to: Path) -> Path:
    """A folder with the manifests of a place in S3, and with the files that these name."""
    async with open_object_storage(read_location(url)) as storage:

        async def copy(name: str) -> bytes:
            content = await storage.read(name, MAX_COPIED_BYTES)
            assert content is not None, name
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(content)
            return content

        for name in [found.name async for found in storage.list("manifests/")]:
            await copy(name)
        for manifest in manifests(to):
            for file in manifest["files"]:
                content = await copy(file["path"])
                assert hashlib.sha256(content).hexdigest() == file["sha256"]
    return to


async def test_files_are_exported_to_storage_that_speaks_s3(
    tmp_path: Path, clock: ManualClock, s3_url: str
) -> None:
    store = DuckDbStore(tmp_path / "files.duckdb", clock)
    store.sink.prepare()
    store.facts.prepare()
    async with serving_engine(clock.now()) as engine:
        fake = engine.engine
        query(fake, "sqr_1", table(("order", "net"), ("1", "12.50"), ("", 'Zürich, "x"')))
        report(fake, "rep_1", table(("gross",), ("1.00",)))
        await load_runs(engine, store)
        await load_reports(engine, store)
        assert (await export(store, s3_url, clock)).code == EQUAL
        # Another run has another column.
        query(fake, "sqr_2", table(("order", "more"), ("2", "y")))
        await load_runs(engine, store)
        assert (await export(store, s3_url, clock)).code == EQUAL
        copy = await copied(s3_url, tmp_path / "copy")
    assert read(copy, "sigma_nets", f"{NETS}, more", "1, 2") == [
        ("sqr_1", 1, "1", "12.50", None),
        ("sqr_1", 2, "", 'Zürich, "x"', None),
        ("sqr_2", 1, "2", None, "y"),
    ]
    assert read(copy, REPORT_TABLE, "gross", "1") == [("1.00",)]

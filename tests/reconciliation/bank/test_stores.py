"""Folders and buckets of banks' files: what is collected, when, and what is left."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from reconciliation.__main__ import open_service
from reconciliation.bank import asking, collecting, stores
from reconciliation.bank.collecting import MAX_FAILURES, MAX_FILES_PER_LOOK, Collecting
from reconciliation.bank.stores import Bucket, Folder, Place, StatementStore, read_places
from reconciliation.bank.taking import StatementTaking
from reconciliation.config import ReconciliationSettings
from reconciliation.v1.statement_service_pb2 import WatchStatementsRequest
from reconciliation.v1.statement_service_pb2_grpc import StatementServiceStub
from runtime.notifier import Notifier
from runtime.object_storage import Location, open_object_storage, read_location
from sandbox.addresses import at
from tests.reconciliation.bank.files import Booked, day, drawn, file_of
from tests.reconciliation.books import Books

WAIT_SECONDS = 60.0
Put = Callable[[str, bytes], Awaitable[None]]
Opened = tuple[StatementStore, Put]


@asynccontextmanager
async def folder(path: Path, _request: Any) -> AsyncIterator[Opened]:
    await asyncio.to_thread(path.mkdir)

    async def put(name: str, content: bytes) -> None:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(content)

    yield Folder(path), put


@asynccontextmanager
async def bucket(_path: Path, request: Any) -> AsyncIterator[Opened]:
    location = read_location(request.getfixturevalue("s3_url"))
    async with open_object_storage(location) as storage:

        async def put(name: str, content: bytes) -> None:
            await storage.write(f"of-camt/{name}", content)

        await storage.write("of-other/a.xml", b"another account's")
        yield Bucket(storage, "of-camt/"), put


@pytest.fixture(params=[folder, bucket])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    async with request.param(tmp_path / "files", request) as store:
        yield store


@pytest.fixture
async def in_folder(tmp_path: Path) -> AsyncIterator[Opened]:
    async with folder(tmp_path / "files", None) as store:
        yield store


class Collected:
    """Who looks into one store, or several."""

    def __init__(self, books: Books, settings: dict[str, Any], **files: StatementStore) -> None:
        accounts = ReconciliationSettings(**settings).bank_accounts
        taking = StatementTaking(books.engine, Notifier(), Notifier(), books.clock)
        places = {
            name.replace("_", "-"): (accounts[name.replace("_", "-")], store)
            for name, store in files.items()
        }
        self.collecting = Collecting(books.engine, places, taking, books.clock)
        self._books = books

    async def look(self, times: int = 1) -> bool:
        return [await self.collecting.round() for _ in range(times)][-1]

    async def names(self) -> list[str]:
        rows = await self._books.rows("SELECT file_name FROM bank_file ORDER BY file_id")
        return [row.file_name for row in rows]

    async def refused(self) -> list[tuple[str, str]]:
        rows = await self._books.rows(
            "SELECT file_name, problem FROM bank_refusal ORDER BY refusal_id"
        )
        return [(row.file_name, row.problem) for row in rows]


def statement(number: int, amount: int = 10) -> bytes:
    lines = [Booked(amount, f"payment {number}", day(number))]
    return file_of("of-camt", drawn("of-camt", lines, number * 10, day(number)))


async def test_files_that_are_whole_are_taken_once(
    books: Books, bank_settings: dict[str, Any], opened: Opened
) -> None:
    store, put = opened
    collected = Collected(books, bank_settings, of_camt=store)
    await put("1.xml", statement(1))
    await put(".hidden", statement(2))
    await put("2.xml.part", statement(2))
    await put("2.tmp", statement(2))
    await put("below/2.xml", statement(2))
    await collected.look()
    assert await collected.names() == []
    await put("0.xml", statement(0))
    await collected.look()
    assert await collected.names() == ["1.xml"]
    await collected.look(2)
    assert await collected.names() == ["1.xml", "0.xml"]
    rows = await books.rows("SELECT client FROM bank_file UNION SELECT line_key FROM bank_line")
    assert len(rows) == 3
    # Who starts anew looks into nothing again; the same bytes under another name are the same.
    again = Collected(books, bank_settings, of_camt=store)
    await put("copy.xml", statement(1))
    await again.look(3)
    assert await again.names() == ["1.xml", "0.xml"]
    seen = await books.rows("SELECT name, is_refused FROM bank_file_seen ORDER BY name")
    assert [tuple(row) for row in seen] == [("0.xml", False), ("1.xml", False), ("copy.xml", False)]


async def test_a_file_that_is_written_is_waited_for(
    books: Books, bank_settings: dict[str, Any], in_folder: Opened
) -> None:
    store, put = in_folder
    collected = Collected(books, bank_settings, of_camt=store)
    content = statement(1)
    for part in (content[:100], content[:200], content):
        await put("1.xml", part)
        await collected.look()
    assert await collected.refused() == []
    await collected.look()
    assert await collected.names() == ["1.xml"]


async def test_a_refused_file_is_not_tried_again_until_it_changes(
    books: Books, bank_settings: dict[str, Any], opened: Opened
) -> None:
    store, put = opened
    collected = Collected(books, bank_settings, of_camt=store)
    await put("1.xml", statement(1)[:-30])
    await collected.look(4)
    assert await collected.refused() == [("1.xml", "UNREADABLE")]
    await put("1.xml", statement(1))
    await collected.look(2)
    assert await collected.names() == ["1.xml"]


async def test_a_file_that_is_too_large_is_refused_unread(
    books: Books,
    bank_settings: dict[str, Any],
    opened: Opened,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, put = opened
    collected = Collected(books, bank_settings, of_camt=store)
    await put("1.xml", statement(1))
    monkeypatch.setattr(collecting, "MAX_FILE_BYTES", len(statement(1)))
    await put("2.xml", statement(2) + b"\n")
    await collected.look(3)
    assert await collected.refused() == [("2.xml", "TOO_LARGE")]
    assert await collected.names() == ["1.xml"]


async def test_a_look_takes_so_many_and_says_that_there_are_more(
    books: Books, bank_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "MAX_FILES_PER_LOOK", 2)
    assert MAX_FILES_PER_LOOK > 2
    async with folder(tmp_path / "files", None) as (store, put):
        collected = Collected(books, bank_settings, of_camt=store)
        for number in range(3):
            await put(f"{number}.xml", statement(number))
        assert not await collected.look()
        assert await collected.look()
        assert not await collected.look()
        assert await collected.names() == ["0.xml", "1.xml", "2.xml"]


async def test_of_a_store_those_count_that_changed_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MAX_LISTED", 2)
    async with folder(tmp_path / "files", None) as (store, put):
        for number, name in enumerate("cab"):
            await put(name, b"x")
            os.utime(tmp_path / "files" / name, (number, number))
        (tmp_path / "files" / "link").symlink_to("a")
        assert [found.name for found in await store.list()] == ["a", "b"]
        [_, last] = await store.list()
        (tmp_path / "files" / "b").write_bytes(b"longer")
        assert await store.read(last, 100) is None
        (tmp_path / "files" / "b").unlink()
        assert await store.read(last, 100) is None


async def test_a_store_that_is_away_keeps_nothing_from_others(
    books: Books, bank_settings: dict[str, Any], tmp_path: Path
) -> None:
    async with folder(tmp_path / "files", None) as (store, put):
        gone = Folder(tmp_path / "gone")
        collected = Collected(books, bank_settings, of_any=gone, of_camt=store)
        await put("1.xml", statement(1))
        await collected.look(2)
        assert await collected.names() == ["1.xml"]
        gauges = [collecting.REACHABLE.labels(name)._value.get() for name in ("of-any", "of-camt")]
        assert gauges == [0, 1]


@pytest.mark.usefixtures("reads_beside")
async def test_a_file_that_brings_its_reader_down_is_refused_in_the_end(
    books: Books, bank_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "START", "import sys; sys.exit(3)")
    async with folder(tmp_path / "files", None) as (store, put):
        collected = Collected(books, bank_settings, of_camt=store)
        await put("1.xml", statement(1))
        await collected.look(MAX_FAILURES)
        assert await collected.refused() == []
        await collected.look(3)
        assert await collected.refused() == [("1.xml", "UNREADABLE")]


def test_places_are_read() -> None:
    accounts = ("one", "two")
    assert read_places("", accounts) == {}
    assert read_places("/srv/bank", accounts) == {
        name: Place(folder=Path("/srv/bank") / name) for name in accounts
    }
    both = read_places('{"one": "/a", "two": "s3://bucket/b"}', accounts)
    assert both == {
        "one": Place(folder=Path("/a")),
        "two": Place(location=Location("bucket", "b/")),
    }
    assert read_places("s3://bucket/b", ["one"]) == {
        "one": Place(location=Location("bucket", "b/"), beginning="one/")
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("bank", "not an absolute path"),
        ('{"one": 1}', "not a text"),
        ('{"three": "/a"}', "no bank account three"),
        ('{"one": "/a", "one": "/b"}', "says 'one' twice"),
        ("{", "is not JSON"),
        ("s3://user:secret@bucket", "is not s3://BUCKET"),
    ],
)
def test_places_that_cannot_be_are_refused(given: str, says: str, accounts_file: Path) -> None:
    with pytest.raises(ValueError, match=says):
        read_places(given, ("one", "two"))
    with pytest.raises(ValidationError, match="statement_folders") as caught:
        ReconciliationSettings(
            bank_accounts_file=accounts_file,
            statement_folders=given.replace("one", "of-camt"),
        )
    assert "secret" not in str(caught.value)


async def test_a_service_collects_from_where_its_settings_say(
    books: Books,
    bank_settings: dict[str, Any],
    tmp_path: Path,
    s3_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collecting, "POLL_SECONDS", 0.05)
    places = {"of-camt": str(tmp_path / "files"), "of-ofx": s3_url}
    settings = ReconciliationSettings(**bank_settings, statement_folders=json.dumps(places))
    ofx = file_of("of-ofx", drawn("of-ofx", [Booked(1, "x", day(1))], 0, day(1)))
    async with folder(tmp_path / "files", None) as (_, put):
        await put("1.xml", statement(1))
        async with open_object_storage(read_location(s3_url)) as storage:
            await storage.write("1.ofx", ofx)
        async with (
            open_service(settings, books.clock) as server,
            grpc.aio.insecure_channel(at(server.port)) as channel,
        ):
            stub: Any = StatementServiceStub(channel)
            watch = stub.WatchStatements(WatchStatementsRequest(), timeout=WAIT_SECONDS)
            told = [(await watch.read()).statement for _ in places]
            watch.cancel()
    assert {each.bank_account for each in told} == set(places)
    assert {each.client for each in told} == {""}

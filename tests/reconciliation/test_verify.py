"""Closed periods exported and checked offline: proven, and one flipped byte is found."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ledger.export.exporter import Exporter
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from reconciliation.export import ITEMS, MATCHES, NOTE, export
from reconciliation.verify.__main__ import main
from reconciliation.verify.offline import Finding, verify
from runtime.clock import SystemClock
from runtime.progress import Progress
from runtime.signed_notes import SignerKey
from tests.deploy.compose import PROJECT
from tests.plugin import NewDatabase
from tests.reconciliation.books import Books
from tests.reconciliation.people import SIGNER, breaks, refusal
from tests.reconciliation.town import DAY, Town, town_of
from tests.reconciliation.worlds import START, item

# Of each file so many bytes are left out between those that are flipped.
STRIDE = 11
ONE_DAY = timedelta(days=1)


@pytest.fixture
async def town(
    books: Books, reconciliation_url: str, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Town]:
    folder = tmp_path / "certificates"
    async with town_of(books, reconciliation_url, new_database("ledger"), folder) as town:
        yield town


def flipped(folder: Path) -> int:
    """Flips bytes one after the other in everything that is read; all of them are found."""
    files = [path for path in folder.rglob("*") if path.name in (NOTE, ITEMS, MATCHES)]
    files.append(folder / "ledger" / "transactions.jsonl")
    count = 0
    for file in files:
        content = file.read_bytes()
        for place in range(0, len(content), STRIDE):
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(Finding):
                verify(folder, SIGNER.verifier)
            count += 1
        file.write_bytes(content)
    return count


async def test_an_export_is_proven_and_every_flipped_byte_is_found(
    town: Town, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await town.pair("ch_1", 100)
    await town.pair("ch_2", 50)
    await town.books.later(days=1)
    await town.closed(DAY)
    await town.pair("ch_3", 7, START + ONE_DAY)
    # It came late, and is broken.
    await town.books.give(item("STRIPE", "txn_late", 3))
    await town.books.later(days=1)
    open_ones = await refusal(town.close(DAY + ONE_DAY))
    carried = [int(number) for number in open_ones[1]["break_ids"].split(",")]
    assert len(carried) == len(await breaks(town.decided)) == 2
    await town.close(DAY + ONE_DAY, carried_break_ids=carried)
    tuesday = await town.closed(DAY + ONE_DAY, "bob", carried_break_ids=carried)
    assert (tuesday.item_count, tuesday.late_count, tuesday.match_count) == (3, 1, 1)

    folder = tmp_path / "export"
    assert await export(town.ann, folder) == 2
    report = verify(folder, SIGNER.verifier)
    assert report.statements[-1] == tuesday
    assert (report.has_log, report.ledger_items) == (False, 0)
    assert main([str(folder), "--key", str(SIGNER.verifier)]) == 0
    said = capsys.readouterr().out
    assert "not proven  that items of the ledger are in its log" in said

    progress = Progress(sys.stderr, SystemClock(), quiet=True)
    exporter = Exporter(AuditServiceStub(town.ledger.channel), "", town.ledger.ledger, progress)
    await exporter.export(folder / "ledger", "jsonl")
    report = verify(folder, SIGNER.verifier)
    assert (report.has_log, report.ledger_items) == (True, 3)
    assert flipped(folder) > 200
    # What matters later changes nothing of it: exported again, it is the same.
    await town.pair("ch_4", 1, START + 2 * ONE_DAY)
    again = tmp_path / "again"
    assert await export(town.ann, again) == 2
    for file in again.rglob("*.*"):
        assert file.read_bytes() == (folder / file.relative_to(again)).read_bytes()
    # It goes on where it was.
    shutil.rmtree(again / "000002")
    (again / "000002.part").mkdir()
    assert await export(town.ann, again) == 2
    assert verify(again, SIGNER.verifier).statements[-1] == tuesday
    _is_refused(folder, capsys)


def _is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a whole export something is missing, there twice, or somebody else's."""
    other = str(SignerKey("finance.test", bytes(32)).verifier)
    assert main([str(folder), "--key", other]) == 1
    assert "WRONG" in capsys.readouterr().out
    assert main([str(folder), "--key", "none"]) == 2
    assert main([str(folder / "nowhere"), "--key", str(SIGNER.verifier)]) == 2
    for name in (ITEMS, MATCHES):
        file = folder / "000002" / name
        content = file.read_bytes()
        lines = content.splitlines(keepends=True)
        for changed in (b"".join(lines[1:]), content + lines[-1], content[:-1], b"{}\n"):
            file.write_bytes(changed)
            with pytest.raises(Finding, match="000002"):
                verify(folder, SIGNER.verifier)
        file.write_bytes(content)
    (folder / "000002" / "more").touch()
    with pytest.raises(Finding, match="has not exactly"):
        verify(folder, SIGNER.verifier)
    (folder / "000002" / "more").unlink()
    shutil.copytree(folder / "000001", folder / "000003")
    with pytest.raises(Finding, match="is of closing 1"):
        verify(folder, SIGNER.verifier)
    shutil.rmtree(folder / "000003")
    shutil.rmtree(folder / "000001")
    with pytest.raises(Finding, match="is not the folder of closing 1"):
        verify(folder, SIGNER.verifier)
    shutil.rmtree(folder / "000002")
    with pytest.raises(Finding, match="has no closed period"):
        verify(folder, SIGNER.verifier)


def test_it_needs_neither_grpc_nor_a_database() -> None:
    program = (
        "import sys; from reconciliation.verify.__main__ import main;"
        " print(*{name.partition('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert {"grpc", "psycopg", "sqlalchemy", "google", "aiohttp"}.isdisjoint(ran.stdout.split())

"""Closed periods exported and checked offline: proven, and one flipped byte is found."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.v1.balance_transaction_pb2 import BalanceTransaction
from gateway.v1.payout_pb2 import PAYOUT_STATE_PAID, Payout
from ledger.export.exporter import Exporter
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from money.v1.money_pb2 import Money
from reconciliation.bank import taking
from reconciliation.bank.store import BankFile
from reconciliation.bank.taking import StatementTaking, Told
from reconciliation.closing.statement import BankPlace, StatedItem, StatedMatch, source_line
from reconciliation.config import ReconciliationSettings
from reconciliation.export import BANK, BANK_FILES, ITEMS, MATCHES, NOTE, SOURCES, export
from reconciliation.matching.book_days import IN_UTC
from reconciliation.matching.item import Item, ItemKey, Leg, Source
from reconciliation.sources.stripe_items import balance_transaction_item, payout_item
from reconciliation.verify.__main__ import main
from reconciliation.verify.bank import BankBooks, FileLeaf, read_file_leaf
from reconciliation.verify.leaves import LeafError
from reconciliation.verify.ledger_log import LedgerLog
from reconciliation.verify.offline import Finding, verify
from reconciliation.verify.sources import item_of, read_source, strays
from runtime.child_process import nameless_file
from runtime.clock import SystemClock
from runtime.merkle import leaf_hash
from runtime.notifier import Notifier
from runtime.progress import Progress
from runtime.signed_notes import SignerKey
from tests.deploy.compose import PROJECT
from tests.plugin import NewDatabase
from tests.reconciliation.bank.files import IBANS, Booked, drawn, file_of
from tests.reconciliation.bank.reading_here import open_reading_here
from tests.reconciliation.books import Books
from tests.reconciliation.people import SIGNER, breaks, refusal
from tests.reconciliation.town import DAY, Town, town_of
from tests.reconciliation.worlds import START, item

# Of each file so many bytes are left out between those that are flipped.
STRIDE = 37
ONE_DAY = timedelta(days=1)


@pytest.fixture
async def town(
    books: Books, reconciliation_url: str, service_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Town]:
    folder = tmp_path / "certificates"
    async with town_of(books, reconciliation_url, service_database("ledger"), folder) as town:
        yield town


def moved(key: str, amount: int, **changes: Any) -> BalanceTransaction:
    """A balance transaction of a charge, paid out with `po_1`."""
    found = BalanceTransaction(
        id=f"txn_{key}",
        corridor="main",
        net=Money(currency_code="EUR", minor_units=amount),
        source_id=key,
        stripe_payout_id="po_1",
        sequence=1,
        **changes,
    )
    found.stripe_create_time.FromDatetime(START)
    return found


def paid_out(amount: int, **changes: Any) -> Payout:
    """A payout of which Stripe says what is in it."""
    found = Payout(
        stripe_payout_id="po_1",
        corridor="main",
        amount=Money(currency_code="EUR", minor_units=amount),
        state=PAYOUT_STATE_PAID,
        automatic=True,
        content_complete=True,
        trace_id="trace-12345",
        **changes,
    )
    found.stripe_create_time.FromDatetime(START)
    found.arrival_time.FromDatetime(START)
    return found


async def fed(town: Town, key: str, amount: int) -> None:
    """A charge as the gateway's feed and the ledger tell of it."""
    await town.books.give(balance_transaction_item(moved(key, amount), 1))
    await town.book(key, amount)


async def take(books: Books, settings: ReconciliationSettings, content: bytes) -> None:
    """A file of the bank, uploaded."""
    number = nameless_file("test")
    try:
        os.write(number, content)
        account = settings.bank_accounts["of-mt940"]
        digest = sha256(content).digest()
        file = BankFile(account, "a file", number, len(content), digest, "ann")
        taken = StatementTaking(books.engine, Notifier(), Notifier(), books.clock)
        await taken.take(file, Told(account.declared))
    finally:
        os.close(number)


def flipped(folder: Path) -> int:
    """Flips bytes one after the other in everything that is read; all of them are found."""
    names = (NOTE, ITEMS, MATCHES, SOURCES, BANK)
    files = [path for path in folder.rglob("*") if path.name in names]
    files += folder.glob(f"*/{BANK_FILES}/*")
    log = folder / "ledger" / "transactions.jsonl"
    files += [log] if log.exists() else []
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
    await fed(town, "ch_1", 100)
    await fed(town, "ch_2", 50)
    await town.books.give(payout_item(paid_out(150), 1))
    # It came before bytes were kept.
    await town.pair("ch_old", 20)
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
    assert report.found.proven == {Source.STRIPE: 2, Source.PAYOUT: 1}
    assert (report.found.without_bytes, report.found.other_days) == ({Source.STRIPE: 3}, 0)
    assert main([str(folder), "--key", str(SIGNER.verifier)]) == 0
    said = capsys.readouterr().out
    assert "not proven  that items of the ledger are in its log" in said
    assert "proven      2 balance transactions are what the gateway's bytes of them say" in said
    assert "proven      1 payouts are what the gateway's bytes of them say" in said
    assert "not proven  3 balance transactions: their bytes were not kept yet" in said

    progress = Progress(sys.stderr, SystemClock(), quiet=True)
    exporter = Exporter(AuditServiceStub(town.ledger.channel), "", town.ledger.ledger, progress)
    await exporter.export(folder / "ledger", "jsonl")
    report = verify(folder, SIGNER.verifier)
    assert (report.has_log, report.ledger_items) == (True, 4)
    assert flipped(folder) > 100
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


ACCOUNT = f"""
[accounts.of-mt940]
identification = "{IBANS["of-mt940"]}"
currency = "EUR"
corridor = "main"
format = "MT940"
from_day = 2026-11-30
"""


def statement(lines: list[Booked], first: date, last: date, opening: int) -> bytes:
    return file_of("of-mt940", drawn("of-mt940", lines, opening, first, last))


async def test_lines_are_proven_from_the_bytes_of_the_banks_files(
    books: Books,
    reconciliation_url: str,
    service_database: NewDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(taking, "open_reading", open_reading_here)
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(ACCOUNT)
    settings = ReconciliationSettings(
        database_url=reconciliation_url,
        ledger_address="",
        gateway_address="",
        bank_accounts_file=accounts,
    )
    certificates, folder = tmp_path / "certificates", tmp_path / "export"
    urls = reconciliation_url, service_database("ledger")
    async with town_of(books, *urls, certificates, bank_accounts_file=accounts) as town:
        await fed(town, "ch_1", 100)
        await town.books.give(payout_item(paid_out(100), 1))
        # Two lines that are equal are two, and count once where another file has them, too.
        cash = [Booked(30, "cash 123456", DAY)] * 2
        monday = [*cash, Booked(100, "STRIPE trace-12345", DAY)]
        await take(books, settings, statement(monday, DAY, DAY, 0))
        await town.books.later(days=1)
        tuesday = Booked(5, "fee 654321", DAY + ONE_DAY)
        await take(books, settings, statement([*monday, tuesday], DAY, DAY + ONE_DAY, 0))
        await town.books.run()
        closed = await town.closed(DAY)
        assert [(place.account, place.files) for place in closed.bank_places] == [("of-mt940", 2)]
        assert (closed.item_count, closed.match_count) == (6, 3)
        await town.books.later(days=1)
        await take(books, settings, statement([], DAY + 2 * ONE_DAY, DAY + 2 * ONE_DAY, 165))
        await closed_whatever_is_open(town, DAY + ONE_DAY)
        assert await export(town.ann, folder) == 2
    assert len(list((folder / "000001" / BANK_FILES).iterdir())) == 2
    assert len(list((folder / "000002" / BANK_FILES).iterdir())) == 1
    report = verify(folder, SIGNER.verifier)
    assert report.found.proven == {Source.STRIPE: 1, Source.PAYOUT: 1, Source.BANK: 4}
    assert (report.found.bank_files, report.found.without_bytes) == (3, {})
    assert main([str(folder), "--key", str(SIGNER.verifier)]) == 0
    said = capsys.readouterr().out
    assert "proven      3 files of banks are those that were taken" in said
    assert "proven      4 lines of banks are what these files say" in said
    assert flipped(folder) > 100
    _files_are_those_of_the_statement(folder)


async def closed_whatever_is_open(town: Town, day: date) -> None:
    reason = await refusal(town.close(day))
    carried = [int(number) for number in reason[1]["break_ids"].split(",")]
    await town.close(day, carried_break_ids=carried)
    await town.closed(day, "bob", carried_break_ids=carried)


def _files_are_those_of_the_statement(folder: Path) -> None:
    """None is missing, there twice, or not of the closing."""
    second = folder / "000002" / BANK_FILES
    (only,) = second.iterdir()
    (second / "more").touch()
    with pytest.raises(Finding, match="not exactly the files"):
        verify(folder, SIGNER.verifier)
    (second / "more").unlink()
    leaves = folder / "000002" / BANK
    content = leaves.read_bytes()
    for changed in (b"", content * 2):
        leaves.write_bytes(changed)
        with pytest.raises(Finding, match="000002"):
            verify(folder, SIGNER.verifier)
    leaves.write_bytes(content)
    only.rename(second.parent / "elsewhere")
    with pytest.raises(Finding):
        verify(folder, SIGNER.verifier)
    (second.parent / "elsewhere").rename(only)
    assert verify(folder, SIGNER.verifier).found.bank_files == 3


def _is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a whole export something is missing, there twice, or somebody else's."""
    other = str(SignerKey("finance.test", bytes(32)).verifier)
    assert main([str(folder), "--key", other]) == 1
    assert "WRONG" in capsys.readouterr().out
    assert main([str(folder), "--key", "none.pub"]) == 2
    assert "--key: there is no file of that name, and it is no key: " in capsys.readouterr().err
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


def stated(item: Item, **changes: Any) -> StatedItem:
    """The leaf of an item."""
    return StatedItem(
        item.id, item.currency, item.amount_minor, item.instant, item.book_date, item.sha256, {}, {}
    )._replace(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ItemKey(Source.STRIPE, "main", "txn_other")},
        {"key": ItemKey(Source.STRIPE, "other", "txn_ch_1")},
        {"key": ItemKey(Source.PAYOUT, "main", "txn_ch_1")},
        {"key": ItemKey(Source.BANK, "main", "txn_ch_1")},
        {"currency": "JPY"},
        {"amount_minor": 101},
        {"instant": START + ONE_DAY},
        {"sha256": bytes(32)},
    ],
)
def test_bytes_that_say_something_else_than_their_leaf_are_found(changes: dict[str, Any]) -> None:
    item = balance_transaction_item(moved("ch_1", 100), 0)
    assert item_of(stated(item), item.source_bytes, IN_UTC) == item
    with pytest.raises(LeafError, match=r"has (other )?bytes"):
        item_of(stated(item, **changes), item.source_bytes, IN_UTC)


def test_a_merchants_payout_is_no_item_of_ours() -> None:
    item = payout_item(paid_out(5, connected_account_id="acct_1"), 1)
    with pytest.raises(LeafError, match="are no item"):
        item_of(stated(item), item.source_bytes, IN_UTC)


def test_a_balance_transaction_of_another_payout_is_a_stray() -> None:
    part, whole = payout_item(paid_out(5, primary_payout_id="po_0"), 1), ("EUR", 5)
    own = balance_transaction_item(moved("ch_1", 5), 1)
    other = moved("ch_2", 5)
    other.stripe_payout_id = "po_2"
    stray = balance_transaction_item(other, 1)
    members = [(key, *whole) for key in (own.id, stray.id, part.id)]
    match = StatedMatch(1, Leg.CONTENT, "GROUP_SUM", members)
    assert list(strays(match, [own, stray, part])) == [stray.id]
    # What a person matched is right as it is, and so is what other legs match.
    assert not list(strays(match._replace(rule="PERSON"), [own, stray, part]))
    assert not list(strays(match._replace(leg=Leg.BOOKED), [own, stray, part]))


def test_files_of_which_the_reading_was_not_kept_prove_no_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a statement")
    leaf = FileLeaf("acme", sha256(b"a statement").digest(), "")
    assert read_file_leaf(leaf.leaf()) == leaf
    line = stated(item("BANK", "acme/2026-11-30/0011/1", 5))
    bank = BankBooks()
    assert not bank.check(line)
    bank.take(leaf, file)
    assert bank.is_at(BankPlace("acme", 1, leaf_hash(leaf.leaf())))
    assert not bank.is_at(BankPlace("acme", 1, bytes(32)))
    assert not bank.check(line)
    with pytest.raises(LeafError, match="not what is in the file"):
        bank.take(leaf._replace(file_sha256=bytes(32)), file)
    # The bytes are right, and what is said of how they were read is not.
    for asked in ("{}", "[]", "x"):
        with pytest.raises(LeafError, match="how it was read"):
            BankBooks().take(leaf._replace(asked=asked), file)
    for broken in (b"{}", b"[]", leaf.leaf()[:-1], leaf.leaf().replace(b"asked", b"basked")):
        with pytest.raises(LeafError):
            read_file_leaf(broken)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        source_line(ItemKey(Source.STRIPE, "main", "t"), b"a")[:-1],
        source_line(ItemKey(Source.STRIPE, "main", "t"), b"a").replace(b"YQ==", b"YR=="),
        source_line(ItemKey(Source.STRIPE, "main", "t"), b"a").replace(b"YQ==", b"YQ"),
        source_line(ItemKey(Source.STRIPE, "main", "t"), b"a").replace(b"STRIPE", b"OTHERS"),
    ],
)
def test_only_lines_as_they_are_written_are_read(line: bytes) -> None:
    key = ItemKey(Source.STRIPE, "main", "t")
    assert read_source(source_line(key, b"a")) == (key, b"a")
    with pytest.raises(LeafError):
        read_source(line)


def test_it_needs_neither_grpc_nor_a_database() -> None:
    program = (
        "import sys; from reconciliation.verify.__main__ import main;"
        " print(*{name.partition('.')[0] for name in sys.modules})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert {"grpc", "psycopg", "sqlalchemy", "aiohttp"}.isdisjoint(ran.stdout.split())


def test_the_log_says_what_adjustments_do_to_the_bank(tmp_path: Path) -> None:
    def leaf(number: int, kind: str) -> str:
        entries = [
            {
                "account": account,
                "effect": "POST",
                "direction": direction,
                "amount": "15",
                "currency": "EUR",
            }
            for account, direction in (("main/eur/bank", "CREDIT"), ("main/eur/fees", "DEBIT"))
        ]
        metadata = {"kind": kind}
        return json.dumps({"request_id": f"r{number}", "entries": entries, "metadata": metadata})

    path = tmp_path / "transactions.jsonl"
    lines = [leaf(1, "payout_paid"), leaf(2, "reconciliation.adjustment")]
    path.write_text("".join(f"{line}\n" for line in lines))
    log = LedgerLog(path, set())
    assert (dict(log.moved), dict(log.adjusted)) == ({}, {("main", "r2:EUR"): -15})
    assert log.sequences == {("main", "r2:EUR"): 2}

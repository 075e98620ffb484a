"""The offline verifier on Parquet, and both verifiers on what a running service exports."""

from pathlib import Path

import pytest

from ledger.export.tables import ParquetTarget
from ledger.v1.audit_service_pb2 import GetCheckpointRequest
from ledger.verify.finding import Finding
from ledger.verify.offline import Report, verify
from runtime.clock import ManualClock
from tests.ledger.exports import HandmadeLog, canonical, honest_log
from tests.ledger.offline import node, wrong
from tests.ledger.running import SIGNER, serving, write_history
from tests.ledger.running import export as export_of

PART_TRANSACTIONS = 5


def tables_of(log: HandmadeLog, directory: Path) -> Path:
    """The log as tables, in parts of five transactions."""
    directory.mkdir()
    target = ParquetTarget(directory, len(log.transactions), PART_TRANSACTIONS)
    for account in log.accounts:
        target.add_account(canonical(account))
    for transaction in log.transactions:
        target.add_transaction(canonical(transaction))
    target.finish()
    (directory / "checkpoint.note").write_text(SIGNER.sign(log.checkpoint()))
    return directory


def found_of(directory: Path) -> Report | Finding:
    """What the verifier says: nothing else may come out of it."""
    try:
        return verify(directory, SIGNER.verifier, [], lambda _: None)
    except Finding as finding:
        return finding


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tables_of(honest_log(), tmp_path / "export")


def test_tables_are_the_same_bytes(export: Path) -> None:
    report = found_of(export)
    assert isinstance(report, Report)
    assert report.checkpoint == honest_log().checkpoint()
    assert len(list(export.iterdir())) == 5


def test_a_changed_row_is_named(tmp_path: Path) -> None:
    log = honest_log()
    log.transactions[6]["entries"][0]["posted_debits"] = "4"
    found = wrong(tables_of(log, tmp_path / "export"))
    assert found.place == "transactions-000000000006.parquet, row 2, sequence 7"
    assert found.message.startswith("entry 0: posted_debits of cash is 4, not")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("transactions-000000000001.parquet", "transactions-000000000006.parquet"),
        ("transactions-000000000006.parquet", "transactions-000000000011.parquet"),
        (
            "transactions-000000000011.parquet",
            "transactions-000000000006.parquet, row 6, sequence 11",
        ),
        ("accounts.parquet", "accounts.parquet"),
        ("checkpoint.note", "checkpoint.note"),
    ],
)
def test_a_file_that_is_missing_is_named(export: Path, name: str, place: str) -> None:
    (export / name).unlink()
    assert wrong(export).place == place


def test_parts_in_another_order_are_found(export: Path) -> None:
    first, second = (export / f"transactions-{n:012}.parquet" for n in (1, 6))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert wrong(export).place.startswith("transactions-000000000001.parquet")


def test_a_flipped_byte_changes_nothing_or_is_found(export: Path) -> None:
    """A table's file has bytes that no value depends on; every one that a value does is covered."""
    honest = found_of(export)
    findings = harmless = 0
    for path in sorted(export.glob("*.parquet")):
        content = path.read_bytes()
        for place in range(0, len(content), 41):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            found = found_of(export)
            assert isinstance(found, Finding) or found == honest
            findings += isinstance(found, Finding)
            harmless += isinstance(found, Report)
        path.write_bytes(content)
    assert findings > harmless


async def test_what_a_service_exports_is_right_in_the_eyes_of_both(
    url: str, clock: ManualClock, tmp_path: Path
) -> None:
    """Every kind of transaction, and an older checkpoint that the service signed on the way."""
    older = tmp_path / "older.note"
    out = tmp_path / "export"
    async with serving(url, clock) as service:
        await write_history(service.client, clock)
        sealed = await service.client.audit.GetCheckpoint(
            GetCheckpointRequest(ledger="main", min_tree_size=1)
        )
        older.write_text(sealed.checkpoint.note)
        assert (await export_of(service, out)).code == 0
    report = verify(out, SIGNER.verifier, [older], lambda _: None)
    assert [old.tree_size for old in report.older] == [sealed.checkpoint.tree_size]
    code, (line,) = node("--after", older, out)
    size, accounts = report.checkpoint.tree_size, report.checkpoint.account_count
    root = report.checkpoint.root_hash.hex()
    assert (code, line) == (0, f"OK main: {size} transactions, {accounts} accounts, root {root}")

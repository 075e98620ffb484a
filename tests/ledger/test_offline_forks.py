"""The offline verifier and older checkpoints: what an export has to extend."""

from pathlib import Path

import pytest

from ledger.verify.offline import verify
from tests.ledger.exports import HandmadeLog, honest_log
from tests.ledger.offline import KEY, node, python, wrong
from tests.ledger.running import SIGNER


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return honest_log().write(tmp_path / "export", SIGNER)


def older_note(log: HandmadeLog, directory: Path, size: int, accounts: int) -> Path:
    path = directory / f"older-{log.ledger}-{size}.note"
    path.write_text(SIGNER.sign(log.checkpoint(size, accounts)))
    return path


def test_an_export_extends_older_checkpoints(export: Path, tmp_path: Path) -> None:
    notes = [older_note(honest_log(), tmp_path, size, count) for size, count in ((9, 5), (1, 0))]
    report = verify(export, SIGNER.verifier, notes, lambda _: None)
    assert [older.tree_size for older in report.older] == [1, 9]
    ran = python(str(export), "--key", KEY, "--after", str(notes[0]))
    assert ran.returncode == 0
    assert "extends       the checkpoint of 9 transactions and 5 accounts" in ran.stdout
    assert node("--after", notes[0], export)[0] == 0


def test_a_fork_is_named(export: Path, tmp_path: Path) -> None:
    """Two histories, each signed and sound; whoever has seen the one notices the other."""
    fork = honest_log()
    fork.transactions[0]["reference"] = "another"
    note = older_note(fork, tmp_path, 9, 5)
    found = wrong(export, note)
    assert found.place == "transactions 1 to 9"
    assert found.message.startswith("FORK: the older checkpoint is of other transactions: ")
    ran = python(str(export), "--key", KEY, "--after", str(note))
    assert ran.returncode == 1
    assert ran.stdout.startswith("WRONG  transactions 1 to 9: FORK")
    code, (line,) = node("--after", note, export)
    assert code == 1
    assert line.startswith("WRONG transactions 1 to 9")


def test_a_fork_of_the_accounts_is_named(export: Path, tmp_path: Path) -> None:
    fork = honest_log()
    fork.accounts[2]["currency"] = "USD"
    found = wrong(export, older_note(fork, tmp_path, 9, 4))
    assert found.place == "accounts 1 to 4"
    assert found.message.startswith("FORK: the older checkpoint is of other accounts: ")


def test_older_checkpoints_narrow_down_where_a_change_is(export: Path, tmp_path: Path) -> None:
    path = export / "transactions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[11] = lines[11].replace(b"request-12", b"request-99")
    path.write_bytes(b"".join(lines))
    notes = [older_note(honest_log(), tmp_path, size, 5) for size in (4, 10)]
    assert wrong(export, *notes).place == "transactions 11 to 13"
    notes.append(older_note(honest_log(), tmp_path, 12, 5))
    assert wrong(export, *notes).place == "transactions 11 to 12"


def test_an_older_checkpoint_has_to_be_of_this_log(export: Path, tmp_path: Path) -> None:
    longer = honest_log()
    longer.transfer("cash", "euros", 1)
    other = honest_log()
    other.ledger = "other"
    assert "covers 14 transactions, the export only 13" in str(
        wrong(export, older_note(longer, tmp_path, 14, 5))
    )
    assert "is a checkpoint of ledger/other" in str(
        wrong(export, older_note(other, tmp_path, 9, 5))
    )
    broken = tmp_path / "broken.note"
    broken.write_text("no note")
    assert wrong(export, broken).place == str(broken)

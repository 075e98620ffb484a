"""The offline verifier in Python, and the one in Node, on exports that are right and wrong."""

import json
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.notes import Checkpoint
from ledger.verify.__main__ import main
from ledger.verify.offline import verify
from runtime.signed_notes import SignerKey
from tests.ledger.exports import HandmadeLog, canonical, honest_log
from tests.ledger.offline import KEY, PROJECT, node, python, wrong
from tests.ledger.running import SIGNER

FILES = ("checkpoint.note", "accounts.jsonl", "transactions.jsonl")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return honest_log().write(tmp_path / "export", SIGNER)


def test_an_honest_export_is_right(export: Path) -> None:
    report = verify(export, SIGNER.verifier, [], lambda _: None)
    assert report.checkpoint == honest_log().checkpoint()
    assert (report.checkpoint.tree_size, report.entries, report.open_holds) == (13, 32, 1)
    euros, dollars = report.trial_balance
    # Currency, accounts, then debits and credits posted and held.
    assert euros == ("EUR", 3, 2_140, 2_140, 5, 5)
    assert dollars == ("USD", 2, 109, 109, 0, 0)


def test_the_command_tells_what_it_checked(export: Path) -> None:
    ran = python(str(export), "--key", KEY)
    assert ran.returncode == 0
    lines = ran.stdout.splitlines()
    assert lines[0] == "OK  ledger main: the export is what the checkpoint covers"
    assert "transactions  13 with 32 entries, 1 open holds" in lines
    assert f"root          {honest_log().checkpoint().root_hash.hex()}" in lines
    assert f"signed by     {SIGNER.verifier.name}+{SIGNER.verifier.key_id.hex()}" in lines
    assert lines[-3].split() == [
        *("currency", "accounts", "posted", "debits", "posted", "credits"),
        *("held", "debits", "held", "credits"),
    ]
    assert lines[-2].split() == ["EUR", "3", "2,140", "2,140", "5", "5"]


def test_node_agrees(export: Path) -> None:
    code, lines = node(export)
    root = honest_log().checkpoint().root_hash.hex()
    assert (code, lines) == (0, [f"OK main: 13 transactions, 5 accounts, root {root}"])


def test_it_needs_neither_grpc_nor_a_database(export: Path) -> None:
    program = """
import sys
from ledger.verify.__main__ import main
code = main(sys.argv[1:])
print(code, *sorted(sys.modules))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(export), "--key", KEY],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, *modules = ran.stdout.splitlines()[-1].split()
    assert code == "0"
    unwanted = {"grpc", "psycopg", "sqlalchemy", "pyarrow", "google", "pydantic"}
    assert unwanted.isdisjoint(name.partition(".")[0] for name in modules)
    # Of the runtime it has what every command has, which is the standard library's.
    ours = {name for name in modules if name.partition(".")[0] == "runtime"}
    signed = {"runtime.merkle", "runtime.signed_notes"}
    assert ours == {"runtime", "runtime.command_line"} | signed


def flips(directory: Path, step: int = 1) -> Iterator[tuple[str, int, bytes]]:
    """Every step-th byte of every file of the export, flipped: file, line and new content."""
    for name in FILES:
        content = (directory / name).read_bytes()
        for place in range(0, len(content), step):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            yield name, content.count(b"\n", 0, place) + 1, bytes(changed)


def test_every_flipped_byte_is_found_where_it_is(export: Path) -> None:
    """By its line, unless the line is still sound in itself: then by what the root is over."""
    lines = 0
    for name, line, changed in flips(export):
        original = (export / name).read_bytes()
        (export / name).write_bytes(changed)
        found = wrong(export)
        (export / name).write_bytes(original)
        if name == "checkpoint.note":
            assert found.place == name
        elif found.place.startswith(f"{name}, line "):
            # A line end that is gone moves the trouble to the line after it, at the earliest.
            assert int(found.place.rpartition(" ")[2]) >= line
            lines += 1
        else:
            assert found.place == f"{name.removesuffix('.jsonl')} 1 to {5 if 'acc' in name else 13}"
    assert lines > 4_000


def test_node_finds_flipped_bytes_too(export: Path, tmp_path: Path) -> None:
    copies = []
    for number, (name, _, changed) in enumerate(flips(export, step=23)):
        copy = tmp_path / f"flipped-{number}"
        shutil.copytree(export, copy)
        (copy / name).write_bytes(changed)
        copies.append(copy)
    code, lines = node(*copies)
    assert code == 1
    assert len(lines) == len(copies) > 250
    assert [line for line in lines if not line.startswith("WRONG ")] == []


def rewritten(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    """Changes the lines of a file."""

    def apply(directory: Path) -> None:
        path = directory / name
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return apply


def forged(directory: Path, **changes: Any) -> None:
    """A checkpoint of another key."""
    note = SignerKey.generate(SIGNER.verifier.name).sign(honest_log().checkpoint())
    (directory / "checkpoint.note").write_text(note)


def edited(directory: Path, before: str, after: str) -> None:
    path = directory / "checkpoint.note"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after, 1))


Tampering = Callable[[Path], None]
TAMPERINGS: dict[str, tuple[Tampering, str, str]] = {
    "dropped": (
        rewritten("transactions.jsonl", lambda lines: lines[:4] + lines[5:]),
        "transactions.jsonl, line 5",
        "sequence is 6, not 5",
    ),
    "reordered": (
        rewritten("transactions.jsonl", lambda lines: [lines[1], lines[0], *lines[2:]]),
        "transactions.jsonl, line 1",
        "sequence is 2, not 1",
    ),
    "duplicated": (
        rewritten("transactions.jsonl", lambda lines: lines[:3] + lines[2:]),
        "transactions.jsonl, line 4",
        "sequence is 3, not 4",
    ),
    "inserted": (
        rewritten(
            "transactions.jsonl", lambda lines: [*lines, lines[-1].replace(b'"13"', b'"14"')]
        ),
        "transactions.jsonl, line 14",
        "the checkpoint ends at 13",
    ),
    "last one dropped": (
        rewritten("transactions.jsonl", lambda lines: lines[:-1]),
        "transactions.jsonl, line 13",
        "is missing: the checkpoint ends at 13",
    ),
    "truncated": (
        rewritten("transactions.jsonl", lambda lines: [*lines[:7], lines[7][:50]]),
        "transactions.jsonl, line 8",
        "is cut off: no line end",
    ),
    "no last line end": (
        rewritten("transactions.jsonl", lambda lines: [*lines[:-1], lines[-1][:-1]]),
        "transactions.jsonl, line 13",
        "is cut off: no line end",
    ),
    "emptied": (
        rewritten("transactions.jsonl", lambda _: []),
        "transactions.jsonl, line 1",
        "is missing: the checkpoint ends at 13",
    ),
    "account dropped": (
        rewritten("accounts.jsonl", lambda lines: lines[:1] + lines[2:]),
        "accounts.jsonl, line 2",
        "number is 3, not 2",
    ),
    "last account dropped": (
        rewritten("accounts.jsonl", lambda lines: lines[:-1]),
        "accounts.jsonl, line 5",
        "is missing: the checkpoint ends at 5",
    ),
    "account renamed": (
        rewritten("accounts.jsonl", lambda lines: [lines[0].replace(b"cash", b"cost"), *lines[1:]]),
        "accounts 1 to 5",
        "the hash of the first 5 is",
    ),
    "label changed": (
        rewritten(
            "transactions.jsonl", lambda lines: [lines[0].replace(b'"1"', b'"3"', 1), *lines[1:]]
        ),
        "transactions",
        "",
    ),
    "another key": (forged, "checkpoint.note", "line 6: signed by ledger.test+"),
    "another size": (
        lambda directory: edited(directory, "\n13\n", "\n12\n"),
        "checkpoint.note",
        "line 6: the signature is not that of the text above it",
    ),
    "another ledger": (
        lambda directory: edited(directory, "ledger/main", "ledger/mine"),
        "checkpoint.note",
        "line 6: the signature is not that of the text above it",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_named(export: Path, name: str) -> None:
    tamper, place, message = TAMPERINGS[name]
    tamper(export)
    found = wrong(export)
    assert found.place.startswith(place)
    assert found.message.startswith(message)
    code, (line,) = node(export)
    assert code == 1
    assert line.startswith("WRONG ")


def test_a_file_that_is_missing_or_too_many_is_named(export: Path) -> None:
    (export / "more.jsonl").write_bytes(b"")
    assert str(wrong(export)).startswith("more.jsonl: is no part of an export")
    (export / "more.jsonl").rename(export / "accounts.parquet")
    assert wrong(export).place
    (export / "accounts.parquet").unlink()
    (export / "transactions.jsonl").unlink()
    assert "is missing" in str(wrong(export))


def test_wrong_usage_is_told_apart(export: Path, tmp_path: Path) -> None:
    for arguments in (
        [str(export)],
        [str(export), "--key", "none"],
        [str(tmp_path / "missing"), "--key", KEY],
        [str(export), "--key", KEY, "--after", str(tmp_path / "missing")],
        [str(export), "--key", str(tmp_path)],
    ):
        ran = python(*arguments)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_key_comes_as_text_or_in_a_file(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "verifier.key"
    file.write_text(f"{KEY}\n")
    assert main([str(export), "--key", str(file)]) == 0
    assert capsys.readouterr().out.startswith("OK  ledger main")


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    peaks = []
    for count in (500, 5_000):
        log = HandmadeLog()
        log.account("cash")
        log.account("wallet", "CREDIT")
        for _ in range(count):
            log.transfer("wallet", "cash", 1)
        directory = log.write(tmp_path / str(count), SIGNER)
        tracemalloc.start()
        verify(directory, SIGNER.verifier, [], lambda _: None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1_000_000


def test_canonical_lines_are_what_the_ledger_writes(export: Path) -> None:
    """The handmade lines are canonical in the eyes of a third: Python's own reader and writer."""
    for line in (export / "transactions.jsonl").read_bytes().splitlines():
        assert canonical(json.loads(line)) == line
    assert isinstance(honest_log().checkpoint(), Checkpoint)

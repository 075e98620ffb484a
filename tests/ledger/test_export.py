"""Exports: the bytes that checkpoints cover, in both forms, however often they are interrupted."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.export import parquet
from ledger.export.exporter import Exporter
from ledger.exporting import MAX_ENTRIES_PER_MESSAGE, MAX_TRANSACTIONS_PER_MESSAGE
from ledger.v1.export_pb2 import ExportLogRequest
from ledger.validation import MAX_ENTRIES
from ledger.verify.finding import Finding
from ledger.verify.offline import verify
from runtime.clock import ManualClock
from runtime.progress import Progress
from tests.ledger.client import credit, debit, draft
from tests.ledger.running import (
    COMMAND_SECONDS,
    SIGNER,
    START,
    Served,
    StallingProxy,
    export,
    sealed,
    serving,
    start,
    write_history,
    write_many,
)

FORMATS = ("jsonl", "parquet")
# How often an export is cut at each file, killed, and damaged at each file.
CUTS = 5
KILLS = 4
FLIPS = 40
# What 2,000 transactions of `write_many` take on the wire, at least.
ANSWER_BYTES = 1_000_000


@pytest.fixture
async def served(url: str, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with a ledger that has everything."""
    async with serving(url, clock) as service:
        await write_history(service.client, clock)
        yield service


def bytes_of(directory: Path) -> dict[str, bytes]:
    """The files of an export."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.mark.parametrize("form", FORMATS)
async def test_an_export_is_what_the_checkpoint_covers(
    served: Served, tmp_path: Path, form: str
) -> None:
    ran = await export(served, tmp_path / "export", "--format", form)
    assert ran.code == 0, ran.said
    report = verify(tmp_path / "export", SIGNER.verifier, (), lambda _: None)
    assert report.checkpoint.tree_size == (await served.client.verify()).sequence


async def test_both_forms_have_the_same_lines(served: Served, tmp_path: Path) -> None:
    lines, tables = tmp_path / "lines", tmp_path / "tables"
    for directory, form in ((lines, "jsonl"), (tables, "parquet")):
        ran = await export(served, directory, "--format", form)
        assert ran.code == 0, ran.said
    (part,) = parquet.parts(tables)
    assert part.name == "transactions-000000000001.parquet"
    for name, given in (
        ("transactions.jsonl", parquet.leaves(part)),
        ("accounts.jsonl", parquet.account_lines(tables / "accounts.parquet")),
    ):
        assert (lines / name).read_bytes() == b"".join(line + b"\n" for line in given)
    assert (lines / "checkpoint.note").read_bytes() == (tables / "checkpoint.note").read_bytes()


@pytest.mark.parametrize("form", FORMATS)
async def test_a_flipped_bit_is_found_by_the_verifier(
    served: Served, tmp_path: Path, form: str
) -> None:
    """In lines each one; in tables each one that any row depends on."""
    out = tmp_path / "export"
    assert (await export(served, out, "--format", form)).code == 0
    lines = bytes_of(out) if form == "jsonl" else lines_of(out)
    numbers = random.Random(form)
    for name, whole in bytes_of(out).items():
        for _ in range(FLIPS):
            damaged = bytearray(whole)
            damaged[numbers.randrange(len(whole))] ^= 1 << numbers.randrange(8)
            (out / name).write_bytes(damaged)
            try:
                verify(out, SIGNER.verifier, (), lambda _: None)
            except Finding as finding:
                assert finding.place or finding.message  # noqa: PT017
            else:
                assert form == "parquet"
                assert lines_of(out) == lines
        (out / name).write_bytes(whole)


def lines_of(directory: Path) -> dict[str, bytes]:
    """What the rows of an export's tables stand for."""
    found = {"accounts": b"\n".join(parquet.account_lines(directory / parquet.ACCOUNTS_FILE))}
    for part in parquet.parts(directory):
        found[part.name] = b"\n".join(parquet.leaves(part))
    return found


@pytest.mark.parametrize("form", FORMATS)
async def test_the_largest_transaction(served: Served, tmp_path: Path, form: str) -> None:
    """Its leaf takes some megabytes, and a message of its own."""
    note = "\x01" * 200
    legs = [credit("wallets/b", 1, description=note) for _ in range(MAX_ENTRIES // 2)]
    legs += [debit("assets/cash", 1, description=note) for _ in range(MAX_ENTRIES // 2)]
    await served.client.create(draft(*legs))
    ran = await export(served, tmp_path / "export", "--format", form)
    assert ran.code == 0, ran.said
    verify(tmp_path / "export", SIGNER.verifier, (), lambda _: None)


async def test_the_whole_export_is_left_alone(served: Served, tmp_path: Path) -> None:
    out = tmp_path / "export"
    assert (await export(served, out)).code == 0
    before = bytes_of(out)
    ran = await export(served, out)
    assert (ran.code, bytes_of(out)) == (0, before)
    assert "is a whole export already" in ran.said


@pytest.mark.parametrize("part_transactions", [1, 4, 100])
@pytest.mark.parametrize("form", FORMATS)
async def test_an_export_cut_anywhere_goes_on(
    served: Served, tmp_path: Path, form: str, part_transactions: int
) -> None:
    """What a killed run leaves: the note's other name, and of the last file only a part."""
    await sealed(served.client)

    async def to(directory: Path) -> dict[str, bytes]:
        progress = Progress(io.StringIO(), ManualClock(START))
        stub = served.client.audit
        await Exporter(stub, "", "main", progress, part_transactions).export(directory, form)
        return bytes_of(directory)

    last = (await served.client.verify()).sequence
    whole = await to(tmp_path / "whole")
    assert len(whole) == (3 if form == "jsonl" else 2 + -(-last // part_transactions))
    numbers = random.Random(part_transactions)
    names = [name for name in whole if name != "checkpoint.note"]
    for number, written in enumerate(names):
        for cutting in range(CUTS):
            directory = tmp_path / f"cut-{number}-{cutting}"
            directory.mkdir()
            (directory / "checkpoint.note.partial").write_bytes(whole["checkpoint.note"])
            for name in names[:number]:
                (directory / name).write_bytes(whole[name])
            cut = whole[written][: numbers.randrange(len(whole[written]))]
            unfinished = written if form == "jsonl" else f"{written}.partial"
            (directory / unfinished).write_bytes(cut)
            assert await to(directory) == whole


@pytest.mark.parametrize("form", FORMATS)
async def test_a_killed_export_goes_on(served: Served, tmp_path: Path, form: str) -> None:
    """Killed by signal 9 when a random number of bytes has come through, again and again."""
    await write_many(served.client, 2_000)
    await sealed(served.client)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert (await export(served, whole, "--format", form)).code == 0
    numbers = random.Random(form)
    for _ in range(KILLS):
        proxy = StallingProxy(served.address, answers=numbers.randrange(ANSWER_BYTES))
        async with proxy.listening() as address:
            process = await start(
                "ledger.export",
                *("--address", address, "--ledger", "main", "--out", killed, "--format", form),
            )
            await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
            process.kill()
            await process.communicate()
    # What came later is no part of an export that was begun before.
    await write_many(served.client, 10, prefix="later")
    ran = await export(served, killed, "--format", form)
    assert ran.code == 0, ran.said
    assert bytes_of(killed) == bytes_of(whole)


async def test_a_broken_stream_is_asked_for_again(served: Served, tmp_path: Path) -> None:
    """A service that restarts while it is exported from."""
    await write_many(served.client, 2_000)
    await sealed(served.client)
    proxy = StallingProxy(served.address, answers=ANSWER_BYTES // 2)
    async with proxy.listening() as address:
        process = await start(
            "ledger.export",
            *("--address", address, "--ledger", "main", "--out", tmp_path / "export"),
        )
        await asyncio.wait_for(proxy.stalled.wait(), COMMAND_SECONDS)
        proxy.heal()
        output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    assert process.returncode == 0, output
    assert b"trying again" in output
    verify(tmp_path / "export", SIGNER.verifier, (), lambda _: None)


async def test_messages_are_bounded(served: Served) -> None:
    legs = [credit("wallets/b", 1) for _ in range(300)] + [debit("assets/cash", 300)]
    for _ in range(10):
        await served.client.create(draft(*legs))
    await write_many(served.client, 500)
    last = (await served.client.verify()).sequence
    request = ExportLogRequest(ledger="main", through_account=5, through_sequence=last)
    sizes = []
    async for response in served.client.audit.ExportLog(request):
        leaves = [json.loads(leaf) for leaf in response.transactions]
        entries = sum(len(leaf["entries"]) for leaf in leaves)
        assert len(leaves) <= MAX_TRANSACTIONS_PER_MESSAGE
        assert entries <= MAX_ENTRIES_PER_MESSAGE
        sizes.append(len(leaves))
    assert sum(sizes) == last
    assert sizes[0] == 0, "accounts come first"
    assert max(sizes) == MAX_TRANSACTIONS_PER_MESSAGE

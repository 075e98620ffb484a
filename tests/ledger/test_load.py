"""Imports from lines and from exports; what is refused, and what cannot be read."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.load.batches import MAX_BAD_LINES_NAMED
from ledger.v1.ledger_pb2 import CreateLedgerRequest
from runtime.clock import ManualClock
from tests.ledger.books import BOOKS, Line, account, last_sequence, leaves, leg, transfer, write
from tests.ledger.running import (
    Served,
    export,
    load,
    run,
    serving,
    write_history,
    write_many,
)
from tests.plugin import NewDatabase


@pytest.fixture
async def served(url: str, clock: ManualClock) -> AsyncIterator[Served]:
    """A service with an empty ledger."""
    async with serving(url, clock) as service:
        await service.client.create_ledger()
        yield service


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_lines_of_every_kind(served: Served, tmp_path: Path) -> None:
    file = write(
        tmp_path / "books.jsonl",
        [
            account("cash", metadata={"owner": "us"}),
            account("payable", "CREDIT", limits={"min_available_minor": "0"}),
            transfer("t-1", 500, reference="r", effectiveTime="2025-12-31T23:59:59.5Z"),
            transfer("h-1", 100, pending=True, expireTime="2026-03-01T00:00:00+01:00"),
            transfer("h-2", 40, pending=True),
            {
                "requestId": "p-1",
                "post": {
                    "pending": {"request_id": "h-1"},
                    "parts": [
                        {"entry_index": 0, "amount_minor": 30},
                        {"entryIndex": 1, "amountMinor": "30"},
                    ],
                    "remainder": "REMAINDER_KEEP",
                },
            },
            {"request_id": "v-1", "void": {"pending": {"sequence": "3"}}},
            {"request_id": "r-1", "reversal": {"original": {"requestId": "t-1"}}},
        ],
    )
    ran = await load(served, file)
    assert ran.code == 0, ran.said
    assert "2 accounts and 6 transactions, 0 of them refused" in ran.said
    balance = await served.client.balance("cash")
    assert (balance.posted_minor, balance.pending_debits_minor) == (30, 70)
    kinds = [leaf["kind"] for leaf in await leaves(served, tmp_path / "first")]
    assert kinds == ["DIRECT", "PENDING", "PENDING", "POST", "VOID", "REVERSAL"]
    again = await load(served, file)
    assert again.code == 0, again.said
    assert await last_sequence(served.client) == 6
    assert names_in(tmp_path) == ["books.jsonl", "first"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
async def test_an_export_makes_the_same_ledger_again(
    served: Served,
    url: str,
    service_database: NewDatabase,
    clock: ManualClock,
    tmp_path: Path,
    form: str,
) -> None:
    original = service_database("ledger")
    async with serving(original, clock) as old:
        await write_history(old.client, clock)
        await write_many(old.client, 1_500)
        await old.client.reverse("many-3")
        ran = await export(old, tmp_path / "old", "--format", form)
        assert ran.code == 0, ran.said
        expected = await old.client.trial(page_size=1_000)
        first = await leaves(old, tmp_path / "lines")
    ran = await load(served, tmp_path / "old")
    assert ran.code == 0, ran.said
    found = await served.client.trial(page_size=1_000)
    assert found.totals == expected.totals
    assert found.lines == expected.lines
    second = await leaves(served, tmp_path / "new")
    assert [without_carried(leaf) for leaf in second] == [without_carried(leaf) for leaf in first]
    assert (await served.client.verify()).intact
    # The open hold that nothing had settled keeps its expiry, the others come without.
    expiring = [leaf["request_id"] for leaf in second if "expire_time" in leaf]
    assert expiring == ["open"]
    again = await load(served, tmp_path / "old")
    assert again.code == 0, again.said
    assert await last_sequence(served.client) == len(first)


def without_carried(leaf: Line) -> Line:
    """A leaf without what an import changes: see docs/export.md."""
    kept = {key: value for key, value in leaf.items() if key not in ("record_time", "expire_time")}
    if kept["kind"] in ("VOID", "EXPIRY"):
        kept = kept | {"kind": "VOID"}
        del kept["effective_time"]
    if kept.get("request_id", "").startswith("export:"):
        del kept["request_id"]
    return kept


async def test_refused_items_are_reported(served: Served, tmp_path: Path) -> None:
    unbalanced = transfer("t-2", 5)
    unbalanced["transaction"]["entries"][0]["amount"]["minor_units"] = 2**53 + 1
    file = write(
        tmp_path / "books.jsonl",
        [*BOOKS, transfer("t-1", 1), unbalanced, transfer("t-3", 1), account("cash", "CREDIT")],
    )
    ran = await load(served, file)
    assert ran.code == 1
    assert "3 accounts and 3 transactions, 2 of them refused" in ran.said
    text = (tmp_path / "books.jsonl.rejected.jsonl").read_text(encoding="utf-8")
    first, second = (json.loads(line) for line in text.splitlines())
    assert (first["line"], first["reason"]) == (6, "ACCOUNT_ALREADY_EXISTS")
    assert (second["line"], second["reason"]) == (4, "UNBALANCED")
    assert second["request_id"] == "t-2"
    # Whoever corrects the line with jq or in JavaScript has to find the amount that was there.
    unbalanced["transaction"]["entries"][0]["amount"]["minor_units"] = "9007199254740993"
    assert second["input"] == unbalanced
    assert await last_sequence(served.client) == 2
    again = await load(served, file)
    assert again.code == 1
    assert (tmp_path / "books.jsonl.rejected.jsonl").read_text(encoding="utf-8") == text
    assert await last_sequence(served.client) == 2


async def test_bad_lines_are_named_and_nothing_of_their_batch_is_sent(
    served: Served, tmp_path: Path
) -> None:
    file = tmp_path / "books.jsonl"
    write(file, [*BOOKS, *(transfer(f"t-{number}", 1) for number in range(1_500))])
    good = file.read_bytes()
    bad = [
        (b'{"request_id": "x", "transaction": {', "column 37: is not JSON"),
        (b'{"request_id": "x"}', "column 1: the line needs exactly one of account, transaction"),
        (b'{"request_id": "x", "void": {"pending": {"sequence": 0}}}', "column 54: void.pending"),
        (b'{"request_id": "x", "void": {"pending": {}}, "more": 1}', "column 54: more is no field"),
        (b'{"account": {"name": "a", "name": "b"}}', 'column 1: the key "name" comes twice'),
        (b'{"account": {"name": "\xff"}}', "column 23: is not UTF-8"),
        (b"[" * 100_000, "column 1: is nested too deeply"),
    ]
    file.write_bytes(good + b"\n".join(line for line, _ in bad) + b"\n" + good)
    ran = await load(served, file)
    assert ran.code == 2
    for number, (_, said) in enumerate(bad, 1_503):
        assert f"{file}, line {number}, {said}" in ran.said
    assert "nothing after line 1002 was sent" in ran.said
    assert await last_sequence(served.client) == 1_000
    checked = await load(served, "--check", file)
    assert checked.code == 2
    assert f"{file}, line 1503" in checked.said
    file.write_bytes(good)
    assert (await load(served, "--check", file)).code == 0
    ran = await load(served, file)
    assert ran.code == 0
    assert "going on after line 1,002" not in ran.said, "the file is another one now"
    assert await last_sequence(served.client) == 1_500


async def test_only_so_many_bad_lines_are_named(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "books.jsonl"
    file.write_bytes(b"{}\n" * 1_000)
    ran = await load(served, file)
    assert ran.code == 2
    assert ran.said.count("line ") == 2 * MAX_BAD_LINES_NAMED
    assert "nothing was sent" in ran.said


async def test_an_id_that_comes_twice_is_for_the_ledger_to_judge(
    served: Served, tmp_path: Path
) -> None:
    lines = [*BOOKS, transfer("t-1", 1), transfer("t-1", 1), transfer("t-1", 2)]
    ran = await load(served, write(tmp_path / "books.jsonl", lines))
    assert ran.code == 1
    text = (tmp_path / "books.jsonl.rejected.jsonl").read_text(encoding="utf-8")
    (report,) = (json.loads(line) for line in text.splitlines())
    assert (report["line"], report["reason"]) == (5, "REQUEST_ID_REUSED")
    assert report["metadata"]["differing_fields"].startswith("entries[0].amount")
    assert await last_sequence(served.client) == 1


async def test_accounts_that_are_there_already(served: Served, tmp_path: Path) -> None:
    limits = {"max_posted_minor": 0}
    lines = [account("a"), account("b", limits={}), account("c", limits=limits)]
    assert (await load(served, write(tmp_path / "first.jsonl", lines))).code == 0
    more = [account("z"), *lines, account("y")]
    ran = await load(served, write(tmp_path / "second.jsonl", more))
    assert ran.code == 0, ran.said
    other = [account("a", metadata={"k": "v"}), account("c"), account("b", currency="USD")]
    ran = await load(served, write(tmp_path / "third.jsonl", other))
    assert ran.code == 1
    assert "3 of them refused" in ran.said


async def test_failures_are_said_in_a_line(served: Served, tmp_path: Path) -> None:
    file = write(tmp_path / "books.jsonl", BOOKS)

    async def fails(*arguments: str | Path, address: str = served.address) -> str:
        ran = await run("ledger.load", "--address", address, *arguments)
        assert ran.code == 2
        assert len(ran.said.splitlines()) == 1, ran.said
        return ran.said

    assert "nobody answers" in await fails("--ledger", "main", file, address="127.0.0.1:9")
    assert "LEDGER_NOT_FOUND" in await fails("--ledger", "nowhere", file)
    assert "No such file" in await fails("--ledger", "main", tmp_path / "none.jsonl")
    assert "is no whole export" in await fails("--ledger", "main", tmp_path)
    assert "plain text is for loopback only" in await fails(
        "--ledger", "main", file, address="ledger.example:1"
    )
    work = tmp_path / "none" / "work"
    write(file, [*BOOKS, transfer("t-1", 1)])
    assert "No such file" in await fails("--ledger", "main", file, "--work", work)
    twin = tmp_path / "twin"
    twin.mkdir()
    write(twin / "books.jsonl", BOOKS)
    assert "have the same name" in await fails(
        "--ledger", "main", file, twin / "books.jsonl", "--work", twin
    )
    await served.client.stub.CreateLedger(CreateLedgerRequest(request_id="n", name="new"))
    assert (await load(served, file, "--work", twin, ledger="new")).code == 0


async def test_a_batch_that_is_too_large_for_the_ledger_is_halved(
    served: Served, tmp_path: Path
) -> None:
    """A reversal counts nothing here, and at the ledger as many entries as what it reverses."""
    count, legs = 55, 2_000
    wide = [leg("cash", "DEBIT", 1), leg("payable", "CREDIT", 1)] * (legs // 2)
    lines = [
        *BOOKS,
        *({"request_id": f"t-{n}", "transaction": {"entries": wide}} for n in range(count)),
    ]
    assert (await load(served, write(tmp_path / "wide.jsonl", lines))).code == 0
    reversals = [
        {"request_id": f"r-{n}", "reversal": {"original": {"request_id": f"t-{n}"}}}
        for n in range(count)
    ]
    ran = await load(served, write(tmp_path / "reversals.jsonl", reversals))
    assert ran.code == 0, ran.said
    assert await last_sequence(served.client) == 2 * count
    assert await served.client.posted("cash") == 0

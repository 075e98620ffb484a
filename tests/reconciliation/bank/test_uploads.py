"""Files of banks over a socket: taken whole or not at all, once, and shown as they were."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from money.v1.money_pb2 import Money
from reconciliation.bank import service, store
from reconciliation.bank.lines import key_of
from reconciliation.statements.model import Kind
from reconciliation.v1 import statement_pb2 as messages
from reconciliation.v1 import statement_service_pb2 as pb
from reconciliation.validation import MAX_PIECE_BYTES
from runtime.errors import ReceivedError, from_rpc_error
from tests.reconciliation.bank.conftest import Bank
from tests.reconciliation.bank.files import FORMATS, Booked, day, drawn, file_of
from tests.reconciliation.statements.camt_writer import write_camt

TABLES = ("bank_file", "bank_file_piece", "bank_statement", "bank_line", "bank_exclusion", "item")


def pieces_of(
    content: bytes, account: str, request_id: str, size: int = MAX_PIECE_BYTES, **first: Any
) -> Iterator[pb.UploadStatementRequest]:
    yield pb.UploadStatementRequest(
        request_id=request_id, bank_account=account, file_name="statement.xml", **first
    )
    for start in range(0, len(content), size):
        yield pb.UploadStatementRequest(content=content[start : start + size])


async def upload(
    bank: Bank, account: str, content: bytes, request_id: str = "u1", **first: Any
) -> list[messages.BankStatement]:
    answer = await bank.statements.UploadStatement(pieces_of(content, account, request_id, **first))
    return list(answer.statements)


async def failure_of(call: Any) -> ReceivedError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def counts(bank: Bank) -> dict[str, int]:
    return {
        table: (await bank.books.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES
    }


async def nothing(bank: Bank) -> bool:
    return not any((await counts(bank)).values())


LINES = (Booked(12_345, "payout po_1234567", day(0)), Booked(-45, "fee 7", day(0)))


async def test_a_file_of_each_format_is_taken_with_its_bytes(bank: Bank) -> None:
    for number, account in enumerate(FORMATS, 1):
        content = file_of(account, drawn(account, LINES, 1_000, day(0), number=1))
        (statement,) = await upload(bank, account, content, f"u{number}")
        assert statement.statement_id == number
        assert (statement.bank_account, statement.position) == (account, 1)
        assert statement.kind == messages.STATEMENT_KIND_BOOKED
        assert statement.continuity == messages.STATEMENT_CONTINUITY_OK
        assert statement.opening.amount.minor_units == 1_000
        assert statement.closing.amount == Money(currency_code="EUR", minor_units=13_300)
        assert (statement.first_day, statement.last_day) == ("2026-11-02", "2026-11-02")
        assert statement.file_sha256 == hashlib.sha256(content).digest()
        assert (statement.file_bytes, statement.client) == (len(content), "sandbox")
        async with bank.books.engine.connect() as connection:
            assert await store.bytes_of(connection, number) == content

        shown = await bank.statements.GetStatement(pb.GetStatementRequest(statement_id=number))
        assert shown.statement == statement
        assert [line.amount.minor_units for line in shown.lines] == [12_345, -45]
        assert [line.position for line in shown.lines] == [1, 2]
        items = {
            row.key: row
            for row in await bank.books.rows("SELECT key, amount_minor, tokens FROM item")
        }
        for line in shown.lines:
            assert items[line.item_key].amount_minor == line.amount.minor_units
        assert "po_1234567" in items[shown.lines[0].item_key].tokens


async def test_the_format_is_found_out(bank: Bank) -> None:
    for number, account in enumerate(FORMATS):
        if account == "of-csv":
            continue
        content = file_of(account, drawn(account, LINES, 0, day(0), number=1))
        detect = messages.STATEMENT_FORMAT_DETECT
        (statement,) = await upload(bank, account, content, f"u{number}", format=detect)
        assert statement.bank_account == account
    content = file_of("of-any", drawn("of-any", LINES, 0, day(0)))
    (statement,) = await upload(bank, "of-any", content, "any")
    assert statement.version == "camt.053.001.08"
    error = await failure_of(upload(bank, "of-any", b"Day;Amount\n", "csv"))
    assert (error.reason, error.metadata["problem"]) == (
        "STATEMENT_UNREADABLE",
        "FORMAT_UNKNOWN",
    )


async def test_the_same_file_and_the_same_request_get_the_same_answer(bank: Bank) -> None:
    content = file_of("of-camt", drawn("of-camt", LINES, 0, day(0)))
    first = await upload(bank, "of-camt", content)
    before = await counts(bank)
    assert await upload(bank, "of-camt", content) == first
    assert await upload(bank, "of-camt", content, "u2") == first
    error = await failure_of(upload(bank, "of-camt", content + b"\n"))
    assert (error.reason, error.metadata["differing_fields"]) == ("REQUEST_ID_REUSED", "content")
    # Each is an act of somebody's.
    acts = await bank.books.rows("SELECT method, request_id, about FROM operator_act")
    assert {(act.method, act.request_id, act.about["bank_account"]) for act in acts} == {
        ("reconciliation.v1.StatementService/UploadStatement", request_id, "of-camt")
        for request_id in ("u1", "u2")
    }
    both = await asyncio.gather(*(upload(bank, "of-camt", content, f"p{n}") for n in range(2)))
    assert both == [first, first]
    assert await counts(bank) == before


async def test_the_same_statement_in_another_file_is_a_duplicate_with_the_same_lines(
    bank: Bank,
) -> None:
    statement = drawn("of-camt", LINES, 0, day(0))
    await upload(bank, "of-camt", write_camt([statement], version=8))
    (again,) = await upload(bank, "of-camt", write_camt([statement], version=4), "u2")
    assert again.continuity == messages.STATEMENT_CONTINUITY_DUPLICATE
    assert again.other_statement_id == 1
    assert again.continuity_reason == "the same id, balances and entries"
    lines = [
        [line.item_key for line in shown.lines]
        for number in (1, 2)
        for shown in [
            await bank.statements.GetStatement(pb.GetStatementRequest(statement_id=number))
        ]
    ]
    assert lines[0] == lines[1]
    assert (await counts(bank))["item"] == 2


async def test_two_equal_lines_of_a_day_are_two(bank: Bank) -> None:
    twice = (Booked(500, "x", day(0)), Booked(500, "x", day(0)))
    await upload(bank, "of-camt", file_of("of-camt", drawn("of-camt", twice, 0, day(0))))
    items = await bank.books.rows("SELECT key, sha256 FROM item ORDER BY key")
    assert [row.key for row in items] == [
        key_of("of-camt", day(0), items[0].sha256, number) for number in (1, 2)
    ]
    # One more of them in the next statement of the day, which goes on from it.
    more = drawn("of-camt", twice[:1], 1_000, day(0), name="second")
    await upload(bank, "of-camt", file_of("of-camt", more), "u2")
    assert len(await bank.books.rows("SELECT FROM item")) == 3


async def test_lines_that_are_not_booked_or_too_early_are_compared_with_nothing(
    bank: Bank,
) -> None:
    early = drawn("of-camt", [Booked(7, "a", day(-1)), Booked(8, "b", day(0))], 0, day(-1), day(0))
    (taken,) = await upload(bank, "of-camt", file_of("of-camt", early))
    assert taken.line_count == 2
    assert [row[0] for row in await bank.books.rows("SELECT amount_minor FROM item")] == [8]


@pytest.mark.usefixtures("reads_beside")
async def test_files_are_read_by_another_process(bank: Bank) -> None:
    right = drawn("of-csv", LINES, 0, day(0))
    error = await failure_of(upload(bank, "of-csv", b"Day;Amount", "wrong"))
    assert error.reason == "STATEMENT_UNREADABLE"
    (taken,) = await upload(bank, "of-csv", file_of("of-csv", right))
    assert taken.line_count == 2
    again = drawn("of-csv", LINES[:1], 0, day(0))
    (taken,) = await upload(bank, "of-csv", file_of("of-csv", again), "again")
    assert taken.continuity == messages.STATEMENT_CONTINUITY_OVERLAP
    assert len(await bank.books.rows("SELECT FROM item")) == 2


async def test_what_is_wrong_is_said_and_changes_nothing(bank: Bank) -> None:
    right = drawn("of-camt", LINES, 0, day(0))
    content = file_of("of-camt", right)
    cases = {
        "STATEMENT_OF_ANOTHER_ACCOUNT": file_of("of-any", drawn("of-any", LINES, 0, day(0))),
        "STATEMENT_CURRENCY_DIFFERS": content.replace(b"EUR", b"USD"),
        "STATEMENT_IN_THE_FUTURE": file_of("of-camt", drawn("of-camt", LINES, 0, day(30))),
        "STATEMENT_BALANCE_FALSE": file_of("of-camt", right.with_amount(0, 1)),
        "STATEMENT_UNREADABLE": content[:-40],
    }
    for number, (reason, wrong_content) in enumerate(cases.items()):
        error = await failure_of(upload(bank, "of-camt", wrong_content, f"w{number}"))
        assert error.reason == reason
        assert error.metadata["bank_account"] == "of-camt"
        assert error.metadata["place"].startswith("camt")
        # The same request is answered alike.
        again = await failure_of(upload(bank, "of-camt", wrong_content, f"w{number}"))
        assert again.reason == reason
    assert await nothing(bank)
    refusals = await bank.books.rows("SELECT problem FROM bank_refusal ORDER BY refusal_id")
    assert [row.problem for row in refusals] == [
        "ACCOUNT",
        "CURRENCY",
        "FUTURE_DATE",
        "BALANCE",
        "UNREADABLE",
    ]
    error = await failure_of(upload(bank, "nobody", content, "nobody"))
    assert (error.reason, error.metadata) == (
        "BANK_ACCOUNT_NOT_FOUND",
        {"bank_account": "nobody"},
    )


async def test_of_several_statements_all_are_taken_or_none(bank: Bank) -> None:
    first = drawn("of-camt", LINES, 0, day(0))
    second = drawn("of-camt", LINES, first.closing, day(1))
    bad = second.with_amount(1, 5)
    error = await failure_of(upload(bank, "of-camt", write_camt([first, bad]), "bad"))
    assert error.metadata["place"].startswith("camt.053.001.08, statement 2")
    assert await nothing(bank)
    both = await upload(bank, "of-camt", write_camt([first, second]))
    assert [each.statement_id for each in both] == [1, 2]
    assert {each.continuity for each in both} == {messages.STATEMENT_CONTINUITY_OK}


async def test_a_balance_that_a_file_lacks_may_be_given(bank: Bank) -> None:
    def balance(minor: int, currency: str = "EUR") -> messages.StatementBalance:
        amount = Money(currency_code=currency, minor_units=minor)
        return messages.StatementBalance(amount=amount, date="2026-11-02")

    content = file_of("of-ofx", drawn("of-ofx", LINES, 1_000, day(0)))
    error = await failure_of(upload(bank, "of-ofx", content, "u1", opening=balance(999)))
    assert (error.reason, error.metadata["problem"]) == ("STATEMENT_BALANCE_FALSE", "BALANCE")
    dollars = balance(1_000, "USD")
    error = await failure_of(upload(bank, "of-ofx", content, "u2", opening=dollars))
    assert error.reason == "STATEMENT_CURRENCY_DIFFERS"
    (taken,) = await upload(bank, "of-ofx", content, "u3", opening=balance(1_000))
    assert taken.opening.amount.minor_units == 1_000


async def test_a_report_is_kept_apart(bank: Bank) -> None:
    interim = replace(drawn("of-camt", LINES, 0, day(0)), kind=Kind.INTERIM)
    (taken,) = await upload(bank, "of-camt", write_camt([interim]))
    assert taken.kind == messages.STATEMENT_KIND_INTERIM
    assert taken.continuity == messages.STATEMENT_CONTINUITY_UNSPECIFIED
    assert not taken.HasField("closing")
    shown = await bank.statements.GetStatement(pb.GetStatementRequest(statement_id=1))
    assert {line.state for line in shown.lines} == {messages.LINE_STATE_REPORTED}
    assert await bank.books.rows("SELECT FROM item") == []


async def test_a_file_has_so_many_bytes_and_no_more(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = file_of("of-camt", drawn("of-camt", LINES, 0, day(0)))
    monkeypatch.setattr(service, "MAX_FILE_BYTES", len(content) - 1)
    error = await failure_of(upload(bank, "of-camt", content))
    assert (error.reason, error.metadata["max_bytes"]) == (
        "STATEMENT_TOO_LARGE",
        str(len(content) - 1),
    )
    assert await nothing(bank)
    monkeypatch.setattr(service, "MAX_FILE_BYTES", len(content))
    assert len(await upload(bank, "of-camt", content)) == 1


async def test_pieces_are_checked_and_come_after_what_the_file_is(bank: Bank) -> None:
    async def refused(*pieces: pb.UploadStatementRequest) -> list[str]:
        error = await failure_of(bank.statements.UploadStatement(iter(pieces)))
        assert error.reason == "INVALID_REQUEST"
        return [violation.field for violation in error.violations]

    start = pb.UploadStatementRequest(request_id="a", bank_account="of-camt")
    largest = pb.UploadStatementRequest(content=bytes(MAX_PIECE_BYTES))
    assert await refused(largest) == ["request_id"]
    assert await refused(start, start) == ["content"]
    assert await refused(pb.UploadStatementRequest(request_id="a")) == ["bank_account"]
    both = pb.UploadStatementRequest(content=b"a", request_id="a", bank_account="of-camt")
    assert await refused(both) == ["request_id"]
    too_large = pb.UploadStatementRequest(content=bytes(MAX_PIECE_BYTES + 1))
    assert await refused(start, too_large) == ["content"]
    error = await failure_of(bank.statements.UploadStatement(iter([start, largest])))
    assert error.reason == "STATEMENT_UNREADABLE"
    assert await nothing(bank)


async def test_so_many_files_are_brought_at_a_time(bank: Bank) -> None:
    start = pb.UploadStatementRequest(request_id="a", bank_account="of-camt")
    calls = [bank.statements.UploadStatement() for _ in range(service.MAX_UPLOADS + 1)]
    for call in calls:
        await call.write(start)
    failures = {asyncio.ensure_future(failure_of(call)) for call in calls}
    # The others wait for what has not been sent.
    done, waiting = await asyncio.wait(failures, return_when=asyncio.FIRST_COMPLETED)
    assert [(await each).reason for each in done] == ["OVERLOADED"]
    assert len(waiting) == service.MAX_UPLOADS
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_statements_are_listed_as_they_were_and_watched(bank: Bank) -> None:
    opening = 0
    for number in range(3):
        statement = drawn("of-camt", [Booked(number + 1, day=day(number))], opening, day(number))
        await upload(bank, "of-camt", file_of("of-camt", statement), f"u{number}")
        opening = statement.closing
        bank.books.clock.advance(timedelta(hours=1))
    listed = pb.ListStatementsRequest(bank_account="of-camt", page_size=2)
    page = await bank.statements.ListStatements(listed)
    assert [each.statement_id for each in page.statements] == [1, 2]
    listed.page_token = page.next_page_token
    page = await bank.statements.ListStatements(listed)
    assert [each.statement_id for each in page.statements] == [3]
    assert page.next_page_token == ""
    as_of = Timestamp()
    as_of.FromDatetime(bank.books.clock.now() - timedelta(hours=2))
    page = await bank.statements.ListStatements(pb.ListStatementsRequest(as_of_time=as_of))
    assert [each.statement_id for each in page.statements] == [1, 2]
    other = pb.ListStatementsRequest(bank_account="of-ofx")
    assert not (await bank.statements.ListStatements(other)).statements
    reports = pb.ListStatementsRequest(kind=messages.STATEMENT_KIND_INTERIM)
    assert not (await bank.statements.ListStatements(reports)).statements

    watch = bank.statements.WatchStatements(pb.WatchStatementsRequest(after_statement_id=2))
    assert (await watch.read()).statement.statement_id == 3
    statement = drawn("of-camt", [], opening, day(3))
    await upload(bank, "of-camt", file_of("of-camt", statement), "next")
    assert (await watch.read()).statement.statement_id == 4
    watch.cancel()
    ahead = bank.statements.WatchStatements(pb.WatchStatementsRequest(after_statement_id=9))
    assert (await failure_of(ahead.read())).reason == "CURSOR_OUTDATED"

    error = await failure_of(bank.statements.GetStatement(pb.GetStatementRequest(statement_id=5)))
    assert (error.reason, error.metadata) == ("STATEMENT_NOT_FOUND", {"statement_id": "5"})
    lines = pb.GetStatementRequest(statement_id=1, page_size=1)
    assert (await bank.statements.GetStatement(lines)).next_page_token == ""


async def test_what_was_taken_is_kept_whatever_wants_to_change_it(
    bank: Bank, reconciliation_url: str
) -> None:
    await upload(bank, "of-camt", file_of("of-camt", drawn("of-camt", LINES, 0, day(0))))
    with psycopg.connect(reconciliation_url, autocommit=True) as owner:
        for table in (*TABLES[:5], "bank_refusal", "bank_file_seen"):
            with pytest.raises(psycopg.errors.RestrictViolation):
                owner.execute(f"DELETE FROM {table}")
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute(
                "INSERT INTO bank_line (statement_id, position, state, amount_minor,"
                " bank_reference, customer_reference, end_to_end_id, remittance, counterparty,"
                " sha256, identity, line_key, is_compared)"
                " SELECT 1, 3, 'BOOKED', 1, '', '', '', '', '', sha256, identity, '', false"
                " FROM bank_line LIMIT 1"
            )

"""Breaks of statements as people see them: opened when something is wrong, ended when mended."""

from datetime import timedelta
from typing import Any

import pytest

from reconciliation.bank.completeness import StatementCompleteness
from reconciliation.bank.watching import StatementWatch
from reconciliation.breaks.deciding import Deciding
from reconciliation.breaks.store import moment_now
from reconciliation.closing.period import Period, PeriodKind
from reconciliation.conditions.condition import Condition
from reconciliation.conditions.telling import Conditions
from reconciliation.config import ReconciliationSettings
from reconciliation.items.reading import Moment
from reconciliation.liquidity.position import AtBank
from reconciliation.liquidity.store import positions_at
from reconciliation.matching.policy import BreakKind
from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from runtime.notifier import Notifier
from tests.reconciliation.bank.conftest import Bank
from tests.reconciliation.bank.files import Booked, day, drawn, file_of
from tests.reconciliation.bank.test_uploads import failure_of, upload
from tests.reconciliation.books import POLICY, Books
from tests.reconciliation.statements.camt_writer import write_camt

ONLY = """
[accounts.of-camt]
identification = "DE02120300000000202051"
currency = "EUR"
corridor = "main"
format = "camt"
from_day = 2026-11-02
"""


@pytest.fixture
def watch(books: Books, bank_settings: dict[str, Any]) -> StatementWatch:
    """Looks when the test says so."""
    accounts = ReconciliationSettings(**bank_settings).bank_accounts
    only = {"of-camt": accounts["of-camt"]}
    conditions = Conditions(POLICY, books.clock)
    return StatementWatch(books.engine, only, conditions, Notifier(), books.clock)


@pytest.fixture
async def one(bank_settings: dict[str, Any], accounts_file: Any) -> None:
    accounts_file.write_text(ONLY, encoding="utf-8")


async def told(bank: Bank, *states: str) -> list[tuple[str, str]]:
    """Kinds and subjects in these states; without any, of those that have not ended."""
    found: list[tuple[str, str]] = []
    for state in states or ("EXPECTED", "DUE", "OVERDUE"):
        wanted = pb.ListBreaksRequest(state=messages.BreakState.Value(f"BREAK_STATE_{state}"))
        found += [
            (messages.BreakKind.Name(each.kind).removeprefix("BREAK_KIND_"), each.subject)
            for each in (await bank.breaks.ListBreaks(wanted)).breaks
            if each.subject
        ]
    return found


async def kinds(bank: Bank, *states: str) -> list[str]:
    return [kind for kind, _ in await told(bank, *states)]


def statement(number: int, opening: int, amount: int) -> bytes:
    lines = [Booked(amount, f"payment {number}", day(number))]
    return file_of("of-camt", drawn("of-camt", lines, opening, day(number)))


async def test_a_gap_is_open_until_the_late_statement_comes(
    one: None, bank: Bank, watch: StatementWatch, bank_settings: dict[str, Any]
) -> None:
    await upload(bank, "of-camt", statement(25, 0, 10), "a")
    await upload(bank, "of-camt", statement(28, 30, 10), "c")
    await watch.round()
    [(kind, subject)] = await told(bank, "EXPECTED")
    assert kind == "STATEMENT_GAP"
    assert subject.startswith("statements of of-camt ")
    bank.books.clock.advance(timedelta(days=1, hours=12))
    wanted = pb.ListBreaksRequest(kind=messages.BREAK_KIND_STATEMENT_GAP)
    [found] = (await bank.breaks.ListBreaks(wanted)).breaks
    assert (found.corridor, found.amounts[0].minor_units) == ("main", 20)
    accounts = ReconciliationSettings(**bank_settings).bank_accounts
    complete = StatementCompleteness(bank.books.engine, accounts)
    last = Period(PeriodKind.DAY, day(28))
    behind = await complete.behind(last, ["main"])
    assert behind is not None
    assert behind.why == f"statements of of-camt between {day(25)} and {day(28)} are missing"
    assert await complete.behind(last, ["other"]) is None
    assert "DE02" not in found.sentence
    await upload(bank, "of-camt", statement(26, 10, 20), "b")
    await watch.round()
    assert "STATEMENT_GAP" not in await kinds(bank)
    ended = "SELECT d.kind FROM difference AS d JOIN difference_end AS e USING (difference_id)"
    assert ("STATEMENT_GAP",) in [tuple(row) for row in await bank.books.rows(ended)]


async def test_a_day_can_be_closed_without_a_statement_that_people_accept_not_to_come(
    one: None, bank: Bank, watch: StatementWatch, bank_settings: dict[str, Any]
) -> None:
    await upload(bank, "of-camt", statement(25, 0, 10), "a")
    await upload(bank, "of-camt", statement(28, 30, 10), "c")
    await watch.round()
    accounts = ReconciliationSettings(**bank_settings).bank_accounts
    complete = StatementCompleteness(bank.books.engine, accounts)
    last = Period(PeriodKind.DAY, day(28))
    wanted = pb.ListBreaksRequest(
        kind=messages.BREAK_KIND_STATEMENT_GAP, state=messages.BREAK_STATE_EXPECTED
    )
    [gap] = (await bank.breaks.ListBreaks(wanted)).breaks
    deciding = Deciding(bank.books.matcher, bank.books.clock)
    for client, is_accepted in (("ann", False), ("bob", True)):
        assert await complete.behind(last, ["main"]) is not None
        async with bank.books.engine.begin() as connection:
            agreed = await deciding.accept(connection, gap.break_id, client, "the bank has none")
        assert agreed is is_accepted
    assert await complete.behind(last, ["main"]) is None
    await watch.round()
    assert "STATEMENT_GAP" not in await kinds(bank)


async def test_a_false_balance_is_an_alarm_until_a_good_statement_comes(
    one: None, bank: Bank, watch: StatementWatch
) -> None:
    lines = [Booked(5, "x", day(28))]
    right = drawn("of-camt", lines, 0, day(28))
    false = file_of("of-camt", right.with_amount(0, 1))
    for number in range(2):
        await failure_of(upload(bank, "of-camt", false, f"f{number}"))
    await watch.round()
    assert await kinds(bank, "EXPECTED") == ["STATEMENT_BALANCE"]
    bank.books.clock.advance(timedelta(days=2))
    assert "STATEMENT_BALANCE" in await kinds(bank, "DUE")
    await upload(bank, "of-camt", file_of("of-camt", right), "good")
    await watch.round()
    assert "STATEMENT_BALANCE" not in await kinds(bank)


async def test_a_duplicate_holds_until_the_chain_goes_on(
    one: None, bank: Bank, watch: StatementWatch
) -> None:
    right = drawn("of-camt", [Booked(5, "x", day(25))], 0, day(25))
    await upload(bank, "of-camt", write_camt([right], version=8), "a")
    await upload(bank, "of-camt", write_camt([right], version=4), "b")
    await watch.round()
    assert await kinds(bank) == ["STATEMENT_DUPLICATE"]
    await upload(bank, "of-camt", statement(28, 5, 1), "c")
    await watch.round()
    assert await kinds(bank) == []


async def test_what_does_not_come_is_stale_and_then_overdue(
    one: None, bank: Bank, watch: StatementWatch
) -> None:
    await watch.round()
    assert await kinds(bank) == ["FEED_STALE"]
    # Until Friday, of a Monday at noon.
    await upload(bank, "of-camt", statement(25, 0, 10), "a")
    await watch.round()
    assert await kinds(bank) == []
    bank.books.clock.advance(timedelta(hours=12))
    await watch.round()
    assert await kinds(bank, "DUE") == ["FEED_STALE"]
    bank.books.clock.advance(timedelta(days=1))
    assert await kinds(bank, "OVERDUE") == ["FEED_STALE"]
    await upload(bank, "of-camt", statement(29, 10, 10), "b")
    await watch.round()
    assert await kinds(bank) == []


async def test_what_others_tell_of_is_left_alone(
    one: None, bank: Bank, watch: StatementWatch, books: Books
) -> None:
    other = Condition(BreakKind.FEED_STALE, "main", "sweep", books.clock.now(), "no sweep")
    async with books.engine.begin() as connection:
        await Conditions(POLICY, books.clock).add(connection, [other])
    await upload(bank, "of-camt", statement(28, 0, 10), "a")
    await watch.round()
    assert await told(bank) == [("FEED_STALE", "sweep")]


async def test_the_last_statement_says_what_is_at_the_bank(
    one: None, bank: Bank, bank_settings: dict[str, Any]
) -> None:
    accounts = ReconciliationSettings(**bank_settings).bank_accounts

    async def at_bank(moment: Moment, corridor: str = "") -> list[AtBank | None]:
        async with bank.books.engine.connect() as connection:
            found = await positions_at(connection, moment, accounts, corridor)
        return [position.at_bank for position in found]

    assert await at_bank(moment_now(bank.books.clock.now())) == []
    await upload(bank, "of-camt", statement(25, 0, 10), "first")
    before = moment_now(bank.books.clock.now())
    bank.books.clock.advance(timedelta(hours=1))
    await upload(bank, "of-camt", statement(26, 10, -30), "second")
    assert await at_bank(before) == [AtBank(amount_minor=10, day=day(25))]
    now = moment_now(bank.books.clock.now())
    assert await at_bank(now) == [AtBank(amount_minor=-20, day=day(26))]
    assert await at_bank(now, "other") == []

"""Payouts and statements of all formats, as they come in: what matches and what differs is the same
for every order of arrival, with files that are missing, overlap and come twice."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from reconciliation.bank.store import BankFile
from reconciliation.bank.taking import StatementTaking, Told
from reconciliation.config import ReconciliationSettings
from reconciliation.matching.item import Item, Leg, Source, State
from reconciliation.statements.model import EntryStatus, Kind
from reconciliation.statements.reading import Declared
from runtime.child_process import nameless_file
from runtime.errors import ServiceError
from runtime.notifier import Notifier
from tests.reconciliation.bank.files import FORMATS, TODAY, Booked, drawn, file_of
from tests.reconciliation.books import Books
from tests.reconciliation.model import wanted
from tests.reconciliation.statements.drawing import Drawn
from tests.reconciliation.worlds import item

# Two weeks until the day of the clock, which is a Monday.
DAYS = 14
FIRST = TODAY - timedelta(days=DAYS - 1)
AMOUNTS = (40, 60, 100, 100, 250)


class Account:
    """What truly happened on an account: its lines by day."""

    def __init__(self, name: str, lines: Sequence[Booked], opening: int = 5_000) -> None:
        self.name = name
        self.lines = sorted(lines, key=lambda line: line.day)
        self.opening = opening

    def statement(self, first: date, last: date, name: str = "") -> Drawn:
        """The bank's statement of some days."""
        before = sum(line.amount for line in self.lines if line.day < first)
        lines = [line for line in self.lines if first <= line.day <= last]
        return drawn(self.name, lines, self.opening + before, first, last, name=name)

    def covered(self, ranges: Sequence[tuple[date, date]]) -> "Counter[tuple[int, date]]":
        """The lines of days that some statement covers, each as often as it truly is there."""
        return Counter(
            (line.amount, line.day)
            for line in self.lines
            if any(first <= line.day <= last for first, last in ranges)
        )


class Desk:
    """Takes files as if they were uploaded."""

    def __init__(self, books: Books, settings: dict[str, Any]) -> None:
        self._books = books
        self._accounts = ReconciliationSettings(**settings).bank_accounts
        self._taking = StatementTaking(books.engine, Notifier(), Notifier(), books.clock)

    async def take(
        self, account: str, content: bytes, declared: Declared | None = None
    ) -> list[str]:
        """What the statements of the file were to those before."""
        number = nameless_file("test")
        try:
            os.write(number, content)
            file = BankFile(
                self._accounts[account],
                "a file",
                number,
                len(content),
                hashlib.sha256(content).digest(),
                "ann",
            )
            told = Told(declared or self._accounts[account].declared)
            return [row.continuity for row in await self._taking.take(file, told)]
        finally:
            os.close(number)


@pytest.fixture
def desk(books: Books, bank_settings: dict[str, Any]) -> Desk:
    return Desk(books, bank_settings)


async def bank_items(books: Books) -> list[Item]:
    """The items of lines as they are in the database."""
    rows = await books.rows(
        "SELECT key, amount_minor, book_date, tokens, sha256, instant FROM item"
        " WHERE source = 'BANK'"
    )
    return [
        item(
            Source.BANK,
            row.key,
            row.amount_minor,
            *row.tokens,
            book_date=row.book_date,
            instant=row.instant,
            sha256=row.sha256,
        )
        for row in rows
    ]


async def agrees_with_the_model(books: Books, payouts: Sequence[Item]) -> None:
    lines = await bank_items(books)
    matches, kinds = wanted(Leg.BANKED, [*payouts, *lines])
    stand = (await books.stand())[Leg.BANKED]
    assert stand[0] == matches
    assert {(kind, members) for kind, members, _, _ in stand[1]} == kinds


def a_world(random: Random, account: str) -> tuple[Account, list[Item]]:
    """Payouts, most of which arrive, some under another amount, some without a reference."""
    payouts, lines = [], []
    for number in range(random.randint(4, 12)):
        day = random.randint(0, DAYS - 1)
        amount = random.choice(AMOUNTS)
        trace = f"TRACE{number:06}"
        payouts.append(
            item(
                Source.PAYOUT,
                f"po_{number}",
                amount,
                *([trace] if random.random() < 0.6 else []),
                day=day - DAYS + 1,
                state=random.choice([State.BOOKED] * 5 + [State.RETURNED]),
            )
        )
        if random.random() < 0.8:
            late = FIRST + timedelta(days=min(DAYS - 1, day + random.randint(0, 2)))
            text = f"STRIPE {trace} x" if random.random() < 0.7 else "STRIPE"
            lines.append(Booked(random.choice((amount, amount, amount, 41)), text, late))
    # Two that are equal on one day, and are two.
    lines += [Booked(60, "cash", TODAY)] * random.randint(0, 2)
    return Account(account, lines), payouts


def some_ranges(random: Random, account: Account) -> list[tuple[date, date]]:
    """Days that begin and end with a line: a CSV tells of no others."""
    days = sorted({line.day for line in account.lines})
    if account.name == "of-ofx":
        # It says its period, and a bank's begin where the last one has ended.
        days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    ranges = []
    for _ in range(random.randint(1, 6)):
        first, last = sorted((random.choice(days), random.choice(days)))
        ranges.append((first, min(last, first + timedelta(days=random.randint(0, 6)))))
    if account.name == "of-bai2":
        # A file of BAI2 is of one day, which all of its lines have.
        ranges = [(last, last) for _, last in ranges]
    if account.name == "of-csv":
        ranges = [(first, max(day for day in days if day <= last)) for first, last in ranges]
    return ranges


def again(account: str, statement: Drawn) -> bytes:
    """The same statement in other bytes, where the format has room for any."""
    if account == "of-bai2":
        return file_of(account, replace(statement, statement_id="again"))
    content = file_of(account, statement)
    return content if account == "of-csv" else content + b"\n"


@pytest.mark.parametrize(
    ("account", "seed"), [*((each, 0) for each in FORMATS), ("of-camt", 1), ("of-ofx", 1)]
)
async def test_every_order_of_arrival_comes_to_the_same(
    books: Books, desk: Desk, account: str, seed: int
) -> None:
    random = Random(f"{account}{seed}")
    truth, payouts = a_world(random, account)
    ranges = some_ranges(random, truth)
    files = [file_of(account, truth.statement(*each)) for each in ranges]
    files += [again(account, truth.statement(*each)) for each in ranges if random.random() < 0.3]
    steps: list[Any] = [*files, *([payout] for payout in payouts)]
    random.shuffle(steps)
    for step in steps:
        if isinstance(step, list):
            await books.give(*step)
        else:
            await desk.take(account, step)
        if random.random() < 0.5:
            await books.run()
    await books.run()
    lines = await bank_items(books)
    assert Counter((line.amount_minor, line.book_date) for line in lines) == truth.covered(ranges)
    await agrees_with_the_model(books, payouts)


async def test_a_payout_is_found_in_the_bank_when_its_statement_comes(
    books: Books, desk: Desk
) -> None:
    amounts = {account: 1_234 + number for number, account in enumerate(FORMATS)}
    traces = {account: f"TRACE{amount:06}" for account, amount in amounts.items()}
    await books.give(*(item(Source.PAYOUT, f"po_{a}", amounts[a], traces[a]) for a in FORMATS))
    await books.run()
    assert {kind for kind, *_ in (await books.stand())[Leg.BANKED][1]} == {"PAYOUT_NOT_IN_BANK"}
    for account, amount in amounts.items():
        truth = Account(account, [Booked(amount, f"STRIPE {traces[account]}", TODAY)])
        content = file_of(account, truth.statement(TODAY, TODAY))
        assert await desk.take(account, content) == ["OK"]
        assert await desk.take(account, content) == ["OK"]
    await books.run()
    matches, differences = (await books.stand())[Leg.BANKED]
    assert differences == set()
    assert {rule for rule, _ in matches} == {"REFERENCE"}
    pairs = [sorted(members, key=lambda key: key.source) for _, members in matches]
    assert {(line.key.split("/")[0], payout.key) for line, payout in pairs} == {
        (account, f"po_{account}") for account in FORMATS
    }


async def test_pending_lines_and_reports_match_nothing(books: Books, desk: Desk) -> None:
    await books.give(item(Source.PAYOUT, "po_1", 1_234, "TRACE000001"))
    truth = Account("of-camt", [Booked(1_234, "STRIPE TRACE000001", TODAY)])
    booked = truth.statement(TODAY, TODAY)
    report = replace(booked, kind=Kind.INTERIM)
    await desk.take("of-camt", file_of("of-camt", report))
    pending = tuple(replace(line, status=EntryStatus.PENDING) for line in booked.lines)
    still = replace(booked, lines=pending, closing=booked.opening)
    await desk.take("of-camt", file_of("of-camt", still))
    await books.run()
    assert (await books.stand())[Leg.BANKED][0] == set()
    assert await books.rows("SELECT FROM item WHERE source = 'BANK'") == []
    # The line counts once it is booked.
    await desk.take("of-camt", file_of("of-camt", booked))
    await books.run()
    assert len((await books.stand())[Leg.BANKED][0]) == 1


async def test_too_many_statements_of_a_day_are_refused(
    books: Books, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciliation.bank.lines.MAX_CARRIERS", 2)
    truth = Account("of-camt", [Booked(5, "a", TODAY)])
    content = file_of("of-camt", truth.statement(TODAY, TODAY))
    for number in range(2):
        await desk.take("of-camt", content + b"\n" * number)
    with pytest.raises(ServiceError) as caught:
        await desk.take("of-camt", content + b"\n\n")
    assert caught.value.reason == "STATEMENT_TOO_LARGE"
    assert caught.value.metadata["problem"] == "STATEMENTS_OF_DAYS"
    assert len(await books.rows("SELECT FROM bank_file")) == 2

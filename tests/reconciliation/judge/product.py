"""Gives a history to reconciliation as it would come in: several writers at once, in a drawn order
and cut, some of them killed at drawn statements; and reads how everything stands afterwards."""

import asyncio
import hashlib
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any, cast
from unittest import mock

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.v1.balance_transaction_service_pb2_grpc import BalanceTransactionServiceStub
from gateway.v1.payout_service_pb2_grpc import PayoutServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from reconciliation.bank import taking
from reconciliation.bank.accounts import BankAccounts, read_bank_accounts
from reconciliation.bank.store import BankFile
from reconciliation.bank.taking import StatementTaking, Told
from reconciliation.bank.watching import StatementWatch
from reconciliation.conditions.telling import Conditions
from reconciliation.items.intake import Intake, cursor_of
from reconciliation.items.source import ItemSource
from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.policy import read_policy
from reconciliation.part import DATABASE_ROLE
from reconciliation.runs.matcher import Matcher
from reconciliation.sources.balance_transactions import BalanceTransactionSource
from reconciliation.sources.gateway_cursors import place_of
from reconciliation.sources.ledger import LedgerSource
from reconciliation.sources.payouts import PayoutSource
from runtime.child_process import nameless_file
from runtime.clock import ManualClock
from runtime.errors import ServiceError
from runtime.notifier import Notifier
from runtime.postgres import create_engine
from tests.reconciliation.bank.reading_here import open_reading_here
from tests.reconciliation.judge.banking import Difference
from tests.reconciliation.judge.expecting import Stand
from tests.reconciliation.judge.history import History, Name
from tests.reconciliation.judge.telling import in_another_order

CALENDARS = {"us": "FEDERAL_RESERVE"}
MATCHERS = 3
# Of a thousand statements of a writer that is killed so many are its last.
KILLED_PERMILLE = 12
_REFERENCE = re.compile(r"\d{15}")
_LIVE = """
    SELECT
        s.leg, s.match_id, s.difference_id, s.amount_minor, s.item_id, d.kind, d.corridor,
        d.amounts, d.subject, EXISTS (
            SELECT FROM break_event AS e
            WHERE e.difference_id = s.difference_id AND e.event = 'OPENED'
        ) AS is_told
    FROM standing AS s
    LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
    LEFT JOIN difference AS d ON s.difference_id = d.difference_id
    LEFT JOIN difference_end AS e ON s.difference_id = e.difference_id
    WHERE r.match_id IS NULL AND e.difference_id IS NULL
"""
_ITEMS = """
    SELECT DISTINCT ON (i.item_id)
        i.item_id, i.source, i.corridor, i.key, i.currency, i.amount_minor, i.state, t.tokens
    FROM item AS i
    LEFT JOIN (
        SELECT item_id, array_agg(token) AS tokens FROM item_token GROUP BY item_id
    ) AS t ON i.item_id = t.item_id
    ORDER BY i.item_id, i.revision DESC
"""
_CONDITIONS = """
    SELECT d.kind, d.corridor, d.amounts FROM difference AS d
    LEFT JOIN difference_end AS e ON d.difference_id = e.difference_id
    WHERE d.subject <> '' AND e.difference_id IS NULL
"""


class KilledError(Exception):
    """A writer's process is gone: its transaction is nobody's."""


@dataclass
class Seen:
    """What the product says, in the judge's names."""

    stand: Stand = field(default_factory=Stand)
    untold: list[Difference] = field(default_factory=list)
    """Differences that no break was opened for."""
    twice: list[str] = field(default_factory=list)
    """Items that stand in two ways in one leg."""
    wrong: list[str] = field(default_factory=list)
    """In sentences: parts of items in matches, false files that were taken."""
    sums: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    """By source, corridor and currency, of items that Stripe and the bank have."""
    refused_last: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Files with false balances that came after the last good one, by account."""
    kills: int = 0
    revoked: int = 0


class Product:
    """One database, and who writes to it."""

    def __init__(self, url: str, history: History, order: int, batch: int, folder: Path) -> None:
        """`order` draws in what order and pieces all comes; `batch` bounds what a run matches."""
        self.url = url
        self.history = history
        self.random = Random(f"{history.seed}/{order}")
        self.batch = batch
        start = datetime.combine(history.last_day, time(12), UTC)
        self.clock = ManualClock(start)
        self.policy = read_policy(read_calendars(CALENDARS))
        self.accounts = _accounts(history, folder)
        self.seen = Seen()
        self.open = 0

    async def run(self) -> Seen:
        """Takes and matches all of it; how it stands then."""
        async with self._engine() as steady, self._engine(is_killed=True) as killed:
            steps = [self._follow(killed, *feed) for feed in self._feeds()]
            steps.append(self._take_files(killed))
            self.open = len(steps)
            matchers = [
                self._match(killed if number == 0 else steady) for number in range(MATCHERS)
            ]
            async with asyncio.TaskGroup() as group:
                for each in (*steps, *matchers):
                    group.create_task(each)
            watch = StatementWatch(
                steady,
                self.accounts,
                Conditions(self.policy, self.clock),
                Notifier(),
                self.clock,
            )
            await watch.round()
            await self._read(steady)
        return self.seen

    @asynccontextmanager
    async def _engine(self, *, is_killed: bool = False) -> AsyncIterator[AsyncEngine]:
        engine = create_engine(
            self.url, role=DATABASE_ROLE, pool_size=MATCHERS + 4, application_name="judge"
        )

        def kill(*_: Any) -> None:
            if self.random.randrange(1000) < KILLED_PERMILLE:
                self.seen.kills += 1
                raise KilledError

        if is_killed:
            event.listen(engine.sync_engine, "before_cursor_execute", kill)
            event.listen(engine.sync_engine, "commit", kill)
        yield engine
        await engine.dispose()

    def _feeds(self) -> Iterator[tuple[ItemSource, list[Any]]]:
        """Each feed in an order of its own, in which what is of one thing stays in its order."""
        history = self.history
        ledger = in_another_order(history.ledger, self.random, _of_transaction)
        for number, told in enumerate(ledger, 1):
            told.through_sequence = number
            told.transactions[0].sequence = number
        yield LedgerSource(cast("LedgerServiceStub", None), "payments"), ledger
        movements = in_another_order(history.movements, self.random, _of_movement)
        for number, moved in enumerate(movements, 1):
            moved.balance_transaction.sequence = number
        yield BalanceTransactionSource(cast("BalanceTransactionServiceStub", None)), movements
        payouts = in_another_order(history.payouts, self.random, _of_payout)
        for number, paid in enumerate(payouts, 1):
            paid.sequence = number
        yield PayoutSource(cast("PayoutServiceStub", None)), payouts

    async def _follow(self, engine: AsyncEngine, source: ItemSource, messages: list[Any]) -> None:
        """Takes a feed from where it was left, whatever became of who did so before."""
        largest = min(2_000, max(3, len(messages) // 8))
        while True:
            try:
                async with engine.connect() as connection:
                    place = await self._place(connection, source)
                if place >= len(messages):
                    break
                some = messages[place : place + self.random.randint(1, largest)]
                intake = Intake(engine, source, Notifier(), self.clock)
                await intake.take(source.batch_of(some))
            except KilledError:
                continue
        self.open -= 1

    @staticmethod
    async def _place(connection: Any, source: ItemSource) -> int:
        cursor = await cursor_of(connection, source.name)
        if isinstance(source, LedgerSource):
            return int(cursor.partition(":")[0] or 0)
        return place_of(cursor)[1]

    async def _take_files(self, engine: AsyncEngine) -> None:
        """Files in a drawn order; those that come again are the same files."""
        files = list(self.history.files)
        self.random.shuffle(files)
        known: set[bytes] = set()
        desk = StatementTaking(engine, Notifier(), Notifier(), self.clock)
        with mock.patch.object(taking, "open_reading", open_reading_here):
            for file in files:
                self.clock.advance(timedelta(milliseconds=1))
                is_refused = await self._take_file(desk, file.account, file.content)
                digest = hashlib.sha256(file.content).digest()
                if is_refused != (file.kind == "false"):
                    self.seen.wrong.append(f"a {file.kind} file, refused: {is_refused}")
                elif is_refused and digest not in known:
                    self.seen.refused_last[file.account] += 1
                elif file.kind == "whole" and digest not in known:
                    self.seen.refused_last[file.account] = 0
                known.add(digest)
        self.open -= 1

    async def _take_file(self, desk: StatementTaking, account: str, content: bytes) -> bool:
        """Whether it is refused."""
        while True:
            number = nameless_file("judge")
            try:
                os.write(number, content)
                digest = hashlib.sha256(content).digest()
                file = BankFile(
                    self.accounts[account], "a file", number, len(content), digest, "judge"
                )
                await desk.take(file, Told())
            except KilledError:
                continue
            except ServiceError:
                return True
            finally:
                os.close(number)
            return False

    async def _match(self, engine: AsyncEngine) -> None:
        """Matches until nothing comes any more and nothing is left."""
        while True:
            is_last = not self.open
            size = self.random.randint(1, self.batch)
            matcher = Matcher(engine, self.policy, self.clock, Notifier(), size)
            try:
                worked = await matcher.round()
            except KilledError:
                continue
            if not worked and is_last:
                return
            if not worked:
                await asyncio.sleep(0)

    async def _read(self, engine: AsyncEngine) -> None:
        seen = self.seen
        async with engine.connect() as connection:
            items = list(await connection.exec_driver_sql(_ITEMS))
            live = list(await connection.exec_driver_sql(_LIVE))
            conditions = list(await connection.exec_driver_sql(_CONDITIONS))
            revoked = await connection.exec_driver_sql("SELECT count(*) FROM match_revocation")
            seen.revoked = int(revoked.scalar_one())
        names = {row.item_id: _name(row) for row in items}
        amounts = {row.item_id: row.amount_minor for row in items}
        for row in items:
            if row.state == "BOOKED":
                seen.sums[row.source, row.corridor, row.currency] += row.amount_minor
        stood: set[tuple[str, int]] = set()
        matches: dict[tuple[str, int], set[Name]] = defaultdict(set)
        differences: dict[int, tuple[Any, set[Name]]] = {}
        for row in live:
            if (row.leg, row.item_id) in stood:
                seen.twice.append(f"{row.leg} {names[row.item_id]}")
            stood.add((row.leg, row.item_id))
            if row.match_id is not None:
                matches[row.leg, row.match_id].add(names[row.item_id])
                if row.amount_minor != amounts[row.item_id]:
                    seen.wrong.append(f"{row.leg} {names[row.item_id]}: a part of it")
            elif row.difference_id is not None:
                differences.setdefault(row.difference_id, (row, set()))[1].add(names[row.item_id])
        for (leg, _), members in matches.items():
            seen.stand.matches[leg].add(frozenset(members))
        for row, members in differences.values():
            found = Difference(row.kind, frozenset(members), _amounts(row.amounts))
            seen.stand.differences[row.leg].add(found)
            if not row.is_told:
                seen.untold.append(found)
        for row in conditions:
            seen.stand.conditions[row.kind, row.corridor, _amounts(row.amounts)] += 1


def _name(row: Any) -> Name:
    if row.source != "BANK":
        return Name(row.source, row.corridor, row.key)
    (reference,) = (token for token in row.tokens if _REFERENCE.fullmatch(token))
    return Name("BANK", row.corridor, f"{reference}#{row.key.rpartition('/')[2]}")


def _amounts(given: Sequence[Sequence[Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(code), int(amount)) for code, amount in given)


def _of_transaction(message: Any) -> str:
    return str(message.transactions[0].request_id)


def _of_movement(message: Any) -> str:
    return str(message.balance_transaction.id)


def _of_payout(message: Any) -> str:
    return str(message.payout.stripe_payout_id)


def _accounts(history: History, folder: Path) -> BankAccounts:
    path = folder / "accounts.toml"
    path.write_text(
        "".join(
            f'[accounts.{bank.name}]\nidentification = "{bank.identification}"\n'
            f'currency = "{bank.currency}"\ncorridor = "{bank.corridor}"\n'
            f'format = "detect"\nfrom_day = 2026-01-01\n'
            f'calendar = "{bank.calendar}"\n\n'
            for bank in history.banks
        ),
        encoding="utf-8",
    )
    return read_bank_accounts(path, read_calendars().known, "TARGET")


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of a run."""
    with tempfile.TemporaryDirectory(prefix="judge") as folder:
        yield Path(folder)

"""Looks whether the accounts' statements are chains and come in time, and tells what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from reconciliation.bank import store
from reconciliation.bank.accounts import BankAccount, BankAccounts
from reconciliation.bank.balances import BankBalance, condition_of
from reconciliation.bank.chain import (
    KINDS,
    SUBJECTS,
    Exclusion,
    Refused,
    Statements,
    chain_of,
    conditions_of,
    last_day,
    midnight,
)
from reconciliation.bank.wire import past_from
from reconciliation.conditions.condition import Condition
from reconciliation.conditions.telling import Conditions
from reconciliation.statements.continuity import Continuity
from runtime.clock import Clock
from runtime.loops import Loop
from runtime.notifier import Notifier
from runtime.sql_files import read_sql

POLL_SECONDS = 15.0
# Files that were refused since the last statement; more say no more.
MAX_REFUSALS = 100
# After all statements.
ANY_TIME = datetime(9999, 1, 1, tzinfo=UTC)

LAST_DAY = Gauge(
    "reconciliation_statement_last_day_timestamp_seconds",
    "The last day, at its beginning, until when statements of an account are there.",
    ["bank_account"],
)
REFUSED_SINCE = Gauge(
    "reconciliation_statement_files_refused_since",
    "Files of an account that were refused since its last statement was taken.",
    ["bank_account"],
)

_STATE = read_sql(__file__, "account_state")
_STATEMENTS = read_sql(__file__, "chain_statements")
_REFUSALS = read_sql(__file__, "chain_refusals")
_BALANCE = read_sql(__file__, "bank_balance")
_EXCLUSIONS = """
    SELECT e.statement_id, e.earlier_id, e.continuity, e.reason
    FROM bank_exclusion AS e
    INNER JOIN bank_statement AS s ON e.statement_id = s.statement_id
    WHERE s.bank_account = %(account)s AND s.record_time <= %(time)s
"""


# A corridor and a currency.
_Group = tuple[str, str]


@dataclass(frozen=True)
class _Known:
    """What was read of an account, and up to where."""

    upto: tuple[int, int]
    statements: Statements


class StatementWatch:
    """Tells of what is wrong with statements; of an account without news nothing is read again."""

    def __init__(
        self,
        engine: AsyncEngine,
        accounts: BankAccounts,
        conditions: Conditions,
        news: Notifier,
        clock: Clock,
    ) -> None:
        """`news` notifies of statements and refusals."""
        self._engine = engine
        self._accounts = accounts
        self._conditions = conditions
        self._news = news
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._differing: dict[_Group, Condition] = {}

    def loop(self) -> Loop:
        """Looks at each news, and now and then, for time passes."""
        return Loop("statement watch", self.round, poll_seconds=POLL_SECONDS, notifier=self._news)

    async def round(self) -> bool:
        """Looks once; one transaction."""
        async with self._engine.begin() as connection:
            # What is taken meanwhile would be told of as missing.
            await store.lock(connection)
            changed = await self._read(connection)
            now = self._clock.now()
            found: list[Condition] = []
            for known in self._known.values():
                found += conditions_of(known.statements, now)
            await self._compare(connection, changed)
            found += self._differing.values()
            await self._conditions.tell_all(connection, KINDS, "", found, SUBJECTS)
        for name, known in self._known.items():
            LAST_DAY.labels(name).set(_midnight_of(known.statements))
            REFUSED_SINCE.labels(name).set(len(known.statements.refused))
        return False

    async def _read(self, connection: AsyncConnection) -> set[_Group]:
        """The corridors and currencies of which something new is known."""
        changed = set()
        rows = await connection.exec_driver_sql(_STATE, {"accounts": list(self._accounts)})
        for row in rows.all():
            upto = row.statement_id, row.refusal_id
            known = self._known.get(row.bank_account)
            if known is None or known.upto != upto:
                account = self._accounts[row.bank_account]
                statements = await read_statements(connection, account)
                self._known[row.bank_account] = _Known(upto, statements)
                changed.add(_group_of(account))
        return changed

    async def _compare(self, connection: AsyncConnection, changed: set[_Group]) -> None:
        """Compares with the ledger's side at each news, and again while it differs."""
        for group in changed | set(self._differing):
            balance = await self._balance(connection, *group)
            condition = None if balance is None else condition_of(balance)
            if condition is None:
                self._differing.pop(group, None)
            else:
                self._differing[group] = condition

    async def _balance(
        self, connection: AsyncConnection, corridor: str, currency: str
    ) -> BankBalance | None:
        """None where nothing can be compared yet: an account without a statement, or no payout."""
        chains = [
            (known.statements.known, chain_of(known.statements))
            for known in self._known.values()
            if _group_of(known.statements.account) == (corridor, currency)
        ]
        if not all(order for _, order in chains):
            return None
        rows = await connection.exec_driver_sql(
            _BALANCE,
            {
                "corridor": corridor,
                "currency": currency,
                "accounts": [
                    account.name
                    for account in self._accounts.values()
                    if _group_of(account) == (corridor, currency)
                ],
            },
        )
        row = rows.one()
        if not row.payouts:
            return None
        first = sum(known[order[0]].opening.amount_minor for known, order in chains)
        return BankBalance(
            corridor,
            currency,
            last_day=min(known[order[-1]].closing.date for known, order in chains),
            closing=sum(known[order[-1]].closing.amount_minor for known, order in chains),
            unmatched_bank=first + row.open_lines + row.other_lines,
            unmatched_book=row.open_payouts,
            ledger=row.ledger,
        )


async def read_statements(
    connection: AsyncConnection, account: BankAccount, time: datetime = ANY_TIME
) -> Statements:
    """All that was there of an account at a time."""
    values = {"account": account.name, "time": time}
    headers = (await connection.exec_driver_sql(_STATEMENTS, values)).mappings().all()
    exclusions = (await connection.exec_driver_sql(_EXCLUSIONS, values)).all()
    refused = (await connection.exec_driver_sql(_REFUSALS, {**values, "limit": MAX_REFUSALS})).all()
    return Statements(
        account,
        {row["statement_id"]: past_from(_row(row), account) for row in headers},
        tuple(
            Exclusion(r.statement_id, r.earlier_id, Continuity[r.continuity], r.reason)
            for r in exclusions
        ),
        tuple(Refused(r.sha256, r.problem, r.place, r.record_time) for r in refused),
    )


def _group_of(account: BankAccount) -> _Group:
    return account.corridor, account.currency


def _row(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in mapping.items()}


def _midnight_of(statements: Statements) -> float:
    return midnight(last_day(statements)).timestamp()

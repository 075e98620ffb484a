"""What positions are made of, as it was known at a moment."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from reconciliation.balances import store as balance_store
from reconciliation.bank.accounts import BankAccount, BankAccounts
from reconciliation.bank.chain import chain_of
from reconciliation.bank.watching import read_statements
from reconciliation.items.reading import Moment
from reconciliation.liquidity.position import AtBank, OpenPayouts, Place, Position, positions
from runtime.sql_files import read_sql

_OPEN_PAYOUTS = read_sql(__file__, "open_payouts")
_STATED = read_sql(__file__, "stated")


async def positions_at(
    connection: AsyncConnection,
    moment: Moment,
    accounts: BankAccounts,
    corridor: str = "",
    currency: str = "",
) -> list[Position]:
    """The positions at a moment, by corridor and currency; filters that are empty match all."""
    balances = await balance_store.known_at(connection, moment.time, corridor, currency)
    payouts = await _open_payouts(connection, moment, corridor, currency)
    rows = await connection.exec_driver_sql(_STATED, {"time": moment.time})
    stated: list[Place] = [(row.corridor, row.currency) for row in rows]
    chosen = [
        account
        for account in accounts.values()
        if corridor in ("", account.corridor) and currency in ("", account.currency)
    ]
    at_bank = await _at_bank(connection, chosen, moment.time)
    return positions(balances, payouts, stated, moment.time.date(), at_bank)


async def _at_bank(
    connection: AsyncConnection, accounts: Iterable[BankAccount], time: datetime
) -> Mapping[Place, AtBank]:
    """What the last statements close with; nothing where an account has none."""
    by_place: dict[Place, list[BankAccount]] = defaultdict(list)
    for account in accounts:
        by_place[account.corridor, account.currency].append(account)
    found = {}
    for place, its in by_place.items():
        last = []
        for account in its:
            statements = await read_statements(connection, account, time)
            last += [statements.known[key].closing for key in chain_of(statements)[-1:]]
        if len(last) == len(its):
            found[place] = AtBank(
                amount_minor=sum(closing.amount_minor for closing in last),
                day=min(closing.date for closing in last),
            )
    return found


async def _open_payouts(
    connection: AsyncConnection, moment: Moment, corridor: str, currency: str
) -> Sequence[OpenPayouts]:
    rows = await connection.exec_driver_sql(
        _OPEN_PAYOUTS,
        {
            "time": moment.time,
            "change_number": moment.change_number,
            "corridor": corridor,
            "currency": currency,
        },
    )
    return [
        OpenPayouts(
            corridor=row.corridor,
            currency=row.currency,
            day=row.day,
            amount_minor=row.amount_minor,
            count=row.payouts,
        )
        for row in rows
    ]

"""Whether the statements of the declared bank accounts reach to a period's end."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.bank.accounts import BankAccounts
from reconciliation.bank.chain import SUBJECTS, lacks
from reconciliation.bank.watching import read_statements
from reconciliation.closing.completeness import Behind
from reconciliation.closing.period import Period
from reconciliation.conditions.telling import accepted
from reconciliation.matching.policy import BreakKind

SOURCE = "bank statements"


class StatementCompleteness:
    """A `Completeness`: each account has a chain of statements until the period's last day, but for
    gaps that people have accepted."""

    def __init__(self, engine: AsyncEngine, accounts: BankAccounts) -> None:
        self._engine = engine
        self._accounts = accounts

    async def behind(self, period: Period, corridors: Sequence[str]) -> Behind | None:
        """The first account of which something is missing."""
        async with self._engine.connect() as connection:
            for account in self._accounts.values():
                if account.corridor not in corridors:
                    continue
                statements = await read_statements(connection, account)
                gaps = await accepted(
                    connection,
                    BreakKind.STATEMENT_GAP,
                    account.corridor,
                    f"{SUBJECTS}{account.name} ",
                )
                if why := lacks(statements, period.last_day, gaps):
                    return Behind(SOURCE, why)
        return None

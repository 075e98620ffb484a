"""`ledger.read.balance`: GetBalance now, of one account, plain and with its holds."""

import random
from functools import partial
from typing import Any

from bench.ledger_parts import LEDGER, Line, RunningLedger, account_name
from bench.ledger_reads import measured, zipf_account
from ledger.v1.balance_pb2 import GetBalanceRequest, GetBalanceResponse

LIMIT_MS = 5.0
# With up to a thousand holds the answer is that of a list.
HOLDS_LIMIT_MS = 10.0


async def read(name: str, *, include_holds: bool) -> Line:
    """Balances of accounts as they are in use."""

    def ask(ledger: RunningLedger, numbers: random.Random) -> Any:
        account = account_name(zipf_account(numbers))
        return ledger.stub.GetBalance(
            GetBalanceRequest(ledger=LEDGER, account=account, include_holds=include_holds)
        )

    def check(answer: GetBalanceResponse) -> bool:
        held = sum(hold.remaining_minor for hold in answer.holds)
        (balance,) = answer.balances
        pending = balance.pending_debits_minor + balance.pending_credits_minor
        return balance.version > 0 and (not include_holds or answer.more_holds or held == pending)

    limit_ms = HOLDS_LIMIT_MS if include_holds else LIMIT_MS
    return await measured(name, ask, check, limit_ms=limit_ms)


BENCHMARKS = [
    (name, partial(read, name, include_holds=include_holds))
    for name, include_holds in (
        ("ledger.read.balance", False),
        ("ledger.read.balance_and_holds", True),
    )
]

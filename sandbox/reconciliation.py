"""The judge of the books: where the ledger's Stripe accounts and the twin's balance differ."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from ledger.v1.balance_pb2 import GetTrialBalanceRequest
from sandbox.clients import Clients
from sandbox.stripe_twin.accounts import ACCOUNTS
from sandbox.stripe_twin.currencies import minor_units
from sandbox.twin_admin import TwinAdmin

CALL_SECONDS = 15.0
PAGE_SIZE = 1_000
MAX_PAGES = 1_000
# The name that the gateway gives its ledger unless it is told another.
LEDGER = "payments"
# Each corridor of the sandbox has the name of its account at the twin.
CORRIDORS = {account.name: account.name for account in ACCOUNTS}
# Parts of Stripe's balance, and what is held on cards and is not Stripe's yet.
PENDING, AVAILABLE, HELD = "pending", "available", "held"
# PaymentIntents in these may still take the money, so that a hold for them has to stand.
HOLDING_STATUSES = frozenset({"requires_capture", "requires_action", "processing"})

# (corridor, lower-case currency, part) to minor units of ISO 4217.
Figures = dict[tuple[str, str, str], int]


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One figure on which ledger and twin disagree, in minor units; `part` is pending, available
    or held. A hold that the twin knows nothing of is an orphan."""

    corridor: str
    currency: str
    part: str
    ledger_minor: int
    twin_minor: int


class BooksBrokenError(AssertionError):
    """The ledger's debits are not its credits, or it does not answer within its bounds."""


async def books_difference(
    clients: Clients,
    twin: TwinAdmin,
    *,
    ledger: str = LEDGER,
    corridors: Mapping[str, str] = CORRIDORS,
) -> list[Difference]:
    """Every difference per corridor, currency and part of the balance; empty if they agree.

    `corridors` maps the gateway's corridors to accounts of the twin. Both sides are read while
    they go on: differences mean something once all is at rest, so poll. Raises AssertionError if
    the twin's own books, or the ledger's, do not add up.
    """
    in_ledger = await _ledger_figures(clients, ledger, corridors)
    at_twin: Figures = {}
    for corridor, account in corridors.items():
        at_twin |= twin_figures(corridor, await twin.books(account))
    return differences(in_ledger, at_twin)


def differences(in_ledger: Figures, at_twin: Figures) -> list[Difference]:
    """Where two sets of figures differ; a figure that is missing counts as zero."""
    return sorted(
        Difference(*key, in_ledger.get(key, 0), at_twin.get(key, 0))
        for key in in_ledger.keys() | at_twin.keys()
        if in_ledger.get(key, 0) != at_twin.get(key, 0)
    )


def twin_figures(corridor: str, books: Mapping[str, Any]) -> Figures:
    """What the books of one of the twin's accounts say of its balance, and of open holds."""
    figures: Figures = defaultdict(int)
    for currency, parts in books["balances"].items():
        for part in (PENDING, AVAILABLE):
            figures[corridor, currency, part] = minor_units(parts[part], currency)
    for part, amounts in books["other_balances"].items():
        for currency, amount in amounts.items():
            figures[corridor, currency, part] = minor_units(amount, currency)
    for intent in books["payment_intents"]:
        if intent["status"] in HOLDING_STATUSES:
            currency = intent["currency"]
            figures[corridor, currency, HELD] += minor_units(intent["amount"], currency)
    return dict(figures)


async def _ledger_figures(clients: Clients, ledger: str, corridors: Mapping[str, str]) -> Figures:
    """What the ledger's Stripe accounts say; nothing before the gateway has made the ledger."""
    figures: Figures = {}
    debits: dict[str, int] = {}
    request = GetTrialBalanceRequest(ledger=ledger, page_size=PAGE_SIZE)
    for _ in range(MAX_PAGES):
        try:
            page = await clients.ledger.GetTrialBalance(request, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        for line in page.lines:
            balance = line.balance
            corridor, currency, *rest = balance.account.split("/")
            if corridor not in corridors or rest[:1] != ["stripe"]:
                continue
            figures[corridor, currency, rest[1]] = balance.posted_minor
            if rest[1] == PENDING:
                figures[corridor, currency, HELD] = balance.pending_debits_minor
        debits |= {
            total.currency_code: total.posted_debits_minor - total.posted_credits_minor
            for total in page.totals
        }
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    else:
        raise BooksBrokenError(f"the ledger has more than {MAX_PAGES * PAGE_SIZE} accounts")
    if any(debits.values()):
        raise BooksBrokenError(f"debits less credits: {debits}")
    return figures

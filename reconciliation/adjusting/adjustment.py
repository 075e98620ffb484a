"""What an adjustment posts, where it may, and who has to agree: pure rules."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from reconciliation.matching.item import Leg

KIND = "reconciliation.adjustment"
AT_STRIPE, BANK = "stripe", "bank"
# One part of an account's name, or all that follow.
_ANY, _ALL = "*", "**"


class AdjustmentState(StrEnum):
    """How far it is."""

    ASKED = "ASKED"
    DECIDED = "DECIDED"
    POSTED = "POSTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class AdjustmentError(ValueError):
    """An adjustment is not allowed or impossible; the message says why."""


@dataclass(frozen=True, order=True)
class Accounts:
    """Where the difference in a currency is posted."""

    currency: str
    balance_account: str
    counter_account: str


@dataclass(frozen=True)
class AdjustmentRules:
    """Which accounts adjustments may touch, and what one person may post."""

    accounts: tuple[str, ...] = ()
    """Patterns by parts: `*` is any one part, a `**` at the end any that follow."""
    four_eyes_over: Mapping[str, int] = field(default_factory=dict)
    """By currency, in minor units; of other currencies two people agree to any amount."""

    def allows(self, account: str) -> bool:
        """Whether adjustments may touch an account."""
        return any(_fits(pattern.split("/"), account.split("/")) for pattern in self.accounts)

    def needs_two(self, amounts: Mapping[str, int]) -> bool:
        """Whether a second person has to agree to amounts by currency."""
        return any(
            abs(amount) > self.four_eyes_over.get(code, -1) for code, amount in amounts.items()
        )


@dataclass(frozen=True)
class Posting:
    """An entry of the ledger's transaction, in minor units above zero."""

    account: str
    currency: str
    amount_minor: int
    is_debit: bool


def check_accounts(
    leg: Leg,
    corridor: str,
    differences: Mapping[str, int],
    accounts: Sequence[Accounts],
    rules: AdjustmentRules,
) -> None:
    """Raises `AdjustmentError` unless there is one place for each currency that differs, and each
    is allowed: a balance at Stripe of the corridor, or in the leg BANKED its account of the bank,
    and another account that is neither."""
    if sorted(each.currency for each in accounts) != sorted(differences):
        raise AdjustmentError(f"accounts for exactly {', '.join(sorted(differences))} are needed")
    for each in accounts:
        place = f"{corridor}/{each.currency.lower()}"
        below, bank = f"{place}/{AT_STRIPE}/", f"{place}/{BANK}"
        if leg is Leg.BANKED and each.balance_account != bank:
            raise AdjustmentError(f"{each.balance_account} is not {bank}")
        if leg is Leg.BOOKED and not each.balance_account.startswith(below):
            raise AdjustmentError(f"{each.balance_account} is no account below {below}")
        counter = each.counter_account.split("/")[2:]
        if counter[:1] == [AT_STRIPE]:
            raise AdjustmentError(f"{each.counter_account} is a balance at Stripe, too")
        if leg is Leg.BANKED and counter == [BANK]:
            raise AdjustmentError(f"{each.counter_account} is an account of the bank, too")
        for account in (each.balance_account, each.counter_account):
            if not rules.allows(account):
                raise AdjustmentError(f"adjustments may not touch {account}")


def postings(differences: Mapping[str, int], accounts: Sequence[Accounts]) -> list[Posting]:
    """What is posted, so that the left side becomes what the right one is. Balances at Stripe and
    at the bank grow by debits."""
    made = []
    for each in sorted(accounts):
        amount = -differences[each.currency]
        assert amount, "what does not differ is not adjusted"
        for account, is_debit in (
            (each.balance_account, amount > 0),
            (each.counter_account, amount < 0),
        ):
            made.append(Posting(account, each.currency, abs(amount), is_debit))
    return made


def ledger_request_id(request_id: str) -> str:
    """The request_id in the ledger: it follows from that of the first who asked, so that whoever
    posts it again, after whatever was lost, posts the same."""
    return f"{KIND}.{sha256(request_id.encode()).hexdigest()[:40]}"


def item_key(ledger_id: str, currency: str) -> str:
    """The key that the item of a transaction has in a currency."""
    return f"{ledger_id}:{currency}"


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern of accounts."""
    parts = pattern.split("/")
    if len(parts) < 2 or not all(parts):
        return "is not parts with a slash between them"
    if _ALL in parts[:-1]:
        return "has ** before its end"
    if any(_ANY in part and part not in (_ANY, _ALL) for part in parts):
        return "has a part with a * beside other characters"
    if not all(re.fullmatch(r"[A-Za-z0-9_.*-]+", part) for part in parts):
        return "has a character that accounts have not"
    return None


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if pattern[-1] == _ALL:
        pattern, parts = (
            pattern[:-1],
            parts[: len(pattern) - 1] if len(parts) >= len(pattern) else (),
        )
    return len(pattern) == len(parts) and all(
        one in (_ANY, part) for one, part in zip(pattern, parts, strict=True)
    )

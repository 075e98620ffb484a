"""What is told of fees that are not as they should be: one condition for a day's, pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from reconciliation.conditions.condition import Condition
from reconciliation.matching.breaks import MAX_NAMED_KEYS
from reconciliation.matching.policy import BreakKind

# A key may be long, and a sentence may not.
MAX_SHOWN_KEY = 64


class Against(StrEnum):
    """What a fee differs from."""

    LEDGER = "LEDGER"
    """What the ledger has booked on the account of fees."""
    SCHEDULE = "SCHEDULE"
    """The operator's prices."""


_SAYS = {
    Against.LEDGER: "the ledger has booked another fee than Stripe took",
    Against.SCHEDULE: "Stripe took another fee than the schedule says",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variance:
    """One fee of Stripe's that is not what it is compared with."""

    against: Against
    corridor: str
    currency: str
    day: date
    """The book day of what the fee is of."""
    key: str
    """Stripe's id of it."""
    told_minor: int
    """What Stripe took."""
    expected_minor: int
    """What was booked, or what the schedule says."""


def subjects_of(day: date) -> str:
    """How the subjects of all that is told of a day's fees begin."""
    return f"fees {day} "


def conditions_of(variances: Iterable[Variance], since: datetime) -> list[Condition]:
    """One for each corridor, currency, day, and what they differ from: how much more Stripe took.

    Amounts that cancel each other are told of, too: the sentence says how many differ.
    """
    groups: dict[tuple[str, date, str, Against], list[Variance]] = defaultdict(list)
    for each in variances:
        groups[each.corridor, each.day, each.currency, each.against].append(each)
    found = []
    for (corridor, day, currency, against), some in sorted(groups.items()):
        amount = sum(each.told_minor - each.expected_minor for each in some)
        keys = sorted(each.key for each in some)
        found.append(
            Condition(
                BreakKind.FEE_VARIANCE,
                corridor,
                f"{subjects_of(day)}{currency} {against}",
                since,
                f"{_SAYS[against]}, {len(some)} times on {day} ({_named(keys)})",
                ((currency, amount),),
            )
        )
    return found


def _named(keys: list[str]) -> str:
    shown = ", ".join(key[:MAX_SHOWN_KEY] for key in keys[:MAX_NAMED_KEYS])
    more = len(keys) - MAX_NAMED_KEYS
    return shown if more <= 0 else f"{shown} and {more} more"

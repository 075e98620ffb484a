"""What a warehouse's rows add up to, beside what the ledger says. Pure."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Of the accounts that differ, named in a refusal.
NAMED_DIFFERENCES = 5


class Key(NamedTuple):
    """An account has one currency; both name it, so that a wrong currency is a difference."""

    account: str
    currency: str


class Totals(NamedTuple):
    """Sums of an account's entries in minor units, none of them negative."""

    posted_debits: int = 0
    posted_credits: int = 0
    pending_debits: int = 0
    pending_credits: int = 0


NOTHING = Totals()


def differences(rows: Mapping[Key, Totals], ledger: Mapping[Key, Totals]) -> Iterator[str]:
    """A sentence for each account whose rows do not add up to the ledger's balance.

    An account that has no entry yet is in the trial balance and not among the rows.
    """
    for key in sorted(rows.keys() | ledger.keys()):
        ours, theirs = rows.get(key, NOTHING), ledger.get(key, NOTHING)
        for name, mine, its in zip(Totals._fields, ours, theirs, strict=True):
            if mine != its:
                what = name.replace("_", " ")
                yield (
                    f"{key.account} {key.currency}: the rows have {mine} of {what}, "
                    f"the ledger {its}"
                )


def told(found: list[str]) -> str:
    """The first few of them, and how many there are."""
    more = len(found) - NAMED_DIFFERENCES
    named = "; ".join(found[:NAMED_DIFFERENCES])
    return f"{named}; and {more} more" if more > 0 else named

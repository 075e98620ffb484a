"""Compares what reconciliation says with what follows from the truth."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.reconciliation.judge.expecting import Stand, expected
from tests.reconciliation.judge.history import History, Name

LEGS = ("BOOKED", "CONTENT", "BANKED")
# Of these it is said until the next file comes, so that they depend on the order of arrival.
UNTIL_THE_NEXT_FILE = "STATEMENT_BALANCE"


def judge(history: History, seen: Any) -> list[str]:
    """What is wrong, in sentences; `seen` is what the product says."""
    wanted = expected(history)
    found = [f"in two at once: {name}" for name in seen.twice]
    found += seen.wrong
    found += [f"no break was opened for {shown(each)}" for each in seen.untold]
    found += compare(wanted, seen.stand)
    found += _sums(history, seen)
    refused = {account: count for account, count in seen.refused_last.items() if count}
    said: Counter[str] = Counter()
    for (kind, corridor, _), count in seen.stand.conditions.items():
        if kind == UNTIL_THE_NEXT_FILE:
            said[corridor] += count
    if dict(said) != refused:
        found.append(f"files with false balances: {refused} came last, {dict(said)} are told of")
    return found


def compare(wanted: Stand, got: Stand) -> list[str]:
    """What one stand has and the other has not."""
    found = []
    for leg in LEGS:
        for name, ours, theirs in (
            ("match", wanted.matches[leg], got.matches[leg]),
            ("difference", wanted.differences[leg], got.differences[leg]),
        ):
            found += [f"{leg}: a {name} is missing: {shown(each)}" for each in ours - theirs]
            found += [f"{leg}: a {name} is invented: {shown(each)}" for each in theirs - ours]
    due, told = lasting(wanted), lasting(got)
    found += [f"a break is missing: {each}" for each in (due - told).elements()]
    found += [f"a break is invented: {each}" for each in (told - due).elements()]
    return sorted(found)


def lasting(stand: Stand) -> Counter[Any]:
    """The breaks of statements that do not depend on the order of arrival."""
    return Counter(
        {
            condition: count
            for condition, count in stand.conditions.items()
            if condition[0] != UNTIL_THE_NEXT_FILE
        }
    )


def _sums(history: History, seen: Any) -> Iterable[str]:
    """What the product has of Stripe and of the bank is what those have, less what they did not
    tell."""
    untold: Counter[tuple[str, str]] = Counter()
    for movement in history.true_movements:
        if not movement.is_told:
            untold[movement.name.corridor, movement.currency] += movement.net
    for where, balance in history.at_stripe.items():
        has = seen.sums["STRIPE", *where]
        if has + untold[where] != balance:
            yield f"Stripe has {balance} in {where}, the product {has} and {untold[where]} untold"
    for bank in history.banks:
        has = seen.sums["BANK", bank.corridor, bank.currency]
        if has + bank.untold != bank.balance:
            yield f"{bank.name} has {bank.balance}, the product {has} and {bank.untold} untold"


def shown(each: Any) -> str:
    """A match or a difference."""
    if isinstance(each, frozenset):
        return _names(each)
    return f"{each.kind} {each.amounts} of {_names(each.members)}"


def _names(members: Iterable[Name]) -> str:
    return ", ".join(f"{name.source} {name.corridor} {name.key}" for name in sorted(members))

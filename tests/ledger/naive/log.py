"""A ledger as a list of facts; every sum is made anew, from the first fact, each time it is wanted.

Nothing in this folder shares code with `ledger`: it is written from the protos' comments and
docs/ledger.md, so that what both agree on is not the same mistake twice. Slow and plain on purpose.
Times are microseconds since 1970, amounts minor units.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Side = Literal["debit", "credit"]
Effect = Literal["post", "hold", "release"]
Kind = Literal["direct", "pending", "post", "void", "expiry", "reversal"]

OPPOSITE: dict[Side, Side] = {"debit": "credit", "credit": "debit"}
# Above any sequence: everything there is.
EVERYTHING = 2**62


@dataclass(frozen=True)
class Account:
    """What was said of an account when it was made; limits by their field's name."""

    name: str
    currency: str
    normal: Side
    limits: Mapping[str, int]
    metadata: Mapping[str, str]
    create_us: int


@dataclass(frozen=True)
class Leg:
    """One entry; `source` is the position of the earlier entry it settles or reverses."""

    account: str
    side: Side
    effect: Effect
    amount: int
    source: int | None = None
    description: str = ""


@dataclass
class Fact:
    """One transaction. `message` is how it was answered, which never changes."""

    sequence: int
    kind: Kind
    legs: Sequence[Leg]
    record_us: int
    effective_us: int
    request_id: str = ""
    expire_us: int | None = None
    reference: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    exchanges: Sequence[Any] = ()
    settles: int = 0
    reverses: int = 0
    message: Any = None


class Totals(NamedTuple):
    """What entries have made of an account."""

    posted_debits: int
    posted_credits: int
    pending_debits: int
    pending_credits: int
    version: int

    def balance(self, normal: Side) -> int:
        difference = self.posted_debits - self.posted_credits
        return difference if normal == "debit" else -difference

    def lowest(self, normal: Side) -> int:
        """The available balance: less the holds that lower it."""
        lowering = self.pending_credits if normal == "debit" else self.pending_debits
        return self.balance(normal) - lowering

    def highest(self, normal: Side) -> int:
        """With the holds that raise it."""
        raising = self.pending_debits if normal == "debit" else self.pending_credits
        return self.balance(normal) + raising


class Log:
    """Facts numbered from 1, the accounts, and when those were closed."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.accounts: dict[str, Account] = {}
        self.closed_us: dict[str, int] = {}
        # The moment of what is being decided: holds that are due by then bind nobody.
        self.now_us = 0
        # Only so that a sum need not look at facts that cannot matter to it.
        self._legs: dict[str, list[tuple[Fact, Leg]]] = defaultdict(list)
        self._followers: dict[int, list[Fact]] = defaultdict(list)
        self._expiring: list[Fact] = []

    def add(self, fact: Fact) -> None:
        """Takes one more fact."""
        assert fact.sequence == len(self.facts) + 1, "facts are numbered without gaps"
        self.facts.append(fact)
        for leg in fact.legs:
            self._legs[leg.account].append((fact, leg))
        self._followers[fact.settles or fact.reverses].append(fact)
        if fact.expire_us is not None:
            self._expiring.append(fact)

    def forget_after(self, sequence: int) -> None:
        """Undoes all facts after one."""
        kept = self.facts[:sequence]
        self.facts = []
        self._legs.clear()
        self._followers.clear()
        self._expiring.clear()
        for fact in kept:
            self.add(fact)

    def fact(self, sequence: int) -> Fact | None:
        return self.facts[sequence - 1] if 1 <= sequence <= len(self.facts) else None

    def named(self, request_id: str) -> Fact | None:
        return next((fact for fact in self.facts if fact.request_id == request_id), None)

    def last_by(self, moment_us: int) -> int:
        """The last sequence recorded at or before a moment; 0 if none."""
        return max((f.sequence for f in self.facts if f.record_us <= moment_us), default=0)

    def legs(self, account: str) -> Sequence[tuple[Fact, Leg]]:
        """An account's entries in the order they were recorded."""
        return self._legs[account]

    def totals(
        self,
        account: str,
        through: int = EVERYTHING,
        lapsed_by_us: int | None = None,
        effective_by_us: int | None = None,
    ) -> Totals:
        """An account's totals after a sequence.

        With `lapsed_by_us` holds that expired by then count no more, recorded or not; with
        `effective_by_us` posted entries count by their effective time, whenever recorded.
        """
        posted: dict[Side, int] = {"debit": 0, "credit": 0}
        pending: dict[Side, int] = {"debit": 0, "credit": 0}
        version = 0
        for fact, leg in self.legs(account):
            recorded = fact.sequence <= through
            version += recorded
            if leg.effect == "post":
                by_now = recorded
                if effective_by_us is not None:
                    by_now = fact.effective_us <= effective_by_us
                posted[leg.side] += leg.amount * by_now
            elif recorded:
                pending[leg.side] += leg.amount if leg.effect == "hold" else -leg.amount
        if lapsed_by_us is not None:
            for fact in self.lapsed(lapsed_by_us, through):
                for index, left in self.held(fact, through).items():
                    if fact.legs[index].account == account:
                        pending[fact.legs[index].side] -= left
        return Totals(
            posted["debit"], posted["credit"], pending["debit"], pending["credit"], version
        )

    def totals_now(self, account: str) -> Totals:
        """An account's totals as the rules see them."""
        return self.totals(account, lapsed_by_us=self.now_us)

    def lapsed(self, moment_us: int, through: int = EVERYTHING) -> list[Fact]:
        """Holds whose time has come by a moment and of which something is still held."""
        return [
            fact
            for fact in self._expiring
            if fact.expire_us is not None
            and fact.expire_us <= moment_us
            and fact.sequence <= through
            and any(self.held(fact, through).values())
        ]

    def held(self, pending: Fact, through: int = EVERYTHING) -> dict[int, int]:
        """What of each entry of a hold is not released, by position."""
        left = {index: leg.amount for index, leg in enumerate(pending.legs)}
        for fact in self.settlements(pending):
            for leg in fact.legs if fact.sequence <= through else ():
                if leg.effect == "release" and leg.source is not None:
                    left[leg.source] -= leg.amount
        return left

    def reversible(self, original: Fact) -> dict[int, int]:
        """What of each posted entry of a transaction is not reversed, by position."""
        left = {i: leg.amount for i, leg in enumerate(original.legs) if leg.effect == "post"}
        for fact in self.reversals(original):
            for leg in fact.legs:
                if leg.source is not None:
                    left[leg.source] -= leg.amount
        return left

    def settlements(self, pending: Fact) -> list[Fact]:
        return [f for f in self._followers[pending.sequence] if f.settles]

    def reversals(self, original: Fact) -> list[Fact]:
        return [f for f in self._followers[original.sequence] if f.reverses]

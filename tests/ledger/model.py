"""The ledger's rules once more, as naively as possible: a list of facts, summed up anew each time.

It shares no code with `ledger`, so that what both agree on is not the same mistake twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Account, "debit" or "credit", minor units.
ModelLeg = tuple[str, str, int]


@dataclass
class Fact:
    """One transaction: what each leg posted, held and released."""

    kind: str
    posted: list[ModelLeg] = field(default_factory=list)
    held: list[ModelLeg] = field(default_factory=list)
    released: list[ModelLeg] = field(default_factory=list)
    # What it settles or reverses, and how much of each leg.
    source: int = 0
    taken: dict[int, int] = field(default_factory=dict)
    expires: int | None = None


@dataclass
class ModelAccount:
    """Debit-normal or not; bounds of the available balance."""

    debit_normal: bool
    floor: int | None = None
    ceiling: int | None = None


class Model:
    """Facts numbered from 1; each operation answers None or the reason it was refused for."""

    def __init__(self, accounts: Mapping[str, ModelAccount]) -> None:
        self.accounts = accounts
        self.facts: list[Fact] = []
        self.now = 0

    def total(self, account: str, side: str, what: str) -> int:
        return sum(
            amount
            for fact in self.facts
            for name, leg_side, amount in getattr(fact, what)
            if name == account and leg_side == side
        )

    def posted(self, account: str) -> int:
        debits = self.total(account, "debit", "posted")
        balance = debits - self.total(account, "credit", "posted")
        return balance if self.accounts[account].debit_normal else -balance

    def pending(self, account: str, side: str) -> int:
        return self.total(account, side, "held") - self.total(account, side, "released")

    def available(self, account: str) -> int:
        lowering = "credit" if self.accounts[account].debit_normal else "debit"
        return self.posted(account) - self.pending(account, lowering)

    def highest(self, account: str) -> int:
        raising = "debit" if self.accounts[account].debit_normal else "credit"
        return self.posted(account) + self.pending(account, raising)

    def held_of(self, number: int) -> list[int]:
        """What is still held of each leg."""
        left = [amount for _, _, amount in self.facts[number - 1].held]
        for fact in self.facts:
            if fact.source == number and fact.kind != "reversal":
                for index, amount in fact.taken.items():
                    left[index] -= amount
        return left

    def reversible_of(self, number: int) -> dict[int, int]:
        """What can still be reversed, by position of the entry as the ledger numbers them."""
        fact = self.facts[number - 1]
        # The entries of a post alternate: release, post; where nothing is posted, only release.
        positions: list[int] = []
        position = 0
        if fact.kind == "post":
            posted = {(name, side): amount for name, side, amount in fact.posted}
            for name, side, _ in fact.released:
                position += 1
                if (name, side) in posted:
                    positions.append(position)
                    position += 1
        else:
            positions = list(range(len(fact.posted)))
        left = {at: fact.posted[i][2] for i, at in enumerate(positions)}
        for later in self.facts:
            if later.kind == "reversal" and later.source == number:
                for at, amount in later.taken.items():
                    left[at] -= amount
        return left

    def expire_due(self) -> None:
        due = [
            (fact.expires, number)
            for number, fact in enumerate(self.facts, start=1)
            if fact.expires is not None and fact.expires <= self.now and any(self.held_of(number))
        ]
        for _, number in sorted(due):
            self._settle("expiry", number, self._rest(number), {})

    def create(
        self, legs: Sequence[ModelLeg], *, pending: bool = False, expires: int | None = None
    ) -> str | None:
        self.expire_due()
        if expires is not None and expires <= self.now:
            return "EXPIRE_TIME_PASSED"
        fact = Fact("pending" if pending else "direct", expires=expires)
        (fact.held if pending else fact.posted).extend(legs)
        return self._try(fact)

    def post(self, number: int, taken: Mapping[int, int], *, keep: bool) -> str | None:
        self.expire_due()
        if (refused := self._not_held(number)) is not None:
            return refused
        left = self._rest(number)
        if any(amount > left.get(index, 0) for index, amount in taken.items()):
            return "AMOUNT_EXCEEDS_HOLD"
        if not taken:
            return self._settle("post", number, left, left)
        if not self._balanced(number, taken):
            return "UNBALANCED"
        return self._settle("post", number, taken if keep else left, taken)

    def void(self, number: int) -> str | None:
        self.expire_due()
        if (refused := self._not_held(number)) is not None:
            return refused
        return self._settle("void", number, self._rest(number), {})

    def reverse(self, number: int, taken: Mapping[int, int]) -> str | None:
        self.expire_due()
        fact = self.facts[number - 1]
        if fact.kind not in ("direct", "post"):
            return "TRANSACTION_NOT_REVERSIBLE"
        left = self.reversible_of(number)
        amounts = dict(taken) or {at: amount for at, amount in left.items() if amount}
        if not amounts:
            return "AMOUNT_EXCEEDS_ORIGINAL"
        if any(at not in left for at in amounts):
            return "ENTRY_NOT_FOUND"
        if any(amount > left[at] for at, amount in amounts.items()):
            return "AMOUNT_EXCEEDS_ORIGINAL"
        legs = dict(zip(left, fact.posted, strict=True))
        reversed_legs = [
            (legs[at][0], "credit" if legs[at][1] == "debit" else "debit", amounts[at])
            for at in left
            if at in amounts
        ]
        debits = sum(amount for _, side, amount in reversed_legs if side == "debit")
        if debits * 2 != sum(amount for *_, amount in reversed_legs):
            return "UNBALANCED"
        return self._try(Fact("reversal", posted=reversed_legs, source=number, taken=amounts))

    def _rest(self, number: int) -> dict[int, int]:
        return {index: left for index, left in enumerate(self.held_of(number)) if left}

    def _not_held(self, number: int) -> str | None:
        if self.facts[number - 1].kind != "pending":
            return "TRANSACTION_NOT_PENDING"
        if any(self.held_of(number)):
            return None
        last = [f.kind for f in self.facts if f.source == number and f.kind != "reversal"][-1]
        return {
            "post": "HOLD_ALREADY_POSTED",
            "void": "HOLD_ALREADY_VOIDED",
            "expiry": "HOLD_EXPIRED",
        }[last]

    def _balanced(self, number: int, taken: Mapping[int, int]) -> bool:
        legs = self.facts[number - 1].held
        return (
            sum(amount if legs[index][1] == "debit" else -amount for index, amount in taken.items())
            == 0
        )

    def _settle(
        self, kind: str, number: int, released: Mapping[int, int], posted: Mapping[int, int]
    ) -> str | None:
        legs = self.facts[number - 1].held
        return self._try(
            Fact(
                kind,
                released=[(*legs[index][:2], released[index]) for index in sorted(released)],
                posted=[(*legs[index][:2], posted[index]) for index in sorted(posted)],
                source=number,
                taken=dict(released),
            )
        )

    def _try(self, fact: Fact) -> str | None:
        """Adds the fact unless it takes an account beyond a bound."""
        before = {name: (self.available(name), self.highest(name)) for name in self.accounts}
        self.facts.append(fact)
        order = [name for name, *_ in [*fact.held, *fact.released, *fact.posted]]
        for name in order:
            account, (lowest, _) = self.accounts[name], before[name]
            if account.floor is not None and lowest > self.available(name) < account.floor:
                self.facts.pop()
                return "FLOOR_BREACHED"
        for name in order:
            account, (_, highest) = self.accounts[name], before[name]
            if account.ceiling is not None and highest < self.highest(name) > account.ceiling:
                self.facts.pop()
                return "CEILING_BREACHED"
        return None

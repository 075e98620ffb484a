"""Accounts: their totals, and what bounds them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from ledger.refusal import Reason, Refusal

MAX_TOTAL_MINOR = 2**63 - 1
# Two totals up to this never add up to more than that.
SAFE_TOTAL_MINOR = 2**62 - 1


class Side(IntEnum):
    """Debit or credit; the numbers are those of the protos and of the database."""

    DEBIT = 1
    CREDIT = 2


class Effect(IntEnum):
    """What an entry does to its account's totals."""

    POST = 1
    HOLD = 2
    RELEASE = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a balance in minor units on the account's normal side; None is no bound."""

    min_posted: int | None = None
    max_posted: int | None = None
    min_available: int | None = None
    max_available: int | None = None


NO_LIMITS = Limits()


def limits_of(*bounds: int | None) -> Limits:
    """The limits with these four bounds; the one `NO_LIMITS` if there are none."""
    return NO_LIMITS if all(bound is None for bound in bounds) else Limits(*bounds)


# Posted debits, posted credits, pending debits, pending credits, version.
Totals = tuple[int, int, int, int, int]
EMPTY_TOTALS: Totals = (0, 0, 0, 0, 0)
# Debits and credits held whose time has come, though no transaction has released them yet.
Lapsed = tuple[int, int]
NO_LAPSED: Lapsed = (0, 0)


@dataclass(slots=True)
class Account:
    """One account with the totals its entries have brought it to.

    All but `totals` and `closed_us` never changes. Times are microseconds since 1970.
    """

    number: int
    name: str
    currency: str
    normal: Side
    limits: Limits
    create_us: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    totals: Totals = EMPTY_TOTALS
    closed_us: int | None = None

    def add(self, side: Side, effect: Effect, amount: int) -> Totals:
        """Takes one entry; answers the totals right after it."""
        posted_debits, posted_credits, pending_debits, pending_credits, version = self.totals
        if effect is Effect.POST:
            if side is Side.DEBIT:
                posted_debits += amount
            else:
                posted_credits += amount
        else:
            change = amount if effect is Effect.HOLD else -amount
            if side is Side.DEBIT:
                pending_debits += change
            else:
                pending_credits += change
        totals = (posted_debits, posted_credits, pending_debits, pending_credits, version + 1)
        self.totals = totals
        return totals

    def check_open(self) -> None:
        """Refuses a closed account."""
        if self.closed_us is not None:
            raise Refusal(Reason.ACCOUNT_CLOSED, f"{self.name} is closed", {"account": self.name})

    def check_range(self) -> None:
        """Refuses totals of which posted and pending of one side together leave 64 bits.

        So every balance fits them, and whatever is held can be posted.
        """
        posted_debits, posted_credits, pending_debits, pending_credits, _ = self.totals
        most = max(posted_debits + pending_debits, posted_credits + pending_credits)
        if most > MAX_TOTAL_MINOR:
            raise Refusal(
                Reason.BALANCE_OVERFLOW,
                f"a total of {self.name} would leave 64 bits",
                {"account": self.name},
            )

    def check_floors(self, before: Totals, lapsed: Lapsed = NO_LAPSED) -> None:
        """Refuses totals that the change from `before` takes below a floor."""
        posted, lowest, _ = spans(self.totals, self.normal, lapsed)
        posted_before, lowest_before, _ = spans(before, self.normal, lapsed)
        limits = self.limits
        self._check_floor("min_posted_minor", limits.min_posted, posted, posted_before)
        self._check_floor("min_available_minor", limits.min_available, lowest, lowest_before)

    def check_ceilings(self, before: Totals, lapsed: Lapsed = NO_LAPSED) -> None:
        """Refuses totals that the change from `before` takes above a ceiling."""
        posted, _, highest = spans(self.totals, self.normal, lapsed)
        posted_before, _, highest_before = spans(before, self.normal, lapsed)
        limits = self.limits
        self._check_ceiling("max_posted_minor", limits.max_posted, posted, posted_before)
        self._check_ceiling("max_available_minor", limits.max_available, highest, highest_before)

    def _check_floor(self, name: str, floor: int | None, after: int, before: int) -> None:
        """A floor stops what lowers a balance, not what raises one that is still below it."""
        if floor is not None and after < floor and after < before:
            raise Refusal(
                Reason.FLOOR_BREACHED,
                f"{self.name} would fall to {after}, below its {name} of {floor}",
                self._limit_metadata(name, floor, after),
            )

    def _check_ceiling(self, name: str, ceiling: int | None, after: int, before: int) -> None:
        if ceiling is not None and after > ceiling and after > before:
            raise Refusal(
                Reason.CEILING_BREACHED,
                f"{self.name} would rise to {after}, above its {name} of {ceiling}",
                self._limit_metadata(name, ceiling, after),
            )

    def _limit_metadata(self, name: str, limit: int, balance: int) -> dict[str, str | int]:
        return {
            "account": self.name,
            "limit": name,
            "limit_minor": limit,
            "balance_minor": balance,
        }

    def check_empty(self) -> None:
        """Refuses unless the balance is zero and nothing is held."""
        posted_debits, posted_credits, pending_debits, pending_credits, _ = self.totals
        if posted_debits != posted_credits or pending_debits or pending_credits:
            raise Refusal(
                Reason.ACCOUNT_NOT_EMPTY,
                f"{self.name} has a balance or holds",
                {
                    "account": self.name,
                    "posted_minor": spans(self.totals, self.normal)[0],
                    "pending_debits_minor": pending_debits,
                    "pending_credits_minor": pending_credits,
                },
            )


def spans(totals: Totals, normal: Side, lapsed: Lapsed = NO_LAPSED) -> tuple[int, int, int]:
    """The posted balance, and the lowest and highest that holds could still make of it."""
    posted_debits, posted_credits, pending_debits, pending_credits, _ = totals
    if lapsed is not NO_LAPSED:
        pending_debits -= lapsed[0]
        pending_credits -= lapsed[1]
    if normal is Side.DEBIT:
        posted = posted_debits - posted_credits
        return posted, posted - pending_credits, posted + pending_debits
    posted = posted_credits - posted_debits
    return posted, posted - pending_debits, posted + pending_credits

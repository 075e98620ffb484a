"""Where the money of an account is in one currency, by what is known of it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from reconciliation.balances.balance import Balance

AVAILABLE, PENDING = "available", "pending"

Place = tuple[str, str]
"""Corridor and currency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPayouts:
    """Payouts of one arrival day that have not failed and that no line of the bank goes with."""

    corridor: str
    currency: str
    day: date
    amount_minor: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AtBank:
    """What the bank's last statements close with, all accounts of a corridor and currency."""

    amount_minor: int
    day: date
    """Of the statement that reaches least far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Minor units of one currency. What is at Stripe is None where nobody has looked lately."""

    corridor: str
    currency: str
    available_minor: int | None
    pending_minor: int | None
    balance_time: datetime | None
    expected: tuple[OpenPayouts, ...]
    """From the day of the moment on, by day."""
    late_minor: int
    """Of days before it."""
    at_bank: AtBank | None = None
    """None where an account has no statement, or none is declared."""

    @property
    def in_transit_minor(self) -> int:
        """What has left Stripe and is not at the bank."""
        return self.late_minor + sum(payouts.amount_minor for payouts in self.expected)


def positions(
    balances: Iterable[Balance],
    payouts: Iterable[OpenPayouts],
    with_statements: Iterable[Place],
    today: date,
    at_bank: Mapping[Place, AtBank],
) -> list[Position]:
    """One for each corridor and currency that anything is known of, by these.

    Without statements nobody can say that a payout has not arrived: then it has, on its day.
    """
    at_stripe: dict[Place, dict[str, Balance]] = defaultdict(dict)
    for balance in balances:
        if balance.part in (AVAILABLE, PENDING):
            at_stripe[balance.corridor, balance.currency][balance.part] = balance
    on_the_way: dict[Place, list[OpenPayouts]] = defaultdict(list)
    stated = frozenset(with_statements)
    for payout in payouts:
        place = payout.corridor, payout.currency
        if payout.day >= today or place in stated:
            on_the_way[place].append(payout)
    return [
        replace(
            _position(place, at_stripe.get(place, {}), on_the_way.get(place, []), today),
            at_bank=at_bank.get(place),
        )
        for place in sorted(at_stripe.keys() | on_the_way.keys() | at_bank.keys())
    ]


def _position(
    place: Place, parts: Mapping[str, Balance], payouts: Iterable[OpenPayouts], today: date
) -> Position:
    by_day = sorted(payouts, key=lambda payout: payout.day)

    def minor(part: str) -> int | None:
        # Stripe leaves out a part in which there never was anything.
        if not parts:
            return None
        return parts[part].stripe_minor if part in parts else 0

    return Position(
        corridor=place[0],
        currency=place[1],
        available_minor=minor(AVAILABLE),
        pending_minor=minor(PENDING),
        balance_time=min((balance.sweep_time for balance in parts.values()), default=None),
        expected=tuple(payout for payout in by_day if payout.day >= today),
        late_minor=sum(payout.amount_minor for payout in by_day if payout.day < today),
    )

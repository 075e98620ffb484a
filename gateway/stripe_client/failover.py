"""Where else a payment may be charged when its corridor cannot be used: pure rules over what the
operators declare and what the client allows.

Never after an outcome that may have been a charge: what is UNKNOWN stays where it is until it is
known.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.stripe_client.outcome import NotSentReason, Outcome, OutcomeClass

# Corridors that are tried one after the other before a payment gives up for now.
MAX_HOPS = 3
# What may well be done later, and not sooner at another account.
_STAYING = frozenset(
    {NotSentReason.OBJECT_LOCKED, NotSentReason.DEADLINE, NotSentReason.OWN_SHORTAGE}
)
# The account's key is revoked, or the account may not do this: no fault of the request.
_STATUSES_ABOUT_THE_ACCOUNT = frozenset({401, 403})
ACCOUNT_REFUSED = "ACCOUNT_REFUSED"
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Route:
    """One way to charge: a corridor and what is charged and credited there."""

    corridor: str
    payment_method: str
    payment_method_customer: str = ""
    destination_account: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What operators declare about a corridor as a place to charge; empty sets limit nothing."""

    corridor: str
    currencies: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    failover_to: tuple[str, ...] = ()
    shares_tokens_with: frozenset[str] = frozenset()
    priority: int = 0
    weight: int = 1

    def take(self, currency: str, country: str) -> bool:
        """Whether it may be charged here; where countries are limited, an unknown one may not."""
        return (not self.currencies or currency in self.currencies) and (
            not self.countries or country in self.countries
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What is to be charged, as far as it matters for where. `alternatives` are the client's."""

    payment_id: str
    currency: str
    country: str
    home: Route
    alternatives: tuple[Route, ...] = ()


def reason_to_leave(outcome: Outcome) -> str:
    """Why another corridor may be tried after this outcome; empty if none may.

    Only what certainly did not happen: NOT_SENT, and refusals that are about the account.
    """
    if outcome.outcome_class is OutcomeClass.NOT_SENT:
        reason = outcome.not_sent_reason
        return "" if reason is None or reason in _STAYING else reason.value
    if outcome.outcome_class is OutcomeClass.REJECTED and outcome.failure is not None:
        about_account = outcome.failure.http_status in _STATUSES_ABOUT_THE_ACCOUNT
        return ACCOUNT_REFUSED if about_account else ""
    return ""


class Excluded(StrEnum):
    """Why a corridor that operators name may not be used."""

    UNAVAILABLE = "UNAVAILABLE"
    """It would send nothing new now."""
    TERMS = "TERMS"
    """Operators do not let it charge this currency or country."""
    NO_TOKEN = "NO_TOKEN"  # noqa: S105 (a reason)
    """The payment method cannot be charged there."""
    TOO_MANY = "TOO_MANY"
    """As many as can be looked at come before it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A corridor that a payment may be charged through, or why not."""

    corridor: str
    route: Route | None
    excluded: Excluded | None = None
    method: int = 0
    """Which of the payment methods that the client names for the corridor, from 0 in its order."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The corridors there are, and whether each would send something new now."""

    terms: Mapping[str, Terms]
    available: Callable[[str], bool]

    def takes(self, corridor: str, currency: str, country: str) -> bool:
        """Whether the operators let a corridor charge this."""
        terms = self.terms.get(corridor)
        return terms is None or terms.take(currency, country)

    def declared(self, corridor: str) -> bool:
        """Whether there is anywhere to go from a corridor at all."""
        terms = self.terms.get(corridor)
        return terms is not None and bool(terms.failover_to)

    def next_route(self, charge: Charge, tried: Sequence[str]) -> Route | None:
        """The best way to charge that has not been tried, or None.

        Lower priorities first; among equals the payment's id draws by weight, so that the same
        payment always draws the same and many payments spread.
        """
        home = self.terms.get(charge.home.corridor)
        if home is None or len(tried) > MAX_HOPS:
            return None
        usable, _ = self._others(home, charge, tried)
        return usable[0].route if usable else None

    def candidates(self, charge: Charge, limit: int) -> tuple[Candidate, ...]:
        """Every corridor that operators let the payment use: its own one, then the others in the
        operators' order, each with the first payment method that the client names for it; then the
        other payment methods, in the client's order. `limit` usable ones at most; after them those
        that may not be used."""
        home = self.terms.get(charge.home.corridor)
        if home is None:
            return ()
        usable, excluded = self._others(home, charge, ())
        own = Candidate(home.corridor, charge.home)
        if not self.available(home.corridor):
            excluded.insert(0, Candidate(home.corridor, None, Excluded.UNAVAILABLE))
        else:
            usable.insert(0, own)
        return _limited([*usable, *_more_methods(usable, charge)], excluded, limit)

    def others(self, charge: Charge, tried: Sequence[str], limit: int) -> tuple[Candidate, ...]:
        """The corridors that the payment's own one fails over to and that were not tried: those of
        `next_route`, the first of which is its answer. Otherwise as `candidates`."""
        home = self.terms.get(charge.home.corridor)
        if home is None:
            return ()
        return _limited(*self._others(home, charge, tried), limit)

    def _others(
        self, home: Terms, charge: Charge, tried: Sequence[str]
    ) -> tuple[list[Candidate], list[Candidate]]:
        """Those that may be used, in the operators' order, and those that may not."""
        left = [name for name in home.failover_to if name not in tried]
        found = [self._candidate(name, home, charge) for name in left]
        usable = sorted(
            (other for other in found if other.route is not None),
            key=lambda other: self._order_of(other, charge),
        )
        return usable, [other for other in found if other.route is None]

    def _candidate(self, name: str, home: Terms, charge: Charge) -> Candidate:
        """Whether a corridor that the payment's own one fails over to may be used."""
        terms = self.terms.get(name)
        if terms is None or not terms.take(charge.currency, charge.country):
            return Candidate(name, None, Excluded.TERMS)
        route = _route_through(terms, home, charge)
        if route is None:
            return Candidate(name, None, Excluded.NO_TOKEN)
        if not self.available(name):
            return Candidate(name, None, Excluded.UNAVAILABLE)
        return Candidate(name, route)

    def _order_of(self, candidate: Candidate, charge: Charge) -> tuple[int, float]:
        return _order(self.terms[candidate.corridor], charge.payment_id)


def _more_methods(usable: Sequence[Candidate], charge: Charge) -> list[Candidate]:
    """Payment methods beyond the first that the client names for a corridor. Who receives the
    money does not change with what is charged."""
    firsts = {each.corridor: each.route for each in usable}
    counts = dict.fromkeys(firsts, 0)
    found = []
    for route in charge.alternatives:
        first = firsts.get(route.corridor)
        if first is None or route == first:
            continue
        if route.destination_account != first.destination_account:
            continue
        counts[route.corridor] += 1
        found.append(Candidate(route.corridor, route, method=counts[route.corridor]))
    return found


def _limited(
    usable: Sequence[Candidate], excluded: Sequence[Candidate], limit: int
) -> tuple[Candidate, ...]:
    """The first of those that may be used; then the others, each with its reason."""
    too_many = [Candidate(other.corridor, None, Excluded.TOO_MANY) for other in usable[limit:]]
    return (*usable[:limit], *excluded, *too_many)


def _route_through(terms: Terms, home: Terms, charge: Charge) -> Route | None:
    """How the payment can be charged through a corridor: with what the client names for it, or
    with its own token where accounts share them. A connected account belongs to one platform."""
    for alternative in charge.alternatives:
        if alternative.corridor == terms.corridor:
            return alternative
    shared = terms.corridor in home.shares_tokens_with or home.corridor in terms.shares_tokens_with
    if not shared or charge.home.destination_account:
        return None
    return Route(terms.corridor, charge.home.payment_method, charge.home.payment_method_customer)


def _order(terms: Terms, payment_id: str) -> tuple[int, float]:
    """Priority, then weighted rendezvous hashing: the least of -ln(u)/weight has the share of
    draws that its weight has of the sum."""
    seed = f"{payment_id} {terms.corridor}".encode()
    drawn = int.from_bytes(hashlib.sha256(seed).digest()[:_HASH_BYTES])
    uniform = (drawn + 1) / (2 ** (8 * _HASH_BYTES) + 1)
    return terms.priority, -math.log(uniform) / terms.weight

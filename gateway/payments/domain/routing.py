"""Where a new payment is charged first, if it is not where the client asked for. Pure.

Who chooses stands behind `Router`; without one the operators' rules are all there is.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from gateway.payments.domain.payment import LeftCorridor, Payment
from gateway.payments.domain.retry_policy import RetryWindow
from gateway.stripe_client.failover import Charge, Elsewhere, Route

# Why a payment came home from a corridor that others wait for.
QUEUE_AHEAD = "QUEUE_AHEAD"


@dataclass(frozen=True, slots=True)
class Choice:
    """What routing says of a payment: by which route, and the record of why, as the row of
    `routing_decision` that is written with the payment, or of `routing_failover`."""

    route: Route
    record: Mapping[str, Any]
    # The ways to charge it, the best first, where the client names several payment methods for a
    # corridor and routing is followed: the first of each corridor is what is charged there.
    order: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryChoice:
    """What routing says of when a declined payment is tried again, and the record of why, as the
    row of `routing_retry` that is written with the decline."""

    time: datetime
    record: Mapping[str, Any]


class Router(Protocol):
    """Chooses among the corridors that a payment may use, and the times of further attempts."""

    async def choose(self, payment: Payment, elsewhere: Elsewhere) -> Choice | None:
        """What it says of a payment that is not written yet; None if the rules say all."""
        ...

    def choose_next(
        self, payment: Payment, elsewhere: Elsewhere, tried: Sequence[str], now: datetime
    ) -> Choice | None:
        """By which corridor that was not tried a payment goes on that certainly was not charged;
        None if the rules say it. It waits for nobody: the row is of `routing_failover`."""
        ...

    def choose_retry_time(
        self, payment: Payment, window: RetryWindow, now: datetime
    ) -> RetryChoice | None:
        """When a payment that was just declined is tried again, which the rules would do at the
        window's beginning; None if they say it. It waits for nobody."""
        ...

    def written(self, record: Mapping[str, Any]) -> None:
        """Told of the row of a choice after the first once it is written."""
        ...

    def under_way(self, payment: Payment) -> AbstractContextManager[None]:
        """Covers the call that charges a payment."""
        ...


def charge_of(payment: Payment) -> Charge:
    """What of a payment matters for where it may be charged."""
    return Charge(
        payment.id,
        payment.currency,
        payment.billing_country,
        payment.home,
        payment.routes[1:],
    )


def may_be_routed(payment: Payment) -> bool:
    """Whether it may be charged elsewhere although its own corridor works.

    A mandate names who collects, and a payment method is saved at the account that the client
    named.
    """
    return not (
        payment.stays or payment.payment_method_type.is_bank_debit or payment.save_payment_method
    )


def may_be_retried_later(payment: Payment) -> bool:
    """Whether another attempt may be made later than the rules would have it.

    Each collection of a bank debit is one of its scheme's, with notices of its own.
    """
    return not payment.payment_method_type.is_bank_debit


def routed(payment: Payment, route: Route, order: Sequence[Route] = ()) -> Payment:
    """The new payment, to be charged by a route first; its home stays the client's corridor.

    By `order` each corridor has one payment method from now on, whatever comes: a key that has the
    corridor in it is never used with two.
    """
    routes = payment.routes
    if order:
        home, places = payment.home.corridor, {each: place for place, each in enumerate(order)}
        routes = tuple(
            sorted(
                routes,
                key=lambda each: (each.corridor != home, places.get(each, len(places))),
            )
        )
    elif route.corridor == payment.corridor:
        return payment
    return replace(
        payment,
        routes=routes or (payment.home,),
        corridor=route.corridor,
        payment_method=route.payment_method,
        payment_method_customer=route.payment_method_customer,
        destination_account=route.destination_account,
    )


def come_home(payment: Payment, now: datetime) -> Payment:
    """The new payment as the client asked for it, for others wait where routing wanted it."""
    home = payment.home
    left = LeftCorridor(payment.corridor, QUEUE_AHEAD, now.isoformat())
    return replace(
        payment,
        left_corridors=(*payment.left_corridors, left),
        corridor=home.corridor,
        payment_method=home.payment_method,
        payment_method_customer=home.payment_method_customer,
        destination_account=home.destination_account,
    )

"""Where a new payment is charged first, if it is not where the client asked for. Pure.

Who chooses stands behind `Router`; without one the operators' rules are all there is.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from gateway.payments.domain.payment import LeftCorridor, Payment
from gateway.stripe_client.failover import Charge, Elsewhere, Route

# Why a payment came home from a corridor that others wait for.
QUEUE_AHEAD = "QUEUE_AHEAD"


@dataclass(frozen=True, slots=True)
class Choice:
    """What routing says of a payment: by which route, and the record of why, as the row of
    `routing_decision` that is written with the payment, or of `routing_failover`."""

    route: Route
    record: Mapping[str, Any]


class Router(Protocol):
    """Chooses among the corridors that a payment may use."""

    async def choose(self, payment: Payment, elsewhere: Elsewhere) -> Choice | None:
        """What it says of a payment that is not written yet; None if the rules say all."""
        ...

    def choose_next(
        self, payment: Payment, elsewhere: Elsewhere, tried: Sequence[str], now: datetime
    ) -> Choice | None:
        """By which corridor that was not tried a payment goes on that certainly was not charged;
        None if the rules say it. It waits for nobody: the row is of `routing_failover`."""
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


def routed(payment: Payment, route: Route) -> Payment:
    """The new payment, to be charged by a route first; its home stays the client's."""
    if route.corridor == payment.corridor:
        return payment
    return replace(
        payment,
        routes=payment.routes or (payment.home,),
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

"""A payment and how it changes: frozen values, changed only by transitions of `states`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from gateway.payments.domain.card import Card
from gateway.payments.domain.payment_methods import MandateAcceptance, PaymentMethodType
from gateway.payments.domain.radar import RadarOutcome
from gateway.payments.domain.states import HOLDING, PaymentState, Transition, state_after
from gateway.stripe_client.failover import Route


class CaptureMethod(StrEnum):
    """When an authorised amount is taken."""

    AUTOMATIC = "AUTOMATIC"
    MANUAL = "MANUAL"


class UnavailablePolicy(StrEnum):
    """What to do when Stripe or compliance cannot be reached."""

    FAIL_FAST = "FAIL_FAST"
    QUEUE = "QUEUE"


class FailureCode(StrEnum):
    """Why a payment could not be carried out; gateway.v1.Failure.code in lower case."""

    CORRIDOR_UNAVAILABLE = "corridor_unavailable"
    COMPLIANCE_UNAVAILABLE = "compliance_unavailable"
    STRIPE_REJECTED = "stripe_rejected"
    OUTCOME_NOT_PERFORMED = "outcome_not_performed"


# Reasons of a payment that Stripe refused because of what its request names.
CUSTOMER_GONE = "INVALID_CUSTOMER_STATE"
METHOD_GONE = "PAYMENT_METHOD_NOT_FOUND"

# After these nothing was sent, so that the same request may be tried again.
RETRIABLE_FAILURES = frozenset(
    {FailureCode.CORRIDOR_UNAVAILABLE, FailureCode.COMPLIANCE_UNAVAILABLE}
)


class QueueReason(StrEnum):
    """Why a payment waits in the queue."""

    CORRIDOR_UNAVAILABLE = "corridor_unavailable"
    COMPLIANCE_UNAVAILABLE = "compliance_unavailable"
    QUEUE_AHEAD = "queue_ahead"


@dataclass(frozen=True, slots=True)
class Decline:
    """Why the bank or Stripe refused, in Stripe's codes."""

    code: str
    decline_code: str = ""
    advice_code: str = ""
    authentication_required: bool = False
    network_advice_code: str = ""
    # Stripe's names of the brand ("visa") and of the card number behind it, whatever its token; of
    # a bank debit, its type ("sepa_debit") and the account.
    card_brand: str = ""
    card_fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class DeclineRetry:
    """What a client wants to be tried again after declines; the first attempt counts."""

    max_attempts: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class PaymentFailure:
    """Why a payment could not be carried out."""

    code: FailureCode
    stripe_code: str = ""
    stripe_param: str = ""
    not_sent_reason: str = ""
    # Stripe's class of a refusal ("invalid_request_error"), and the id of the refused request.
    stripe_type: str = ""
    stripe_request_id: str = ""
    # The contract's reason where what the request names is not there any more.
    reason: str = ""

    @property
    def retriable(self) -> bool:
        """Whether nothing was sent, so that the same request may be tried again."""
        return self.code in RETRIABLE_FAILURES


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the customer must do; `client_secret` only where there is no redirect."""

    redirect_url: str = ""
    client_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ComplianceRecord:
    """The last decision of the compliance service; `decide_time` is RFC 3339."""

    decision_id: str
    verdict: str
    merchant_reasons: tuple[str, ...]
    decide_time: str
    # What is wrong with the request itself, in compliance's codes.
    request_errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThreeDSecure:
    """What the operators' rules have asked of Stripe about 3-D Secure, in its word, and which rule;
    both are empty where none applies."""

    request: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class LeftCorridor:
    """A corridor that a payment was not charged through; `leave_time` is RFC 3339."""

    corridor: str
    reason: str
    leave_time: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One charge of one customer for one merchant. Amounts are minor units of `currency`."""

    id: str
    request_id: str
    merchant_id: str
    customer_id: str
    corridor: str
    state: PaymentState
    currency: str
    amount_minor: int
    payment_method: str
    create_time: datetime
    update_time: datetime
    payment_method_customer: str = ""
    payment_method_type: PaymentMethodType = PaymentMethodType.CARD
    # Of a bank debit whose customer accepts its mandate now.
    mandate_acceptance: MandateAcceptance | None = None
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    off_session: bool = False
    return_url: str = ""
    unavailable_policy: UnavailablePolicy = UnavailablePolicy.FAIL_FAST
    queue_timeout: timedelta | None = None
    # The customer does not wait for people.
    fails_in_review: bool = False
    description: str = ""
    statement_descriptor_suffix: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    destination_account: str = ""
    application_fee_minor: int | None = None
    billing_country: str = ""
    # The client's: it must not be charged through another corridor.
    stays: bool = False
    # As the client asked for it first, then the client's alternatives; empty without any.
    routes: tuple[Route, ...] = ()
    # What Stripe keeps of the request that asked for it.
    request_metadata: Mapping[str, str] = field(default_factory=dict)
    # Where it could not be charged, in order, before `corridor`.
    left_corridors: tuple[LeftCorridor, ...] = ()
    # Keep the payment method for payments without the customer, once this one has gone through.
    save_payment_method: bool = False
    decline_retry: DeclineRetry | None = None
    # Authorisations that the bank or Stripe's rules refused.
    decline_count: int = 0
    # An off-session payment whose customer is there after all, to authenticate.
    customer_returned: bool = False
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    # Asked for and not decided: counts against what can still be refunded.
    refunding_minor: int = 0
    disputed_minor: int = 0
    # What the platform took with the capture, in `currency`; None without a fee, or if not known.
    application_fee_captured_minor: int | None = None
    # What refunds have taken back since, of the currencies that these settled in.
    application_fee_refunded_minor: int = 0
    application_fee_refunded_currency: str = ""
    transfer_reversed_minor: int = 0
    transfer_reversed_currency: str = ""
    fee_minor: int | None = None
    fee_currency: str = ""
    payment_intent_id: str = ""
    charge_id: str = ""
    # When it was captured at Stripe: what settles with the charge is booked with this time, too.
    capture_time: datetime | None = None
    # The hold that stands in the ledger: the id of the operation that it was placed for.
    hold_id: str = ""
    # Of `charge_id`. Stripe's answer to a decline does not have it: an event brings it then.
    radar_outcome: RadarOutcome | None = None
    # Stripe's name of the card number that was charged last, whatever its token.
    card_fingerprint: str = ""
    # What kind of card that was; None until Stripe has told.
    card: Card | None = None
    # None until it was decided, which happens once.
    three_d_secure: ThreeDSecure | None = None
    decline: Decline | None = None
    failure: PaymentFailure | None = None
    next_action: NextAction | None = None
    compliance: ComplianceRecord | None = None
    queue_reason: QueueReason | None = None
    queue_deadline: datetime | None = None
    capture_before: datetime | None = None
    # When somebody must look at it again, because the state that it is in ends by time.
    wake_time: datetime | None = None
    revision: int = 1

    @property
    def home(self) -> Route:
        """How the client asked for it to be charged."""
        if self.routes:
            return self.routes[0]
        return Route(
            self.left_corridors[0].corridor if self.left_corridors else self.corridor,
            self.payment_method,
            self.payment_method_customer,
            self.destination_account,
        )

    @property
    def holding(self) -> bool:
        """Whether money is held at the customer's bank, or may be."""
        return self.state in HOLDING

    @property
    def customer_away(self) -> bool:
        """Whether nobody can be asked to authenticate."""
        return self.off_session and not self.customer_returned

    @property
    def is_first_attempt(self) -> bool:
        """Whether Stripe was asked for the first time in its corridor and has not answered: that
        makes one charge at most, and a second one is of an attempt that the database has lost."""
        return self.state is PaymentState.AUTHORIZING and not self.payment_intent_id

    @property
    def fee_taken_minor(self) -> int:
        """The application fee that the capture took, refunds not taken off, in `currency`; what
        was asked for where the capture is still to come or nobody noted it."""
        taken = self.application_fee_captured_minor
        return (self.application_fee_minor if taken is None else taken) or 0

    @property
    def refundable_minor(self) -> int:
        """What can still be refunded, refunds in progress taken off."""
        return self.captured_minor - self.refunded_minor - self.refunding_minor


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a payment; `before` is None when it was made."""

    before: Payment | None
    after: Payment
    transition: str
    # Of a charge that surfaces: the hold that the ledger has for it.
    surfaced_hold_id: str = ""
    # When it happened at Stripe; None if it did not happen there, or Stripe does not tell.
    effective_time: datetime | None = None

    @property
    def surfaces(self) -> bool:
        """Whether Stripe has done what no attempt that we know of is under way for."""
        before, after = self.before, self.after
        if before is None or before.hold_id or before.captured_minor:
            return False
        return bool(
            after.captured_minor or (after.hold_id and after.hold_id == after.payment_intent_id)
        )

    @property
    def moves_money(self) -> bool:
        """Whether the books have a hold less or more, or a charge."""
        before, after = self.before, self.after
        if before is None:
            return False
        return (before.hold_id, before.captured_minor) != (after.hold_id, after.captured_minor)

    @property
    def is_decline(self) -> bool:
        """Whether the bank has said no once more."""
        return self.before is not None and self.after.decline_count > self.before.decline_count

    @property
    def settles_debit(self) -> bool:
        """Whether a bank has paid what may have been in the balance before."""
        captured = self.transition == Transition.CAPTURED
        return captured and self.after.payment_method_type.is_bank_debit


CREATED = "received"


def take(payment: Payment, transition: Transition, now: datetime, **values: Any) -> Change:
    """The step that `transition` makes; `values` are what else changes with it.

    What belongs to the state that is left (next action, time limit) goes with it. Raises
    IllegalTransitionError.
    """
    state = state_after(payment.state, transition)
    if state is not payment.state:
        values = {"next_action": None, "wake_time": None, "queue_reason": None, **values}
    after = replace(payment, **values, state=state, revision=payment.revision + 1, update_time=now)
    _assert_sound(after)
    return Change(payment, after, transition)


def _assert_sound(payment: Payment) -> None:
    """What holds for every payment after every step."""
    assert 0 <= payment.authorized_minor <= payment.amount_minor, "authorised more than asked"
    assert 0 <= payment.captured_minor <= payment.amount_minor, "captured more than asked"
    assert payment.refunded_minor >= 0, "refunded less than nothing"
    assert payment.refunding_minor >= 0, "refunding less than nothing"
    assert payment.refundable_minor >= 0, "refunded more than captured"
    assert payment.captured_minor == 0 or payment.state is PaymentState.SUCCEEDED, "captured"
    assert bool(payment.hold_id) == payment.holding, "a hold stands while money is held"

"""What a command starts, or why it is refused: pure rules over a payment as it stands."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.ids import NO_REQUEST, RequestMetadata
from gateway.operations.operation import Operation, OperationKind, OperationState
from gateway.payments.domain.destination_fees import (
    DEFAULT_TAKING_BACK,
    Amount,
    TakingBack,
    default_fee,
    default_taking_back,
)
from gateway.payments.domain.payment import Change, Payment, take
from gateway.payments.domain.refund import Refund, RefundCause, RefundState
from gateway.payments.domain.refusal import (
    Refusal,
    amount_exceeds_authorized,
    amount_exceeds_refundable,
    capture_window_over,
    currency_mismatch,
    fee_exceeds_captured,
    invalid_state,
    no_application_fee,
    no_destination,
    payment_disputed,
    too_many_refunds,
)
from gateway.payments.domain.states import PaymentState, Transition, allows
from gateway.payments.domain.stripe_params import (
    cancel_params,
    capture_params,
    confirm_params,
    encode,
    refund_params,
)

CONFIRM_WINDOW = timedelta(minutes=10)
CANCEL_WINDOW = timedelta(days=2)
REFUND_WINDOW = timedelta(days=7)
MAX_REFUNDS = 100

# The customer has acted and the news came before the call: there is nothing left to do.
_PAST_ACTION = frozenset(
    {
        *(PaymentState.PROCESSING, PaymentState.AUTHORIZED, PaymentState.CAPTURING),
        *(PaymentState.SUCCEEDED, PaymentState.DECLINED),
    }
)


# Nothing is under way at Stripe: the operation by which the payment waits can be withdrawn.
WAITING = frozenset({PaymentState.QUEUED, PaymentState.IN_REVIEW, PaymentState.RETRY_SCHEDULED})


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What a command may use: the time, fresh ids, how many refunds there are, and whether a
    dispute keeps Stripe from refunding anything."""

    now: datetime
    operation_id: str
    refund_id: str
    refund_count: int
    # What Stripe keeps of the request; empty where none asked for it.
    request_metadata: RequestMetadata = NO_REQUEST
    charged_back: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """What a command sets in motion; neither a change nor an operation if nothing is to do."""

    payment: Payment
    change: Change | None = None
    operation: Operation | None = None
    refund: Refund | None = None
    # Withdraws the operation by which the payment waits.
    withdraws: bool = False


def start_confirm(
    payment: Payment, context: CommandContext, return_url: str = ""
) -> Start | Refusal:
    """Goes on after the customer's action, or with a customer who came back to authenticate."""
    if can_return(payment):
        return _start_return(payment, context, return_url)
    if payment.state in _PAST_ACTION:
        return Start(payment)
    if not allows(payment.state, Transition.CONFIRMATION_STARTED):
        return invalid_state(payment, "confirm")
    change = take(
        payment, Transition.CONFIRMATION_STARTED, context.now, next_action=payment.next_action
    )
    operation = _operation(
        payment, context.operation_id, OperationKind.CONFIRM, context.now, CONFIRM_WINDOW
    )
    operation = replace(operation, params=encode(confirm_params(payment)))
    return Start(change.after, change, operation)


def can_return(payment: Payment) -> bool:
    """Whether a declined payment only wants its customer to authenticate."""
    return (
        payment.state is PaymentState.DECLINED
        and payment.off_session
        and payment.decline is not None
        and payment.decline.authentication_required
    )


def start_capture(
    payment: Payment, amount: Amount | None, context: CommandContext, fee: Amount | None = None
) -> Start | Refusal:
    """Captures the amount, or all of it, and takes the application fee, or the default."""
    if not allows(payment.state, Transition.CAPTURE_STARTED):
        return invalid_state(payment, "capture")
    if amount is not None and amount.currency != payment.currency:
        return currency_mismatch(payment, amount.currency)
    if fee is not None and fee.currency != payment.currency:
        return currency_mismatch(payment, fee.currency)
    assert payment.capture_before is not None, "an authorisation has its end"
    if context.now >= payment.capture_before:
        return capture_window_over(payment)
    minor_units = amount.minor_units if amount is not None else payment.authorized_minor
    if minor_units > payment.authorized_minor:
        return amount_exceeds_authorized(payment, minor_units)
    if fee is not None and not payment.destination_account:
        return no_destination(payment, "application_fee")
    fee_minor = fee.minor_units if fee is not None else default_fee(payment, minor_units)
    if fee_minor is not None and fee_minor > minor_units:
        return fee_exceeds_captured(payment, minor_units, fee_minor)
    change = take(payment, Transition.CAPTURE_STARTED, context.now)
    operation = _operation(
        payment,
        context.operation_id,
        OperationKind.CAPTURE,
        context.now,
        payment.capture_before - context.now,
    )
    operation = replace(
        operation,
        params=encode(capture_params(payment, minor_units, fee_minor, context.request_metadata)),
        amount_minor=minor_units,
    )
    return Start(change.after, change, operation)


def start_cancel(
    payment: Payment, context: CommandContext, *, expires: bool = False
) -> Start | Refusal:
    """Cancels: by itself while it only waits, at Stripe once there is something to cancel."""
    if payment.state in WAITING:
        transition = Transition.EXPIRED if expires else Transition.CANCELED
        change = take(payment, transition, context.now)
        return Start(change.after, change, withdraws=True)
    if not allows(payment.state, Transition.CANCELLATION_STARTED):
        return invalid_state(payment, "cancel")
    change = take(
        payment, Transition.CANCELLATION_STARTED, context.now, next_action=payment.next_action
    )
    operation = _operation(
        payment, context.operation_id, OperationKind.CANCEL, context.now, CANCEL_WINDOW
    )
    operation = replace(
        operation, params=encode(cancel_params(expired=expires)), expires_payment=expires
    )
    return Start(change.after, change, operation)


def start_refund(
    payment: Payment,
    amount: Amount | None,
    cause: RefundCause,
    request_id: str,
    context: CommandContext,
    asked: TakingBack = DEFAULT_TAKING_BACK,
) -> Start | Refusal:
    """Refunds the amount, or all that can be; more than that never reaches Stripe.

    Stripe refunds nothing of a charge while a dispute of it is open, or if one was lost. Of one
    that was won, what did not come back is with the customer already.
    https://docs.stripe.com/api/disputes/object#dispute_object-is_charge_refundable
    """
    if not allows(payment.state, Transition.REFUND_STARTED):
        return invalid_state(payment, "refund")
    if amount is not None and amount.currency != payment.currency:
        return currency_mismatch(payment, amount.currency)
    if context.refund_count >= MAX_REFUNDS:
        return too_many_refunds(payment, MAX_REFUNDS)
    left_minor = payment.refundable_minor - payment.disputed_minor
    if context.charged_back or (payment.disputed_minor and left_minor <= 0):
        return payment_disputed(payment)
    minor_units = amount.minor_units if amount is not None else left_minor
    if minor_units > left_minor or left_minor == 0:
        return amount_exceeds_refundable(payment, minor_units)
    refused = _check_taking_back(payment, asked)
    if refused is not None:
        return refused
    taking_back = default_taking_back(payment, asked)
    refund = Refund(
        id=context.refund_id,
        request_id=request_id,
        payment_id=payment.id,
        state=RefundState.PENDING,
        amount_minor=minor_units,
        cause=cause,
        reverse_transfer=taking_back.reverse_transfer,
        refund_application_fee=taking_back.refund_application_fee,
        create_time=context.now,
        update_time=context.now,
    )
    change = take(
        payment,
        Transition.REFUND_STARTED,
        context.now,
        refunding_minor=payment.refunding_minor + minor_units,
    )
    operation = _operation(
        payment, context.operation_id, OperationKind.REFUND, context.now, REFUND_WINDOW
    )
    operation = replace(
        operation,
        params=encode(refund_params(payment, refund, context.request_metadata)),
        refund_id=refund.id,
        amount_minor=minor_units,
    )
    return Start(change.after, change, operation, refund)


def check_operation(
    payment: Payment, operation_id: str, now: datetime, window: timedelta
) -> Operation:
    """The operation that asks compliance about a payment."""
    operation = _operation(payment, operation_id, OperationKind.CHECK, now, window)
    return replace(operation, queue_time=payment.create_time)


def _check_taking_back(payment: Payment, asked: TakingBack) -> Refusal | None:
    """Only what is there can be taken back, or be said not to be."""
    if not payment.destination_account:
        if asked.reverse_transfer is not None:
            return no_destination(payment, "reverse_transfer")
        if asked.refund_application_fee is not None:
            return no_destination(payment, "refund_application_fee")
    elif asked.refund_application_fee is not None and not payment.fee_taken_minor:
        return no_application_fee(payment, "refund_application_fee")
    return None


def _start_return(payment: Payment, context: CommandContext, return_url: str) -> Start:
    """Compliance is asked again first: what it said without the customer may not hold any more."""
    change = take(
        payment,
        Transition.CUSTOMER_RETURNED,
        context.now,
        customer_returned=True,
        return_url=return_url,
    )
    operation = check_operation(change.after, context.operation_id, context.now, CONFIRM_WINDOW)
    return Start(change.after, change, operation)


def _operation(
    payment: Payment, operation_id: str, kind: OperationKind, now: datetime, window: timedelta
) -> Operation:
    return Operation(
        id=operation_id,
        subject_id=payment.id,
        kind=kind,
        state=OperationState.PENDING,
        corridor=payment.corridor,
        create_time=now,
        next_attempt_time=now,
        deadline=now + window,
    )

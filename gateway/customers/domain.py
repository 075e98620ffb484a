"""From our requests to Stripe's parameters, and from Stripe's objects to our messages. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.customers.store import StoredCustomer
from gateway.ids import RequestMetadata
from gateway.payments.api.bank_debits import acceptance_of, number_of, type_of
from gateway.payments.domain.intents import next_action_of
from gateway.payments.domain.payment_methods import mandate_params
from gateway.payments.domain.stripe_params import CUSTOMER_KEY
from gateway.stripe_client.outcome import Outcome, is_missing
from gateway.v1 import customer_pb2 as pb
from gateway.v1 import customer_service_pb2 as service_pb

REQUEST_KEY = "engine_request_id"

# https://docs.stripe.com/api/setup_intents/object#setup_intent_object-status
_SETUP_STATES: Mapping[str, pb.PaymentMethodSetupState.ValueType] = {
    "succeeded": pb.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED,
    "requires_action": pb.PAYMENT_METHOD_SETUP_STATE_REQUIRES_ACTION,
    "processing": pb.PAYMENT_METHOD_SETUP_STATE_PROCESSING,
    "canceled": pb.PAYMENT_METHOD_SETUP_STATE_CANCELED,
    # The status after a refusal; a SetupIntent of ours is never made without a payment method.
    "requires_payment_method": pb.PAYMENT_METHOD_SETUP_STATE_DECLINED,
    "requires_confirmation": pb.PAYMENT_METHOD_SETUP_STATE_PROCESSING,
}


def customer_params(
    request: service_pb.CreateCustomerRequest | service_pb.UpdateCustomerRequest,
) -> dict[str, Any]:
    """What describes a customer; what is empty is left out."""
    params: dict[str, Any] = {}
    if request.email:
        params["email"] = request.email
    if request.name:
        params["name"] = request.name
    if request.metadata:
        params["metadata"] = dict(request.metadata)
    return params


def create_params(
    request: service_pb.CreateCustomerRequest, carried: RequestMetadata
) -> dict[str, Any]:
    """For `POST /v1/customers`. The request goes along, so that the customer can be found, and
    known again by a gateway that has lost it."""
    params = customer_params(request)
    ours = {**carried.as_metadata(), CUSTOMER_KEY: request.customer_id}
    params["metadata"] = {**dict(request.metadata), **ours}
    return params


def setup_params(
    request: service_pb.SavePaymentMethodRequest, stripe_customer_id: str, carried: RequestMetadata
) -> dict[str, Any]:
    """For `POST /v1/setup_intents`: made and confirmed at once, for charges without the customer.

    https://docs.stripe.com/payments/save-and-reuse
    """
    params: dict[str, Any] = {
        "confirm": True,
        "customer": stripe_customer_id,
        "payment_method": request.payment_method_id,
        "allowed_payment_method_types": [type_of(request.type).at_stripe],
        "usage": "off_session",
        "metadata": carried.as_metadata(),
    }
    acceptance = acceptance_of(request)
    if acceptance is not None:
        params["mandate_data"] = mandate_params(acceptance)
    if request.return_url:
        params["return_url"] = request.return_url
    return params


def setup_message(intent: Mapping[str, Any], customer: StoredCustomer) -> pb.PaymentMethodSetup:
    """A SetupIntent. A status that we do not know counts as still being worked on."""
    state = _SETUP_STATES.get(str(intent.get("status")), pb.PAYMENT_METHOD_SETUP_STATE_PROCESSING)
    setup = pb.PaymentMethodSetup(
        id=str(intent["id"]),
        customer_id=customer.customer_id,
        corridor=customer.corridor,
        payment_method_id=str(intent.get("payment_method") or ""),
        state=state,
        mandate_id=str(intent.get("mandate") or ""),
    )
    if state == pb.PAYMENT_METHOD_SETUP_STATE_REQUIRES_ACTION:
        action = next_action_of(intent)
        setup.next_action.redirect_url = action.redirect_url
        setup.next_action.client_secret = action.client_secret
    if state == pb.PAYMENT_METHOD_SETUP_STATE_DECLINED:
        error = intent.get("last_setup_error") or {}
        setup.decline.code = str(error.get("code") or "")
        setup.decline.decline_code = str(error.get("decline_code") or "")
        setup.decline.advice_code = str(error.get("advice_code") or "")
    return setup


def payment_method_message(method: Mapping[str, Any], default: str) -> pb.SavedPaymentMethod:
    """A card or a bank account that a customer has saved."""
    kind = str(method.get("type") or "card")
    card = method.get(kind) or {}
    message = pb.SavedPaymentMethod(
        payment_method_id=str(method["id"]),
        brand=str(card.get("brand") or ""),
        last4=str(card.get("last4") or ""),
        exp_month=int(card.get("exp_month") or 0),
        exp_year=int(card.get("exp_year") or 0),
        funding=str(card.get("funding") or ""),
        country_code=str(card.get("country") or ""),
        type=number_of(kind),
        bank_name=str(card.get("bank_name") or ""),
        is_default=method["id"] == default,
    )
    message.create_time.FromSeconds(int(method["created"]))
    return message


def is_gone(seen: Outcome) -> bool:
    """Whether Stripe does not have a customer any more, as a look at it says. A deleted one is
    shown as such: https://docs.stripe.com/api/customers/delete"""
    return is_missing(seen) or (seen.object is not None and seen.object.get("deleted") is True)


def customer_message(customer: StoredCustomer) -> pb.Customer:
    """A customer as it is stored."""
    message = pb.Customer(
        customer_id=customer.customer_id,
        corridor=customer.corridor,
        stripe_customer_id=customer.stripe_customer_id,
        state=pb.CustomerState.Value(f"CUSTOMER_STATE_{customer.state}"),
        failure_code=customer.failure_code,
        default_payment_method_id=customer.default_payment_method,
    )
    message.create_time.FromDatetime(customer.create_time)
    message.update_time.FromDatetime(customer.update_time)
    return message

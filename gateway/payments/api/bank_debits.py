"""What a bank debit cannot have, and what it needs: rules of requests, and reading them."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from gateway.money import problem_with_size_of_other
from gateway.payments.domain.payment_methods import (
    BANK_DEBITS,
    BankDebit,
    MandateAcceptance,
    PaymentMethodType,
)
from gateway.v1 import payment_pb2
from runtime.rule import NOTHING, Found, Quick, Rule
from runtime.rules import check, enum, message, text, timestamp

MAX_ADDRESS_BYTES = 45
MAX_USER_AGENT_BYTES = 1_000

_PREFIX = "PAYMENT_METHOD_TYPE_"
# By the number of the contract: a number that it does not have is reported by itself.
_DEBITS = {
    payment_pb2.PaymentMethodType.Value(f"{_PREFIX}{kind}"): debit
    for kind, debit in BANK_DEBITS.items()
}


def type_of(number: "payment_pb2.PaymentMethodType.ValueType") -> PaymentMethodType:
    """What kind of payment method a request names; a card if it does not say."""
    if number == payment_pb2.PAYMENT_METHOD_TYPE_UNSPECIFIED:
        return PaymentMethodType.CARD
    return PaymentMethodType(payment_pb2.PaymentMethodType.Name(number).removeprefix(_PREFIX))


def number_of(at_stripe: str) -> "payment_pb2.PaymentMethodType.ValueType":
    """Stripe's name of a type in the contract; unspecified for one that it does not have."""
    name = f"{_PREFIX}{at_stripe.upper()}"
    if name in payment_pb2.PaymentMethodType.DESCRIPTOR.values_by_name:
        return payment_pb2.PaymentMethodType.Value(name)
    return payment_pb2.PAYMENT_METHOD_TYPE_UNSPECIFIED


def acceptance_of(request: Any) -> MandateAcceptance | None:
    """The mandate that a request says is accepted; None if it says nothing of one."""
    if not request.HasField("mandate_acceptance"):
        return None
    given = request.mandate_acceptance
    accepted: int | None = given.accept_time.seconds if given.HasField("accept_time") else None
    return MandateAcceptance(given.ip_address, given.user_agent, accepted)


def _check_at(path: str, problem: Callable[[Any], str | None]) -> Rule:
    """A rule about a whole message, reported at a field of one of its messages."""

    def find(found_in: Any) -> Found:
        description = problem(found_in)
        return ((path, description),) if description is not None else NOTHING

    field = path.partition(".")[0]
    return Rule(field, lambda _: find, lambda _: Quick("{0}(m) is None", (problem,)))


def _debit_of(request: Any) -> BankDebit | None:
    return _DEBITS.get(request.payment_method.type)


def _currency(request: Any) -> str | None:
    debit = _debit_of(request)
    if debit is None or request.amount.currency_code in debit.currencies:
        return None
    name = payment_pb2.PaymentMethodType.Name(request.payment_method.type)
    return f"is not {' or '.join(debit.currencies)}, which {name} is charged in"


def _size(request: Any) -> str | None:
    if _debit_of(request) is None:
        return None
    return problem_with_size_of_other(request.amount.currency_code, request.amount.minor_units)


def _capture_method(request: Any) -> str | None:
    manual = request.capture_method == payment_pb2.CAPTURE_METHOD_MANUAL
    if manual and _debit_of(request) is not None:
        return "cannot be MANUAL: nothing is authorised before a bank debit is paid"
    return None


def _only_of_cards(field: str, why: str) -> Rule:
    def problem(request: Any) -> str | None:
        return why if getattr(request, field) and _debit_of(request) is not None else None

    return check(field, problem)


def _customer(request: Any) -> str | None:
    debit = _debit_of(request)
    if debit is None or request.payment_method.stripe_customer_id:
        return None
    if request.off_session:
        return "is required for a bank debit without the customer: its mandate is the saved one"
    if not debit.mandate_with_payment:
        return "is required: the mandate of this type is accepted on Stripe's pages only"
    return None


def _mandate(request: Any) -> str | None:
    debit = _debit_of(request)
    if not request.HasField("mandate_acceptance"):
        saved = bool(request.payment_method.stripe_customer_id)
        if debit is None or saved or request.off_session or not debit.mandate_with_payment:
            return None
        return "is required for a bank debit that was not saved with its mandate"
    if debit is None:
        return "is for bank debits"
    if request.off_session:
        return "needs a customer who is there, but off_session is set"
    if not debit.mandate_with_payment:
        return "cannot be given: the mandate of this type is accepted on Stripe's pages only"
    return None


def _alternative(alternative: Any) -> str | None:
    if _debit_of(alternative) is not None:
        return "is a bank debit: it is charged through one corridor only"
    return None


def _with(other: str) -> Callable[[Any], str | None]:
    def problem(acceptance: Any) -> str | None:
        given = [name for name in ("ip_address", "user_agent") if getattr(acceptance, name)]
        return f"needs {other}" if len(given) == 1 and given[0] != other else None

    return problem


def _address(acceptance: Any) -> str | None:
    if not acceptance.ip_address:
        return None
    try:
        address = ipaddress.ip_address(acceptance.ip_address)
    except ValueError:
        return "is not an IP address"
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        # Its zone means something on one host alone, and may be any text.
        return "is not an IP address that others know"
    return None


MANDATE_RULES: Sequence[Rule] = [
    timestamp("accept_time"),
    text("ip_address", max_bytes=MAX_ADDRESS_BYTES),
    check("ip_address", _address),
    check("ip_address", _with("user_agent")),
    text("user_agent", max_bytes=MAX_USER_AGENT_BYTES),
    check("user_agent", _with("ip_address")),
]

ALTERNATIVE_RULES: Sequence[Rule] = [_check_at("payment_method.type", _alternative)]

BANK_DEBIT_RULES: Sequence[Rule] = [
    _check_at("amount.currency_code", _currency),
    _check_at("amount.minor_units", _size),
    check("capture_method", _capture_method),
    _only_of_cards("statement_descriptor_suffix", "is for cards, not for bank debits"),
    _only_of_cards(
        "destination_account_id",
        "is for cards: a bank debit that fails later would have been passed on",
    ),
    _only_of_cards("alternatives", "is for cards: the mandate of a bank debit names one account"),
    _check_at("payment_method.stripe_customer_id", _customer),
    check("mandate_acceptance", _mandate),
]


def _savable(request: Any) -> str | None:
    debit = _DEBITS.get(request.type)
    if debit is None or debit.mandate_with_payment:
        return None
    return "cannot be saved here: the mandate of this type is accepted on Stripe's pages only"


def _mandate_to_save(request: Any) -> str | None:
    given, debit = request.HasField("mandate_acceptance"), _DEBITS.get(request.type)
    if debit is None:
        return "is for bank debits" if given else None
    return None if given else "is required for a bank debit"


# Of SavePaymentMethod.
SAVING_RULES: Sequence[Rule] = [
    enum("type", default=payment_pb2.PAYMENT_METHOD_TYPE_CARD),
    check("type", _savable),
    message("mandate_acceptance"),
    check("mandate_acceptance", _mandate_to_save),
]

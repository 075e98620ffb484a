"""Stripe's documented test cards (https://docs.stripe.com/testing) and how each behaves.

Its test bank accounts are in `test_accounts`: they answer in the same words, but days later.
"""

from dataclasses import dataclass
from enum import StrEnum


class Authentication(StrEnum):
    """When the issuer wants 3-D Secure."""

    NEVER = "never"
    OPTIONAL = "optional"
    # Wanted unless the card was set up for off-session use and the payment is off-session.
    UNLESS_SET_UP = "unless_set_up"
    # Wanted while the customer is present only.
    ON_SESSION = "on_session"
    ALWAYS = "always"


class RefundOutcome(StrEnum):
    """What becomes of a refund to the card."""

    SUCCEEDS = "succeeds"
    PENDING_THEN_SUCCEEDS = "pending_then_succeeds"
    SUCCEEDS_THEN_FAILS = "succeeds_then_fails"


class Refuser(StrEnum):
    """Who refuses, and when: https://docs.stripe.com/declines."""

    ISSUER = "issuer"
    # Before the network was asked.
    RADAR = "radar"
    # By a rule that looks at what the issuer answered, so that what was approved is reversed.
    RADAR_AFTER_APPROVAL = "radar_after_approval"
    # The request is not valid.
    STRIPE = "stripe"


@dataclass(frozen=True, slots=True)
class Decline:
    """A refusal: https://docs.stripe.com/declines/codes, advice per decline code as documented.

    `network_decline_code` is what the issuer answered, as ISO 8583 and the networks number it.
    """

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None
    network_decline_code: str | None = None
    param: str | None = None
    refuser: Refuser = Refuser.ISSUER

    @property
    def network_advice_code(self) -> str | None:
        """The network's own advice; only what an issuer refused has one."""
        if self.network_decline_code is None or self.advice_code is None:
            return None
        return _NETWORK_ADVICE[self.advice_code]


# Mastercard's merchant advice codes; the twin answers them for every network.
_NETWORK_ADVICE = {"confirm_card_data": "01", "try_again_later": "02", "do_not_try_again": "03"}
_DECLINED = "Your card was declined."


def issuer_decline(
    decline_code: str, advice_code: str | None, network_code: str, message: str = _DECLINED
) -> Decline:
    """A `card_declined` with its decline code."""
    return Decline("card_declined", decline_code, message, advice_code, network_code)


_LATER, _NEVER_AGAIN, _CHECK = "try_again_later", "do_not_try_again", "confirm_card_data"
GENERIC_DECLINE = issuer_decline("generic_decline", _LATER, "05")
INSUFFICIENT_FUNDS = issuer_decline(
    "insufficient_funds", _LATER, "51", "Your card has insufficient funds."
)
LOST_CARD = issuer_decline("lost_card", _NEVER_AGAIN, "41")
STOLEN_CARD = issuer_decline("stolen_card", _NEVER_AGAIN, "43")
VELOCITY_LIMIT = issuer_decline("card_velocity_exceeded", _LATER, "61")
# Radar blocks these, so that no network sees them.
FRAUDULENT = Decline("card_declined", "fraudulent", _DECLINED, _NEVER_AGAIN, refuser=Refuser.RADAR)
BLOCKED_AFTER_APPROVAL = Decline(
    "card_declined", "fraudulent", _DECLINED, _NEVER_AGAIN, refuser=Refuser.RADAR_AFTER_APPROVAL
)
# "A Stripe test card number was used": https://docs.stripe.com/declines/codes.
TEST_MODE_CARD = Decline(
    "card_declined", "testmode_decline", _DECLINED, None, refuser=Refuser.STRIPE
)
EXPIRED_CARD = Decline("expired_card", None, "Your card has expired.", _CHECK, "54", "exp_month")
INCORRECT_CVC = Decline(
    "incorrect_cvc",
    None,
    "Your card's security code is incorrect.",
    _CHECK,
    "N7",
    "cvc",
)
PROCESSING_ERROR = Decline(
    "processing_error",
    None,
    "An error occurred while processing your card. Try again in a little bit.",
    _LATER,
    "96",
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    None,
    "1A",
)
INCORRECT_NUMBER = Decline(
    "incorrect_number", None, "Your card number is incorrect.", _CHECK, param="number"
)
# The customer does not want the charge that was announced.
MANDATE_CANCELED = Decline(
    "india_recurring_payment_mandate_canceled",
    None,
    "The customer has canceled the mandate for this payment.",
    _NEVER_AGAIN,
)
# Further decline codes that a test can give to a card by the admin API.
_MORE_DECLINES = (
    issuer_decline("approve_with_id", _LATER, "85"),
    issuer_decline("call_issuer", _LATER, "01"),
    issuer_decline("card_not_supported", _LATER, "57"),
    issuer_decline("currency_not_supported", _LATER, "12"),
    issuer_decline("do_not_honor", _LATER, "05"),
    issuer_decline("invalid_account", _NEVER_AGAIN, "14"),
    issuer_decline("issuer_not_available", _LATER, "91"),
    issuer_decline("no_action_taken", _LATER, "21"),
    issuer_decline("not_permitted", _LATER, "57"),
    issuer_decline("pickup_card", _NEVER_AGAIN, "04"),
    issuer_decline("reenter_transaction", _LATER, "19"),
    issuer_decline("restricted_card", _NEVER_AGAIN, "62"),
    issuer_decline("revocation_of_all_authorizations", _NEVER_AGAIN, "R1"),
    issuer_decline("revocation_of_authorization", _NEVER_AGAIN, "R0"),
    issuer_decline("security_violation", _LATER, "63"),
    issuer_decline("service_not_allowed", _LATER, "57"),
    issuer_decline("stop_payment_order", _NEVER_AGAIN, "R0"),
    issuer_decline("transaction_not_allowed", _LATER, "57"),
    issuer_decline("try_again_later", _LATER, "19"),
    issuer_decline("withdrawal_count_limit_exceeded", _LATER, "65"),
)
DECLINES: dict[str, Decline] = {
    decline.decline_code or decline.code: decline
    for decline in (
        GENERIC_DECLINE,
        INSUFFICIENT_FUNDS,
        LOST_CARD,
        STOLEN_CARD,
        VELOCITY_LIMIT,
        FRAUDULENT,
        EXPIRED_CARD,
        INCORRECT_CVC,
        PROCESSING_ERROR,
        AUTHENTICATION_REQUIRED,
        *_MORE_DECLINES,
        TEST_MODE_CARD,
    )
} | {"blocked_after_approval": BLOCKED_AFTER_APPROVAL}


@dataclass(frozen=True, slots=True)
class TestCard:
    """One test card, or a bank account: what it is charged as is its `kind`.

    `decline` comes at each charge; `attachable` is False where attaching it to a customer is
    refused with that decline too. `dispute` is why the card holder disputes each payment.
    """

    __test__ = False  # Its name would make pytest collect it.

    number: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    attachable: bool = True
    authentication: Authentication = Authentication.OPTIONAL
    refund: RefundOutcome = RefundOutcome.SUCCEEDS
    available_at_once: bool = False
    dispute: str | None = None
    risk_level: str = "normal"
    # The customer is told a day ahead of each charge without the customer, as in India.
    notified: bool = False
    kind: str = "card"
    # A bank account whose bank never says yes or no.
    undecided: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _declining(number: str, decline: Decline) -> TestCard:
    return TestCard(number, decline=decline, attachable=False)


_NEVER = Authentication.NEVER
_ALWAYS = Authentication.ALWAYS

_TOKENS: dict[str, TestCard] = {
    "visa": TestCard("4242424242424242"),
    "visa_debit": TestCard("4000056655665556", funding="debit"),
    "mastercard": TestCard("5555555555554444", "mastercard"),
    "mastercard_debit": TestCard("5200828282828210", "mastercard", funding="debit"),
    "mastercard_prepaid": TestCard("5105105105105100", "mastercard", funding="prepaid"),
    "amex": TestCard("378282246310005", "amex", authentication=_NEVER),
    "discover": TestCard("6011111111111117", "discover"),
    "diners": TestCard("3056930009020004", "diners"),
    "jcb": TestCard("3566002020360505", "jcb"),
    "unionpay": TestCard("6200000000000005", "unionpay"),
    "us": TestCard("4242424242424242"),
    "br": TestCard("4000000760000002", country="BR"),
    "ca": TestCard("4000001240000000", country="CA"),
    "mx": TestCard("4000004840008001", country="MX"),
    "de": TestCard("4000002760000016", country="DE"),
    "fr": TestCard("4000002500000003", country="FR"),
    "gb": TestCard("4000008260000000", country="GB"),
    "jp": TestCard("4000003920000003", country="JP"),
    "au": TestCard("4000000360000006", country="AU"),
    "visa_chargeDeclined": _declining("4000000000000002", GENERIC_DECLINE),
    "visa_chargeDeclinedInsufficientFunds": _declining("4000000000009995", INSUFFICIENT_FUNDS),
    "visa_chargeDeclinedLostCard": _declining("4000000000009987", LOST_CARD),
    "visa_chargeDeclinedStolenCard": _declining("4000000000009979", STOLEN_CARD),
    "visa_chargeDeclinedVelocityLimitExceeded": _declining("4000000000006975", VELOCITY_LIMIT),
    "chargeDeclinedExpiredCard": _declining("4000000000000069", EXPIRED_CARD),
    "chargeDeclinedIncorrectCvc": _declining("4000000000000127", INCORRECT_CVC),
    "chargeDeclinedProcessingError": _declining("4000000000000119", PROCESSING_ERROR),
    "chargeDeclinedFraudulent": TestCard(
        "4100000000000019", decline=FRAUDULENT, attachable=True, risk_level="highest"
    ),
    "radarBlock": TestCard("4100000000000019", decline=FRAUDULENT, risk_level="highest"),
    # Blocked by the default rule, and not without it.
    "riskLevelHighest": TestCard("4000000000004954", risk_level="highest"),
    "riskLevelElevated": TestCard("4000000000009235", risk_level="elevated"),
    "chargeCustomerFail": TestCard("4000000000000341", decline=GENERIC_DECLINE),
    "refundFail": TestCard("4000000000005126", refund=RefundOutcome.SUCCEEDS_THEN_FAILS),
    "pendingRefund": TestCard("4000000000007726", refund=RefundOutcome.PENDING_THEN_SUCCEEDS),
    "bypassPending": TestCard("4000000000000077", available_at_once=True),
    "bypassPendingInternational": TestCard(
        "4000003720000278", country="IE", available_at_once=True
    ),
    "createDispute": TestCard("4000000000000259", dispute="fraudulent"),
    "createDisputeProductNotReceived": TestCard("4000000000002685", dispute="product_not_received"),
    "createDisputeInquiry": TestCard("4000000000001976", dispute="inquiry"),
    # The twin's own: Stripe has no test card for a dispute that was prevented.
    "createDisputePrevented": TestCard("4000000000001984", dispute="prevented"),
    "authenticationRequiredOnSetup": TestCard(
        "4000002500003155", country="FR", authentication=Authentication.UNLESS_SET_UP
    ),
    "authenticationRequired": TestCard("4000002760003184", country="DE", authentication=_ALWAYS),
    "authenticationRequiredSetupForOffSession": TestCard(
        "4000003800000446", country="IT", authentication=Authentication.ON_SESSION
    ),
    "authenticationRequiredChargeDeclinedInsufficientFunds": TestCard(
        "4000008260003178",
        country="GB",
        decline=INSUFFICIENT_FUNDS,
        authentication=_ALWAYS,
    ),
    "threeDSecure2Required": TestCard("4000000000003220", authentication=_ALWAYS),
    "threeDSecureRequired": TestCard("4000000000003063", authentication=_ALWAYS),
    "threeDSecureRequiredChargeDeclined": TestCard(
        "4000008400001629", decline=GENERIC_DECLINE, authentication=_ALWAYS
    ),
    "threeDSecureRequiredProcessingError": TestCard(
        "4000008400001280", decline=PROCESSING_ERROR, authentication=_ALWAYS
    ),
    "threeDSecureOptional": TestCard("4000000000003055"),
    # https://docs.stripe.com/india-recurring-payments#testing
    "indiaRecurringMandateSetupAndRenewalsSuccess": TestCard(
        "4000003560000123",
        country="IN",
        authentication=Authentication.ON_SESSION,
        notified=True,
    ),
    "indiaRecurringPaymentFailureAfterPreDebitNotification": TestCard(
        "4000003560000297",
        country="IN",
        decline=MANDATE_CANCELED,
        authentication=Authentication.ON_SESSION,
        notified=True,
    ),
}

# Stripe documents several declines under a second name without the brand.
_ALIASES = {
    name.removeprefix("visa_"): card
    for name, card in _TOKENS.items()
    if name.startswith("visa_chargeDeclined")
}

CARDS_BY_TOKEN: dict[str, TestCard] = {**_TOKENS, **_ALIASES}
CARDS_BY_NUMBER: dict[str, TestCard] = {card.number: card for card in _TOKENS.values()}


def card_for_token(token: str) -> TestCard | None:
    """The card of `pm_card_visa` or `tok_visa`; None for another string."""
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix):
            return CARDS_BY_TOKEN.get(token.removeprefix(prefix))
    return None

"""Stripe's documented test cards (https://docs.stripe.com/testing) and how each behaves."""

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


@dataclass(frozen=True, slots=True)
class Decline:
    """A refusal: https://docs.stripe.com/declines/codes, advice per decline code as documented."""

    code: str
    decline_code: str | None
    message: str
    advice_code: str | None
    param: str | None = None


_DECLINED = "Your card was declined."

GENERIC_DECLINE = Decline("card_declined", "generic_decline", _DECLINED, "try_again_later")
INSUFFICIENT_FUNDS = Decline(
    "card_declined", "insufficient_funds", "Your card has insufficient funds.", "try_again_later"
)
LOST_CARD = Decline("card_declined", "lost_card", _DECLINED, "do_not_try_again")
STOLEN_CARD = Decline("card_declined", "stolen_card", _DECLINED, "do_not_try_again")
VELOCITY_LIMIT = Decline("card_declined", "card_velocity_exceeded", _DECLINED, "try_again_later")
FRAUDULENT = Decline("card_declined", "fraudulent", _DECLINED, "do_not_try_again")
EXPIRED_CARD = Decline(
    "expired_card", None, "Your card has expired.", "confirm_card_data", "exp_month"
)
INCORRECT_CVC = Decline(
    "incorrect_cvc", None, "Your card's security code is incorrect.", "confirm_card_data", "cvc"
)
PROCESSING_ERROR = Decline(
    "processing_error",
    None,
    "An error occurred while processing your card. Try again in a little bit.",
    "try_again_later",
)
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    None,
)
INCORRECT_NUMBER = Decline(
    "incorrect_number", None, "Your card number is incorrect.", "confirm_card_data", "number"
)


@dataclass(frozen=True, slots=True)
class TestCard:
    """One test card.

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

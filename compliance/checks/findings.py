"""What rules can find, how grave it is, and what each reader may be shown.

The codes and their numbers are those of `ReasonCode` in decision.proto (a test compares them).
The merchant's text never lets a suspicion be guessed: whatever may be one reads the same as
missing paperwork (no tipping off). What the sender of the request has to mend is said as it is.
"""

from dataclasses import dataclass
from enum import IntEnum


class Verdict(IntEnum):
    """May it happen? The order is the severity; a worse finding always wins."""

    ALLOW = 1
    REVIEW = 2
    DENY = 3


class Code(IntEnum):
    """What a rule found; the graver first, and in this order within a verdict.

    A number is in the log for good, so that a new code has the next one, whatever its verdict.
    """

    MERCHANT_SANCTIONED = 1
    OWNER_SANCTIONED = 2
    CUSTOMER_SANCTIONED = 3
    COUNTRY_PROHIBITED = 4
    MERCHANT_BLOCKED = 5
    CUSTOMER_BLOCKED = 6
    OWNER_BLOCKED = 7
    KYC_REJECTED = 8
    ACCOUNT_REJECTED = 9
    CHARGES_DISABLED = 10
    TRANSFERS_DISABLED = 11
    PAYOUTS_DISABLED = 12
    EXTERNAL_ACCOUNT_ERRORED = 13
    AMOUNT_OVER_MAXIMUM = 14
    MERCHANT_UNKNOWN = 15
    CUSTOMER_UNKNOWN = 16
    SUBJECT_MISMATCH = 17
    MERCHANT_MATCH_OPEN = 18
    OWNER_MATCH_OPEN = 19
    CUSTOMER_MATCH_OPEN = 20
    SCREENING_PENDING = 21
    LIST_MISSING = 22
    LIST_STALE = 23
    KYC_INCOMPLETE = 24
    KYC_EXPIRED = 25
    SNAPSHOT_MISSING = 26
    SNAPSHOT_STALE = 27
    DISABLED_REASON_UNKNOWN = 28
    ACCOUNT_RESTRICTED = 29
    REQUIREMENTS_PAST_DUE = 30
    AMOUNT_OVER_REVIEW_LIMIT = 31
    CURRENCY_NOT_COVERED = 32
    PAYER_UNIDENTIFIED = 33
    LIST_AGING = 34
    REQUIREMENT_DUE_SOON = 35
    TAX_NOT_READY = 36
    TAX_NAME_DIFFERS = 37
    TAX_ID_UNCONFIRMED = 38
    TAX_ID_INVALID = 39
    NAME_NOT_COMPARABLE = 40
    POLICY_RULE_DENIED = 41
    POLICY_RULE_REVIEW = 42
    POLICY_RULE_BROKEN = 43
    CUSTOMER_VELOCITY = 44
    MERCHANT_VELOCITY = 45
    CARD_VELOCITY = 46
    STRUCTURING = 47
    CUMULATIVE_AMOUNT = 48
    DORMANT_ACCOUNT_WAKES = 49
    AMOUNT_OUT_OF_PROFILE = 50
    CARD_OF_MANY_CUSTOMERS = 51
    CHARGEBACK_RATE = 52
    REFUND_RATE = 53
    IDENTITY_UNVERIFIED = 54
    IDENTITY_STALE = 55
    CASE_REFUSED = 60
    CASE_EXPIRED = 61


WARNINGS_FROM = Code.LIST_AGING
REVIEWS_FROM = Code.MERCHANT_UNKNOWN
# What limits on the history find; each limit says itself what follows, and else it is REVIEW.
OF_HISTORY = frozenset(
    {
        Code.CUSTOMER_VELOCITY,
        Code.MERCHANT_VELOCITY,
        Code.CARD_VELOCITY,
        Code.STRUCTURING,
        Code.CUMULATIVE_AMOUNT,
        Code.DORMANT_ACCOUNT_WAKES,
        Code.AMOUNT_OUT_OF_PROFILE,
        Code.CARD_OF_MANY_CUSTOMERS,
    }
)
# The same of limits on rates.
OF_RATES = frozenset({Code.CHARGEBACK_RATE, Code.REFUND_RATE})
LATER_REVIEWS = (
    OF_HISTORY
    | OF_RATES
    | {
        Code.IDENTITY_UNVERIFIED,
        Code.IDENTITY_STALE,
        Code.NAME_NOT_COMPARABLE,
        Code.POLICY_RULE_REVIEW,
        Code.POLICY_RULE_BROKEN,
    }
)
LATER_DENIALS = frozenset({Code.POLICY_RULE_DENIED, Code.CASE_REFUSED, Code.CASE_EXPIRED})

_PAYMENT_DETAILS = "This transaction cannot be processed."
_ONBOARDING = "Your account needs more information. Please complete your onboarding."
_LIMIT = "The amount is over the limit of your account."
# A mistake in the request is nobody's suspicion, and only its sender can mend it.
_UNKNOWN_MERCHANT = "No merchant is registered under this id. Please check the merchant's id."
_UNKNOWN_CUSTOMER = "No customer is registered under this id. Please check the customer's id."
_MISMATCH = "The merchant, the customer and the account of this request do not belong together."
_IDENTITY = "An identity check is needed. Please complete it when you are asked to."
_LATER = "This transaction needs a moment longer. There is nothing to do for now."

# Code: (for operators, for the merchant).
TEXTS: dict[Code, tuple[str, str]] = {
    Code.MERCHANT_SANCTIONED: ("The merchant is confirmed to be sanctioned.", _PAYMENT_DETAILS),
    Code.OWNER_SANCTIONED: ("An owner is confirmed to be sanctioned.", _PAYMENT_DETAILS),
    Code.CUSTOMER_SANCTIONED: ("The customer is confirmed to be sanctioned.", _PAYMENT_DETAILS),
    Code.COUNTRY_PROHIBITED: ("A country is prohibited by policy.", _PAYMENT_DETAILS),
    Code.MERCHANT_BLOCKED: ("The merchant is blocked or closed.", _PAYMENT_DETAILS),
    Code.CUSTOMER_BLOCKED: ("The customer is blocked or closed.", _PAYMENT_DETAILS),
    Code.OWNER_BLOCKED: ("An owner is blocked.", _PAYMENT_DETAILS),
    Code.KYC_REJECTED: ("An identity was checked and rejected.", _PAYMENT_DETAILS),
    Code.ACCOUNT_REJECTED: ("Stripe rejected the connected account.", _PAYMENT_DETAILS),
    Code.CHARGES_DISABLED: ("Stripe does not let the account charge.", _ONBOARDING),
    Code.TRANSFERS_DISABLED: ("No capability to receive transfers is active.", _ONBOARDING),
    Code.PAYOUTS_DISABLED: ("Stripe does not let the account pay out.", _ONBOARDING),
    Code.EXTERNAL_ACCOUNT_ERRORED: (
        "The bank account or card that the payout goes to cannot be paid out to.",
        "Payouts to your bank account failed. Please check its details.",
    ),
    Code.AMOUNT_OVER_MAXIMUM: ("The amount is over the policy's maximum.", _LIMIT),
    Code.MERCHANT_UNKNOWN: ("No merchant has this subject id.", _UNKNOWN_MERCHANT),
    Code.CUSTOMER_UNKNOWN: ("No customer has this subject id.", _UNKNOWN_CUSTOMER),
    Code.SUBJECT_MISMATCH: ("Merchant, customer and account do not belong together.", _MISMATCH),
    Code.MERCHANT_MATCH_OPEN: ("The merchant has open list matches.", _LATER),
    Code.OWNER_MATCH_OPEN: ("An owner has open list matches.", _LATER),
    Code.CUSTOMER_MATCH_OPEN: ("The customer has open list matches.", _LATER),
    Code.SCREENING_PENDING: ("Not yet screened against the list in use.", _LATER),
    Code.LIST_MISSING: ("No version of a required list was ever loaded.", _LATER),
    Code.LIST_STALE: ("The list in use is too old.", _LATER),
    Code.KYC_INCOMPLETE: ("The merchant's identity is not verified.", _ONBOARDING),
    Code.KYC_EXPIRED: ("The merchant's identity check expired.", _ONBOARDING),
    Code.SNAPSHOT_MISSING: ("Nothing is known of the connected account.", _LATER),
    Code.SNAPSHOT_STALE: ("What is known of the connected account is too old.", _LATER),
    Code.DISABLED_REASON_UNKNOWN: ("Stripe gave a reason that is not known here.", _LATER),
    Code.ACCOUNT_RESTRICTED: ("Stripe restricts the connected account.", _LATER),
    Code.REQUIREMENTS_PAST_DUE: ("A requirement of Stripe's is past due.", _ONBOARDING),
    Code.AMOUNT_OVER_REVIEW_LIMIT: ("The amount is over the review limit.", _LATER),
    Code.CURRENCY_NOT_COVERED: ("The policy has no limits for the currency.", _LATER),
    Code.PAYER_UNIDENTIFIED: ("The amount is over the limit for guests.", _LATER),
    Code.LIST_AGING: ("The list in use is older than a day.", ""),
    Code.REQUIREMENT_DUE_SOON: ("A requirement of Stripe's is due soon, or past due.", _ONBOARDING),
    Code.TAX_NOT_READY: ("Stripe Tax is not active.", "Please complete your tax settings."),
    Code.TAX_NAME_DIFFERS: ("A verified tax id has another name.", ""),
    Code.TAX_ID_UNCONFIRMED: ("A tax id is not confirmed yet.", ""),
    Code.POLICY_RULE_DENIED: ("A rule of the policy denies it.", _PAYMENT_DETAILS),
    Code.POLICY_RULE_REVIEW: ("A rule of the policy wants a person to look at it.", _LATER),
    Code.POLICY_RULE_BROKEN: ("A rule of the policy ends with an error.", _LATER),
    Code.NAME_NOT_COMPARABLE: ("A name leaves nothing to compare with a list.", _LATER),
    Code.TAX_ID_INVALID: ("A tax id is invalid or unknown.", "Please check your tax ids."),
    Code.CUSTOMER_VELOCITY: ("The customer pays more, or more often, than usual.", _LATER),
    Code.MERCHANT_VELOCITY: ("The merchant takes more, or more often, than usual.", _LATER),
    Code.CARD_VELOCITY: ("The card pays more, or more often, than usual.", _LATER),
    Code.STRUCTURING: ("Several payments are just under the review limit.", _LATER),
    Code.CUMULATIVE_AMOUNT: ("Payments together are over a limit.", _LATER),
    Code.DORMANT_ACCOUNT_WAKES: ("The first payment after a long time.", _LATER),
    Code.AMOUNT_OUT_OF_PROFILE: ("The amount is far over the average before.", _LATER),
    Code.CARD_OF_MANY_CUSTOMERS: ("The card pays for many customers.", _LATER),
    Code.CHARGEBACK_RATE: ("More of the merchant's payments are disputed than a limit.", _LATER),
    Code.REFUND_RATE: ("More of the merchant's payments are refunded than a limit.", _LATER),
    Code.IDENTITY_UNVERIFIED: ("The identity is not verified by Stripe Identity.", _IDENTITY),
    Code.IDENTITY_STALE: ("The identity was verified too long ago.", _IDENTITY),
    Code.CASE_REFUSED: ("A person refused it.", _PAYMENT_DETAILS),
    Code.CASE_EXPIRED: ("Nobody decided its case in time.", _PAYMENT_DETAILS),
}


def severity(code: Code) -> Verdict:
    """The verdict that the code alone leads to, unless a policy says otherwise."""
    if code in LATER_REVIEWS:
        return Verdict.REVIEW
    if code in LATER_DENIALS:
        return Verdict.DENY
    if code >= WARNINGS_FROM:
        return Verdict.ALLOW
    return Verdict.REVIEW if code >= REVIEWS_FROM else Verdict.DENY


@dataclass(frozen=True, order=True)
class Finding:
    """One thing a rule found; see `precedence` for the order, so that equal facts give equal lists.

    `detail` adds to the operators' text: Stripe's words, ids, limits, never a name. `approved` if a
    person approved the movement in spite of it, which nothing that denies ever is. `outcome` is
    what the policy says that it leads to, a word of Verdict; empty where that is the code's to say.
    `measured` is the figure that a limit of the policy was compared with.
    """

    code: Code
    subject_id: str = ""
    detail: str = ""
    approved: bool = False
    outcome: str = ""
    measured: int = 0

    @property
    def alone(self) -> Verdict:
        """The verdict that this finding leads to, whatever people have approved."""
        return Verdict[self.outcome] if self.outcome else severity(self.code)

    @property
    def verdict(self) -> Verdict:
        """The verdict that this finding leads to."""
        is_taken_back = self.approved and self.alone is Verdict.REVIEW
        return Verdict.ALLOW if is_taken_back else self.alone

    @property
    def precedence(self) -> tuple[int, "Finding"]:
        """What findings are sorted by: the worst verdict first, then the codes' order."""
        return -self.verdict, self

"""What Radar makes of a payment: the `outcome` of its charge.

https://docs.stripe.com/api/charges/object#charge_object-outcome and
https://docs.stripe.com/declines; the test cards are of https://docs.stripe.com/radar/testing.
Radar's two default rules are settings: what it rates `highest` is blocked, and what it rates
`elevated` is put before people where the account has the rule for that.
"""

from sandbox.stripe_twin.accounts import CardState, TwinAccount
from sandbox.stripe_twin.cards import FRAUDULENT, Decline, Refuser
from sandbox.stripe_twin.store import JsonObject

# Scores of 65 and more are elevated, of 75 and more highest:
# https://docs.stripe.com/radar/risk-evaluation.
_SCORES = {"normal": 12, "elevated": 66, "highest": 92}
_NETWORK_STATUS = {
    Refuser.ISSUER: "declined_by_network",
    Refuser.RADAR: "not_sent_to_network",
    Refuser.RADAR_AFTER_APPROVAL: "reversed_after_approval",
    Refuser.STRIPE: "not_sent_to_network",
}
_TYPES = {
    Refuser.ISSUER: "issuer_declined",
    Refuser.RADAR: "blocked",
    Refuser.RADAR_AFTER_APPROVAL: "blocked",
    Refuser.STRIPE: "invalid",
}
_SELLER_MESSAGES = {
    Refuser.ISSUER: "The bank did not return any further details with this decline.",
    Refuser.RADAR: "Stripe blocked this payment as too risky.",
    Refuser.RADAR_AFTER_APPROVAL: "Stripe blocked this payment.",
    Refuser.STRIPE: "This charge request was not valid.",
}


def blocked_by_radar(account: TwinAccount, state: CardState) -> Decline | None:
    """The refusal by the default rule that blocks what has the highest risk; None without one."""
    if state.card.risk_level == "highest" and account.shared.settings.radar_blocks_highest:
        return FRAUDULENT
    return None


def approved_outcome(account: TwinAccount, state: CardState) -> JsonObject:
    """The outcome of a card's charge that was approved: authorised, or put before people."""
    reviewed = (
        state.card.risk_level == "elevated" and account.shared.settings.radar_reviews_elevated
    )
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": "elevated_risk_level" if reviewed else None,
        **_rating(account, state),
        "seller_message": "Stripe evaluated this payment as having elevated risk, and placed it in "
        "your manual review queue."
        if reviewed
        else "Payment complete.",
        "type": "manual_review" if reviewed else "authorized",
    }


def refused_outcome(account: TwinAccount, state: CardState, decline: Decline) -> JsonObject:
    """The outcome of a card's charge that was refused: by its issuer, or by Stripe."""
    reason = decline.decline_code or decline.code
    if decline.refuser is Refuser.RADAR:
        reason = "highest_risk_level"
    elif decline.refuser is Refuser.RADAR_AFTER_APPROVAL:
        reason = "rule"
    return {
        "advice_code": decline.advice_code,
        "network_advice_code": decline.network_advice_code,
        "network_decline_code": decline.network_decline_code,
        "network_status": _NETWORK_STATUS[decline.refuser],
        "reason": reason,
        **_rating(account, state),
        "seller_message": _SELLER_MESSAGES[decline.refuser],
        "type": _TYPES[decline.refuser],
    }


def debit_outcome() -> JsonObject:
    """The outcome of a bank debit: Radar rates cards, and scores nothing else."""
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "not_assessed",
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def _rating(account: TwinAccount, state: CardState) -> JsonObject:
    """The level, and the score where the account has Radar for Fraud Teams."""
    rating: JsonObject = {"risk_level": state.card.risk_level}
    score = _SCORES.get(state.card.risk_level)
    if score is not None and account.shared.settings.radar_scores:
        rating["risk_score"] = score
    return rating

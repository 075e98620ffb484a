"""Disputes of charges: https://docs.stripe.com/disputes. Test cards open them by themselves."""

from sandbox.stripe_twin.account import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

# Stripe's fee for a dispute, in minor units (https://stripe.com/pricing); kept also when it is won.
DISPUTE_FEES = {"usd": 1_500, "eur": 2_000, "gbp": 2_000}
DEFAULT_DISPUTE_FEE = 1_500
RESPONSE_SECONDS = 7 * 24 * 60 * 60
# https://docs.stripe.com/testing#disputes: what the evidence says decides.
WINNING_EVIDENCE = "winning_evidence"
LOSING_EVIDENCE = "losing_evidence"
INQUIRY = "inquiry"
_NETWORK_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}
_CLOSED = frozenset({"lost", "prevented", "warning_closed", "won"})


def retrieve_dispute(call: Call) -> JsonObject:
    """GET /v1/disputes/{id}."""
    return call.objects("dispute").get(call.path["id"])


def list_disputes(call: Call) -> JsonObject:
    """GET /v1/disputes by charge and payment intent."""
    wanted = {
        name: call.params[name] for name in ("charge", "payment_intent") if name in call.params
    }
    return call.objects("dispute").page(
        "/v1/disputes",
        call.params,
        lambda item: all(item[name] == value for name, value in wanted.items()),
    )


def update_dispute(call: Call) -> JsonObject:
    """POST /v1/disputes/{id}: evidence, by default submitted at once."""
    dispute = _open_dispute(call)
    evidence = call.params.get("evidence", {})
    previous = {"evidence": dispute["evidence"], "status": dispute["status"]}
    dispute["evidence"] = {**dispute["evidence"], **evidence}
    dispute["evidence_details"]["has_evidence"] |= bool(evidence)
    merge_metadata(dispute, call.params.get("metadata"))
    if evidence and call.params.get("submit", True):
        inquiry = dispute["status"].startswith("warning")
        dispute["status"] = "warning_under_review" if inquiry else "under_review"
        dispute["evidence_details"]["submission_count"] += 1
        dispute["evidence_details"]["submission_method"] = "manual"
    call.emit("charge.dispute.updated", dispute, previous)
    verdict = {WINNING_EVIDENCE: True, LOSING_EVIDENCE: False}.get(
        dispute["evidence"]["uncategorized_text"]
    )
    if verdict is not None and dispute["status"].endswith("under_review"):
        call.account.surroundings.clock.after(
            0.0, lambda: decide_dispute(call.account, dispute, won=verdict)
        )
    return dispute


def close_dispute(call: Call) -> JsonObject:
    """POST /v1/disputes/{id}/close: accepts that it is lost."""
    dispute = _open_dispute(call)
    decide_dispute(call.account, dispute, won=False, origin=call.origin)
    return dispute


def open_dispute(account: TwinAccount, charge: JsonObject, reason: str) -> JsonObject:
    """A card holder disputes a charge; unless it is an inquiry, the money goes at once."""
    inquiry = reason == INQUIRY
    dispute = _new_dispute(account, charge, "fraudulent" if inquiry else reason)
    dispute["status"] = "warning_needs_response" if inquiry else "needs_response"
    account.objects("dispute").add(dispute)
    charge["disputed"] = True
    if not inquiry:
        _withdraw(account, dispute)
    account.emit("charge.dispute.created", dispute)
    if not inquiry:
        account.emit("charge.dispute.funds_withdrawn", dispute)

    def give_up() -> None:
        if dispute["status"] in ("needs_response", "warning_needs_response"):
            dispute["evidence_details"]["past_due"] = True
            decide_dispute(account, dispute, won=False)

    account.surroundings.clock.after(RESPONSE_SECONDS, give_up)
    return dispute


def decide_dispute(
    account: TwinAccount, dispute: JsonObject, *, won: bool, origin: Origin = AUTOMATIC
) -> None:
    """The bank decides. Raises ValueError if it has done so before."""
    if dispute["status"] in _CLOSED:
        raise ValueError(f"{dispute['id']} is closed")
    if dispute["status"].startswith("warning"):
        dispute["status"] = "warning_closed"
    else:
        dispute["status"] = "won" if won else "lost"
        if won:
            _reinstate(account, dispute)
            account.emit("charge.dispute.funds_reinstated", dispute, origin)
    dispute["is_charge_refundable"] = False
    account.emit("charge.dispute.closed", dispute, origin)


def _open_dispute(call: Call) -> JsonObject:
    dispute = call.objects("dispute").get(call.path["id"])
    if dispute["status"] in _CLOSED:
        raise invalid_request("This dispute is already closed.")
    return dispute


def _withdraw(account: TwinAccount, dispute: JsonObject) -> None:
    currency = dispute["currency"]
    fee = DISPUTE_FEES.get(currency, DEFAULT_DISPUTE_FEE)
    transaction = account.books.record(
        kind="adjustment",
        source=dispute["id"],
        amount=-dispute["amount"],
        currency=currency,
        now=account.now(),
        description=f"Chargeback withdrawal for {dispute['charge']}",
        fees=(FeePart(fee, "stripe_fee", "Dispute fee"),),
        available_at_once=True,
        reporting_category="dispute",
    )
    dispute["balance_transactions"].append(dict(transaction))


def _reinstate(account: TwinAccount, dispute: JsonObject) -> None:
    transaction = account.books.record(
        kind="adjustment",
        source=dispute["id"],
        amount=dispute["amount"],
        currency=dispute["currency"],
        now=account.now(),
        description=f"Chargeback reversal for {dispute['charge']}",
        available_at_once=True,
        reporting_category="dispute_reversal",
    )
    dispute["balance_transactions"].append(dict(transaction))


def _new_dispute(account: TwinAccount, charge: JsonObject, reason: str) -> JsonObject:
    code = _NETWORK_CODES.get(reason, "10.4")
    return {
        "id": account.new_id("du"),
        "object": "dispute",
        "amount": charge["amount_captured"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": account.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": _no_evidence(),
        "evidence_details": {
            "due_by": account.now() + RESPONSE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": code,
            },
            "type": "card",
        },
        "reason": reason,
        "status": "",
    }


def _no_evidence() -> JsonObject:
    names = (
        "access_activity_log",
        "billing_address",
        "cancellation_policy",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "customer_communication",
        "customer_email_address",
        "customer_name",
        "customer_purchase_ip",
        "customer_signature",
        "duplicate_charge_documentation",
        "duplicate_charge_explanation",
        "duplicate_charge_id",
        "product_description",
        "receipt",
        "refund_policy",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "service_date",
        "service_documentation",
        "shipping_address",
        "shipping_carrier",
        "shipping_date",
        "shipping_documentation",
        "shipping_tracking_number",
        "uncategorized_file",
        "uncategorized_text",
    )
    return {**dict.fromkeys(names), "enhanced_evidence": {}}

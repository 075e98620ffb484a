"""Disputes: what card holders and banks do, the money that moves with it, and the API's objects.

A dispute takes its amount and a fee when it opens and gives the amount back when it is won; a test
moves anything else, in parts, at another rate, before and after. https://docs.stripe.com/disputes
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from sandbox.stripe_twin.accounts import AUTOMATIC, Origin, TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.refunds import give_up_waiting
from sandbox.stripe_twin.store import JsonObject

# Stripe's fee for a dispute, in minor units (https://stripe.com/pricing); kept also when it is won.
DISPUTE_FEES = {"usd": 1_500, "eur": 2_000, "gbp": 2_000}
DEFAULT_DISPUTE_FEE = 1_500
RESPONSE_SECONDS = 7 * 24 * 60 * 60
# Reasons that a test card or the admin API gives for a dispute that is none yet, or none any more.
INQUIRY = "inquiry"
PREVENTED = "prevented"
CLOSED = frozenset({"lost", "prevented", "warning_closed", "won"})
NEEDING_RESPONSE = frozenset({"appeal_needs_response", "needs_response", "warning_needs_response"})
_NETWORK_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}


def open_dispute(
    account: TwinAccount, charge: JsonObject, reason: str, amount: int | None = None
) -> JsonObject:
    """A card holder disputes a charge, all that is left of it or `amount`.

    The money goes at once, except for an inquiry. A prevented one (Rapid Dispute Resolution) is
    settled and closed before it becomes a chargeback, without a fee. Of a bank debit it is what the
    bank takes back: all of it, and nobody can contest it. Raises ValueError for an amount that the
    charge does not have.
    """
    if charge["payment_method_details"]["type"] != "card":
        return _return_debit(account, charge, reason)
    give_up_waiting(account, charge)
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if not 0 < (amount or left) <= left:
        raise ValueError(f"{charge['id']} has {left} left to dispute")
    status = {INQUIRY: "warning_needs_response", PREVENTED: "prevented"}.get(
        reason, "needs_response"
    )
    named = "fraudulent" if reason in (INQUIRY, PREVENTED) else reason
    dispute = _new_dispute(account, charge, named, status, amount or left)
    account.objects("dispute").add(dispute)
    charge["disputed"] = True
    if status != "warning_needs_response":
        _withdraw(account, dispute)
    account.emit("charge.dispute.created", dispute)
    if status != "warning_needs_response":
        account.emit("charge.dispute.funds_withdrawn", dispute)
    if status == "prevented":
        account.emit("charge.dispute.closed", dispute)
    else:
        _give_up_later(account, dispute)
    return dispute


def _return_debit(account: TwinAccount, charge: JsonObject, reason: str) -> JsonObject:
    """https://docs.stripe.com/payments/ach-direct-debit#disputed-payments, and the like of the
    other debits."""
    give_up_waiting(account, charge)
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if left <= 0:
        raise ValueError(f"{charge['id']} has {left} left to return")
    dispute = _new_dispute(account, charge, reason, "lost", left)
    dispute["evidence_details"]["due_by"] = None
    account.objects("dispute").add(dispute)
    charge["disputed"] = True
    _withdraw(account, dispute)
    account.emit("charge.dispute.created", dispute)
    account.emit("charge.dispute.funds_withdrawn", dispute)
    account.emit("charge.dispute.closed", dispute)
    return dispute


def escalate_dispute(account: TwinAccount, dispute: JsonObject) -> None:
    """The bank makes a chargeback of an inquiry. Raises ValueError for anything else."""
    if not dispute["status"].startswith("warning_"):
        raise ValueError(f"{dispute['id']} is no inquiry")
    previous = {"status": dispute["status"]}
    dispute["status"] = "needs_response"
    dispute["is_charge_refundable"] = False
    dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
    _ask_again(account, dispute)
    _withdraw(account, dispute)
    account.emit("charge.dispute.updated", dispute, previous=previous)
    account.emit("charge.dispute.funds_withdrawn", dispute)


def offer_appeal(account: TwinAccount, dispute: JsonObject) -> None:
    """The network lets the merchant appeal a lost dispute. Raises ValueError for another."""
    if dispute["status"] != "lost":
        raise ValueError(f"{dispute['id']} is not lost")
    dispute["status"] = "appeal_needs_response"
    _ask_again(account, dispute)
    account.emit("charge.dispute.updated", dispute, previous={"status": "lost"})


def decide_dispute(
    account: TwinAccount,
    dispute: JsonObject,
    *,
    won: bool,
    origin: Origin = AUTOMATIC,
    reinstated: int | None = None,
) -> None:
    """The bank decides. Of a dispute that is won all that is left comes back, or `reinstated`.
    Raises ValueError if it has done so before."""
    if dispute["status"] in CLOSED:
        raise ValueError(f"{dispute['id']} is closed")
    if dispute["status"].startswith("warning"):
        dispute["status"] = "warning_closed"
    else:
        dispute["status"] = "won" if won else "lost"
        back = account.disputed[dispute["id"]] if reinstated is None else reinstated
        if won and back:
            _move(account, dispute, back, _REVERSAL)
            account.emit("charge.dispute.funds_reinstated", dispute, origin)
    dispute["is_charge_refundable"] = False
    account.emit("charge.dispute.closed", dispute, origin)


def _give_up_later(account: TwinAccount, dispute: JsonObject) -> None:
    due: int = dispute["evidence_details"]["due_by"]

    def give_up() -> None:
        details = dispute["evidence_details"]
        if dispute["status"] in NEEDING_RESPONSE and details["due_by"] == due:
            details["past_due"] = True
            decide_dispute(account, dispute, won=False)

    account.shared.clock.after(due - account.shared.clock.time(), give_up)


def _ask_again(account: TwinAccount, dispute: JsonObject) -> None:
    dispute["evidence_details"] |= {
        "due_by": account.now() + RESPONSE_SECONDS,
        "past_due": False,
    }
    _give_up_later(account, dispute)


class DisputeMove(BaseModel):
    """The body of POST /_twin/disputes/{id}/move: money that moves besides what a dispute moves by
    itself. `amount` is of the dispute's currency, below zero if it is withdrawn, `fee` of the
    settlement's. The dispute itself need not list it."""

    model_config = ConfigDict(extra="forbid")

    amount: int
    fee: int = 0
    listed: bool = True


def move_dispute(account: TwinAccount, dispute: JsonObject, move: DisputeMove) -> None:
    """Moves it, whatever the dispute's state, and announces it."""
    fees = (FeePart(move.fee, "stripe_fee", "Dispute fee"),) if move.fee else ()
    kind = _WITHDRAWAL if move.amount <= 0 else _REVERSAL
    _move(account, dispute, move.amount, kind, fees, listed=move.listed)
    if move.listed:
        told = "funds_withdrawn" if move.amount <= 0 else "funds_reinstated"
        account.emit(f"charge.dispute.{told}", dispute)


_WITHDRAWAL = ("Chargeback withdrawal", "dispute")
_REVERSAL = ("Chargeback reversal", "dispute_reversal")


def _withdraw(account: TwinAccount, dispute: JsonObject) -> None:
    fee = DISPUTE_FEES.get(account.settled(0, dispute["currency"]).currency, DEFAULT_DISPUTE_FEE)
    fees = (FeePart(fee, "stripe_fee", "Dispute fee"),)
    prevented = dispute["status"] == "prevented"
    _move(account, dispute, -dispute["amount"], _WITHDRAWAL, () if prevented else fees)


def _move(
    account: TwinAccount,
    dispute: JsonObject,
    amount: int,
    kind: tuple[str, str],
    fees: tuple[FeePart, ...] = (),
    *,
    listed: bool = True,
) -> None:
    name, category = kind
    settled = account.settled(amount, dispute["currency"])
    transaction = account.books.record(
        kind="adjustment",
        source=dispute["id"],
        amount=settled.amount,
        currency=settled.currency,
        exchange_rate=settled.rate,
        now=account.now(),
        description=f"{name} for {dispute['charge']}",
        fees=fees,
        available_at_once=True,
        reporting_category=category,
    )
    account.disputed[dispute["id"]] -= amount
    if listed:
        dispute["balance_transactions"].append(dict(transaction))


def _new_dispute(
    account: TwinAccount, charge: JsonObject, reason: str, status: str, amount: int
) -> JsonObject:
    return {
        "id": account.new_id("du"),
        "object": "dispute",
        "amount": amount,
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
        "is_charge_refundable": status == "warning_needs_response",
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _disputed_card(charge, status, reason),
        "reason": reason,
        "status": status,
    }


def _disputed_card(charge: JsonObject, status: str, reason: str) -> JsonObject | None:
    """What only a dispute of a card has."""
    card = charge["payment_method_details"].get("card")
    if card is None:
        return None
    return {
        "card": {
            "brand": card["brand"],
            "case_type": "inquiry" if status.startswith("warning") else "chargeback",
            "network": card["network"],
            "network_reason_code": _NETWORK_CODES.get(reason, "10.4"),
        },
        "type": "card",
    }


def _no_evidence() -> JsonObject:
    names = (
        "access_activity_log",
        "appeal",
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


# https://docs.stripe.com/testing#disputes: what the evidence says decides.
WINNING_EVIDENCE = "winning_evidence"
LOSING_EVIDENCE = "losing_evidence"
ESCALATING_EVIDENCE = "escalate_inquiry_evidence"
# https://docs.stripe.com/api/disputes/update: all fields together, and each text by itself.
MAX_EVIDENCE_CHARACTERS = 150_000
MAX_TEXT_CHARACTERS = 20_000


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
    """POST /v1/disputes/{id}: evidence, by default submitted at once and then final."""
    dispute = call.objects("dispute").get(call.path["id"])
    evidence = call.params.get("evidence", {})
    previous = {"evidence": dispute["evidence"], "status": dispute["status"]}
    if evidence:
        _check_open(dispute)
        merged = _merged(dispute["evidence"], evidence)
        _check_length(merged)
        dispute["evidence"] = merged
        dispute["evidence_details"]["has_evidence"] = True
    merge_metadata(dispute, call.params.get("metadata"))
    if "intended_submission_method" in call.params:
        dispute["intended_submission_method"] = call.params["intended_submission_method"]
    submitting = bool(evidence) and call.params.get("submit", True)
    if "submit" in call.params and not evidence:
        submitting = call.params["submit"] and dispute["evidence_details"]["has_evidence"]
    if submitting:
        _check_open(dispute)
        dispute["status"] = dispute["status"].replace("needs_response", "under_review")
        dispute["evidence_details"]["submission_count"] += 1
        dispute["evidence_details"]["submission_method"] = "manual"
    call.emit("charge.dispute.updated", dispute, previous)
    if submitting:
        _follow_evidence(call, dispute)
    return dispute


def close_dispute(call: Call) -> JsonObject:
    """POST /v1/disputes/{id}/close: accepts that it is lost."""
    dispute = call.objects("dispute").get(call.path["id"])
    if dispute["status"] in CLOSED:
        raise invalid_request("This dispute is already closed.")
    decide_dispute(call.account, dispute, won=False, origin=call.origin)
    return dispute


def _follow_evidence(call: Call, dispute: JsonObject) -> None:
    """Lets the bank do, right after the answer, what the test evidence says."""
    account, clock = call.account, call.account.shared.clock
    text = dispute["evidence"]["uncategorized_text"]
    if text in (WINNING_EVIDENCE, LOSING_EVIDENCE):
        won = text == WINNING_EVIDENCE
        clock.after(0.0, lambda: decide_dispute(account, dispute, won=won))
    elif text == ESCALATING_EVIDENCE and dispute["status"].startswith("warning"):
        clock.after(0.0, lambda: escalate_dispute(account, dispute))


def _check_open(dispute: JsonObject) -> None:
    if dispute["status"] in CLOSED:
        raise invalid_request("This dispute is already closed.")
    if dispute["status"] not in NEEDING_RESPONSE:
        raise invalid_request("Evidence was already submitted for this dispute.")


def _merged(known: JsonObject, given: dict[str, Any]) -> JsonObject:
    merged = dict(known)
    for name, value in given.items():
        if isinstance(value, dict):
            merged[name] = _merged(known.get(name) or {}, value)
        else:
            merged[name] = value if value != "" else None
    return merged


def _check_length(evidence: JsonObject) -> None:
    total = 0
    for name, value in evidence.items():
        length = len(value) if isinstance(value, str) else len(str(value or ""))
        total += length
        if length > MAX_TEXT_CHARACTERS:
            raise invalid_request(
                f"Invalid string: must be at most {MAX_TEXT_CHARACTERS} characters",
                param=f"evidence[{name}]",
            )
    if total > MAX_EVIDENCE_CHARACTERS:
        raise invalid_request(
            f"The evidence has {total} characters in total; at most {MAX_EVIDENCE_CHARACTERS} are "
            "allowed.",
            param="evidence",
        )

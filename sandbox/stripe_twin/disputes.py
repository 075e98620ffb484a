"""Disputes as API objects: https://docs.stripe.com/disputes. What banks do is in the outcomes."""

from typing import Any

from sandbox.stripe_twin.call import Call, merge_metadata
from sandbox.stripe_twin.dispute_outcomes import (
    CLOSED,
    NEEDING_RESPONSE,
    decide_dispute,
    escalate_dispute,
)
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

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
    account, clock = call.account, call.account.surroundings.clock
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

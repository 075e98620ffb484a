"""Refunds: whole, partial, repeated; some test cards make them pend or fail later.

Where refunds need balance, one that the available balance does not cover waits for it and has moved
nothing yet: https://docs.stripe.com/refunds and
https://support.stripe.com/questions/pending-refunds-due-to-insufficient-funds-or-stripe-balance
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.cards import RefundOutcome
from sandbox.stripe_twin.currencies import check_step
from sandbox.stripe_twin.errors import check_choice, check_positive, invalid_request
from sandbox.stripe_twin.reversals import check_taking_back, take_back
from sandbox.stripe_twin.store import JsonObject

_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
FAILURE_REASON = "expired_or_canceled_card"
INSUFFICIENT, PROCESSING = "insufficient_funds", "processing"
DISPUTED_MEANWHILE = "charge_for_pending_refund_disputed"


def create_refund(call: Call) -> JsonObject:
    """POST /v1/refunds for a charge or a payment intent. Refuses more than what is left."""
    charge = _refundable_charge(call)
    _check_undisputed(call.account, charge)
    captured = charge["amount_captured"]
    left = captured - charge["amount_refunded"]
    amount: int = call.params.get("amount", left)
    check_choice(call.params, "reason", _REASONS)
    if left == 0:
        raise invalid_request(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    check_positive(amount)
    check_step(amount, charge["currency"])
    if amount > left:
        raise invalid_request(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )
    check_taking_back(call, charge)
    refund = _new_refund(call, charge, amount)
    call.objects("refund").add(refund)
    outcome = call.account.cards[charge["payment_method"]].card.refund
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["captured"] and charge["amount_refunded"] == captured
    needs_balance = call.account.shared.settings.refunds_need_balance
    if needs_balance and not _is_covered(call.account, refund):
        refund |= {"status": "pending", "pending_reason": INSUFFICIENT}
        _take_later(call.account, refund, outcome)
    else:
        _take(call.account, refund, outcome)
    take_back(call, charge, refund)
    call.emit("refund.created", refund)
    call.emit("charge.refunded", charge)
    if refund["balance_transaction"] is not None:
        _schedule_outcome(call.account, refund, outcome)
    return refund


def retrieve_refund(call: Call) -> JsonObject:
    """GET /v1/refunds/{id}."""
    return call.objects("refund").get(call.path["id"], "refund")


def update_refund(call: Call) -> JsonObject:
    """POST /v1/refunds/{id}: metadata only."""
    refund = call.objects("refund").get(call.path["id"], "refund")
    previous = {"metadata": refund["metadata"]}
    merge_metadata(refund, call.params.get("metadata"))
    call.emit("refund.updated", refund, previous)
    return refund


def list_refunds(call: Call) -> JsonObject:
    """GET /v1/refunds by charge and payment intent."""
    charge, intent = call.params.get("charge"), call.params.get("payment_intent")
    return call.objects("refund").page(
        "/v1/refunds",
        call.params,
        lambda refund: (
            charge in (None, refund["charge"]) and intent in (None, refund["payment_intent"])
        ),
    )


def fail_refund(account: TwinAccount, refund: JsonObject, reason: str) -> None:
    """The refund fails, and what it has taken from the balance returns: the bank sent it back, or
    it waited for balance and the charge was disputed meanwhile."""
    charge = account.objects("charge").get(refund["charge"])
    if refund["balance_transaction"] is not None:
        settled = account.settled(refund["amount"], refund["currency"])
        transaction = account.books.record(
            kind="payment_failure_refund" if _is_of_debit(refund) else "refund_failure",
            source=refund["id"],
            amount=settled.amount,
            currency=settled.currency,
            exchange_rate=settled.rate,
            now=account.now(),
            available_at_once=True,
            reporting_category="refund_failure",
        )
        refund["failure_balance_transaction"] = transaction["id"]
    previous = {"status": refund["status"]}
    refund["failure_reason"] = reason
    refund.pop("pending_reason", None)
    refund["status"] = "failed"
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    account.emit("refund.updated", refund, previous={**previous, "failure_reason": None})
    account.emit("refund.failed", refund)


def give_up_waiting(account: TwinAccount, charge: JsonObject) -> None:
    """A dispute of the charge comes: its refunds that still wait for balance fail."""
    for refund in account.objects("refund"):
        if refund["charge"] == charge["id"] and refund.get("pending_reason") == INSUFFICIENT:
            fail_refund(account, refund, DISPUTED_MEANWHILE)


def _refundable_charge(call: Call) -> JsonObject:
    if "charge" in call.params:
        charge = call.objects("charge").get(call.params["charge"], "charge", 400)
        if not charge["amount_captured"]:
            raise invalid_request(
                f"Charge {charge['id']} has not been captured.", code="charge_not_captured"
            )
        return charge
    if "payment_intent" not in call.params:
        raise invalid_request(
            "One of the following params should be provided for this request: payment_intent or "
            "charge."
        )
    intent = call.objects("payment_intent").get(
        call.params["payment_intent"], "payment_intent", 400
    )
    if not intent["amount_received"]:
        raise invalid_request(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return call.objects("charge").get(intent["latest_charge"])


def _check_undisputed(account: TwinAccount, charge: JsonObject) -> None:
    """A chargeback has taken the money already; an inquiry or one that was won has not."""
    if not charge["disputed"]:
        return
    for dispute in account.objects("dispute"):
        mine = dispute["charge"] == charge["id"]
        if mine and not dispute["status"].startswith("warning") and dispute["status"] != "won":
            raise invalid_request(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )


def _new_refund(call: Call, charge: JsonObject, amount: int) -> JsonObject:
    token = call.account.shared.identifiers.token(16)
    is_card = charge["payment_method_details"]["type"] == "card"
    card = {
        "reference": token,
        "reference_status": "available",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    return {
        "id": call.account.new_id("re" if is_card else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": call.account.now(),
        "currency": charge["currency"],
        "destination_details": {"card": card, "type": "card"} if is_card else None,
        "metadata": call.params.get("metadata", {}),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": call.params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def _is_of_debit(refund: JsonObject) -> bool:
    return str(refund["id"]).startswith("pyr_")


def _is_covered(account: TwinAccount, refund: JsonObject) -> bool:
    settled = account.settled(refund["amount"], refund["currency"])
    balance = account.books.balances(account.now()).get(settled.currency, {"available": 0})
    return balance["available"] >= settled.amount


def _take(account: TwinAccount, refund: JsonObject, outcome: RefundOutcome) -> None:
    # Stripe keeps the fee of the payment and takes none for the refund.
    settled = account.settled(-refund["amount"], refund["currency"])
    transaction = account.books.record(
        kind="payment_refund" if _is_of_debit(refund) else "refund",
        reporting_category="refund",
        source=refund["id"],
        amount=settled.amount,
        currency=settled.currency,
        exchange_rate=settled.rate,
        now=account.now(),
        available_at_once=True,
        description="REFUND FOR CHARGE",
    )
    refund["balance_transaction"] = transaction["id"]
    refund.pop("pending_reason", None)
    refund["status"] = "succeeded"
    if outcome is RefundOutcome.PENDING_THEN_SUCCEEDS:
        refund |= {"status": "pending", "pending_reason": PROCESSING}


def _take_later(account: TwinAccount, refund: JsonObject, outcome: RefundOutcome) -> None:
    def again() -> None:
        # At least a second later: what is due at once would be found due without end.
        seconds = max(account.shared.settings.async_refund_seconds, 1.0)
        account.shared.clock.after(seconds, look)

    def look() -> None:
        if refund["status"] != "pending":
            return
        if not _is_covered(account, refund):
            again()
            return
        _take(account, refund, outcome)
        previous = {"status": "pending", "balance_transaction": None}
        account.emit("refund.updated", refund, previous=previous)
        account.emit("charge.refund.updated", refund, previous=previous)
        _schedule_outcome(account, refund, outcome)

    again()


def _schedule_outcome(account: TwinAccount, refund: JsonObject, outcome: RefundOutcome) -> None:
    shared = account.shared

    def succeed() -> None:
        if refund["status"] != "pending":
            return
        refund["status"] = "succeeded"
        refund.pop("pending_reason", None)
        account.emit("refund.updated", refund, previous={"status": "pending"})
        account.emit("charge.refund.updated", refund, previous={"status": "pending"})

    match outcome:
        case RefundOutcome.PENDING_THEN_SUCCEEDS:
            shared.clock.after(shared.settings.async_refund_seconds, succeed)
        case RefundOutcome.SUCCEEDS_THEN_FAILS:
            shared.clock.after(
                shared.settings.async_refund_seconds,
                lambda: fail_refund(account, refund, FAILURE_REASON),
            )
        case RefundOutcome.SUCCEEDS:
            return

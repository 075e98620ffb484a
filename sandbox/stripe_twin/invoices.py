"""Invoices of subscriptions, how they are paid, and credit notes.

An invoice has no charge and a charge no invoice: an `invoice_payment` links the invoice with the
PaymentIntent that pays it. https://docs.stripe.com/api/invoice-payment
"""

from typing import Any

from sandbox.stripe_twin.accounts import AUTOMATIC, TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import ApiError, check_positive, invalid_request
from sandbox.stripe_twin.intents import create_intent
from sandbox.stripe_twin.refunds import create_refund
from sandbox.stripe_twin.store import JsonObject

PAYMENT = "invoice_payment"


def new_invoice(
    account: TwinAccount, subscription: JsonObject, reason: str, period: tuple[int, int]
) -> JsonObject:
    """A draft of what a subscription costs for a period."""
    number = len(account.objects("invoice")) + 1
    lines = [_line(account, subscription, item, period) for item in subscription["items"]["data"]]
    total = sum(line["amount"] for line in lines)
    customer = account.objects("customer").find(subscription["customer"]) or {}
    invoice_id = account.new_id("in")
    invoice: JsonObject = {
        "id": invoice_id,
        "object": "invoice",
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": total,
        "amount_shipping": 0,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {"enabled": False, "liability": None, "status": None},
        "billing_reason": reason,
        "collection_method": "charge_automatically",
        "created": account.now(),
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_email": customer.get("email"),
        "customer_name": customer.get("name"),
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ending_balance": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/invoices/{invoice_id}/lines",
        },
        "livemode": False,
        "metadata": {},
        "number": f"TWIN-{number:04}",
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": subscription["id"]},
            "type": "subscription_details",
        },
        "payment_settings": {"default_mandate": None, "payment_method_types": None},
        "period_end": period[1],
        "period_start": period[0],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "draft",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "subtotal": total,
        "total": total,
        "total_excluding_tax": total,
        "total_taxes": [],
    }
    account.objects("invoice").add(invoice)
    account.emit("invoice.created", invoice)
    return invoice


def _line(
    account: TwinAccount, subscription: JsonObject, item: JsonObject, period: tuple[int, int]
) -> JsonObject:
    amount = item["price"]["unit_amount"] * item["quantity"]
    return {
        "id": account.new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": subscription["currency"],
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "livemode": False,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "subscription": subscription["id"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"start": period[0], "end": period[1]},
        "pricing": {
            "price_details": {"price": item["price"]["id"], "product": item["price"]["product"]},
            "type": "price_details",
        },
        "quantity": item["quantity"],
        "subtotal": amount,
    }


def finalize(account: TwinAccount, invoice: JsonObject) -> None:
    """Makes a draft final: what is due is open until it is paid, and nothing is paid at once."""
    if invoice["status"] != "draft":
        return
    invoice["status"] = "open"
    invoice["status_transitions"]["finalized_at"] = account.now()
    account.emit("invoice.finalized", invoice)
    if not invoice["amount_due"]:
        _set_paid(account, invoice)


def collect(account: TwinAccount, invoice: JsonObject, method: str | None) -> ApiError | None:
    """Tries to pay an open invoice with a payment method; why it was refused, if that is told."""
    if invoice["status"] != "open":
        return None
    invoice["attempted"] = True
    invoice["attempt_count"] += 1
    params: dict[str, Any] = {
        "amount": invoice["amount_remaining"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": f"Invoice {invoice['number']}",
        "allowed_payment_method_types": ["card"],
    }
    if method is not None:
        params |= {"payment_method": method, "confirm": True, "off_session": True}
    refused: ApiError | None = None
    try:
        intent = create_intent(Call(account, {}, params, AUTOMATIC))
    except ApiError as error:
        if "payment_intent" not in error.error:
            raise
        refused, intent = error, error.error["payment_intent"]
    payment = _new_payment(account, invoice, intent["id"])
    if intent["status"] == "succeeded":
        payment["amount_paid"] = payment["amount_requested"]
        payment["status"] = "paid"
        payment["status_transitions"]["paid_at"] = account.now()
        invoice["amount_paid"] += payment["amount_paid"]
        invoice["amount_remaining"] -= payment["amount_paid"]
        account.emit("invoice_payment.paid", payment)
        _set_paid(account, invoice)
    else:
        account.emit("invoice.payment_failed", invoice)
    return refused


def _new_payment(account: TwinAccount, invoice: JsonObject, intent_id: str) -> JsonObject:
    """The link between an invoice and what pays it; an earlier one that failed is given up."""
    for earlier in account.objects(PAYMENT):
        if earlier["invoice"] == invoice["id"] and earlier["status"] == "open":
            earlier["status"] = "canceled"
            earlier["is_default"] = False
            earlier["status_transitions"]["canceled_at"] = account.now()
    return account.objects(PAYMENT).add(
        {
            "id": account.new_id("inpay"),
            "object": PAYMENT,
            "amount_paid": None,
            "amount_requested": invoice["amount_remaining"],
            "created": account.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent_id, "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _set_paid(account: TwinAccount, invoice: JsonObject) -> None:
    invoice["status"] = "paid"
    invoice["status_transitions"]["paid_at"] = account.now()
    account.emit("invoice.paid", invoice)
    account.emit("invoice.payment_succeeded", invoice)


def void(account: TwinAccount, invoice: JsonObject) -> None:
    """Nobody pays an open invoice any more."""
    if invoice["status"] == "open":
        invoice["status"] = "void"
        invoice["status_transitions"]["voided_at"] = account.now()
        account.emit("invoice.voided", invoice)


def retrieve_invoice(call: Call) -> JsonObject:
    """GET /v1/invoices/{id}."""
    return call.objects("invoice").get(call.path["id"])


def list_invoices(call: Call) -> JsonObject:
    """GET /v1/invoices by customer, subscription, status and created."""
    wanted = {name: call.params[name] for name in ("customer", "status") if name in call.params}
    subscription = call.params.get("subscription")
    return call.objects("invoice").page(
        "/v1/invoices",
        call.params,
        lambda item: (
            all(item[name] == value for name, value in wanted.items())
            and subscription in (None, subscription_of(item))
        ),
    )


def subscription_of(invoice: JsonObject) -> str:
    """The subscription that an invoice is of."""
    found: str = invoice["parent"]["subscription_details"]["subscription"]
    return found


def invoice_of_intent(account: TwinAccount, intent_id: str | None) -> JsonObject | None:
    """The invoice that a PaymentIntent pays."""
    for payment in account.objects(PAYMENT):
        if payment["payment"]["payment_intent"] == intent_id:
            return account.objects("invoice").find(payment["invoice"])
    return None


def retrieve_payment(call: Call) -> JsonObject:
    """GET /v1/invoice_payments/{invoice_payment}."""
    return call.objects(PAYMENT).get(call.path["invoice_payment"], "invoice_payment")


def list_payments(call: Call) -> JsonObject:
    """GET /v1/invoice_payments by invoice, status, PaymentIntent and created."""
    wanted = {name: call.params[name] for name in ("invoice", "status") if name in call.params}
    intent = call.params.get("payment", {}).get("payment_intent")
    return call.objects(PAYMENT).page(
        "/v1/invoice_payments",
        call.params,
        lambda item: (
            all(item[name] == value for name, value in wanted.items())
            and intent in (None, item["payment"]["payment_intent"])
        ),
    )


def create_credit_note(call: Call) -> JsonObject:
    """POST /v1/credit_notes: takes back a part of an invoice, of a paid one by a refund."""
    account, params = call.account, call.params
    invoice = call.objects("invoice").get(params["invoice"], "invoice", 400)
    if invoice["status"] not in ("open", "paid"):
        raise invalid_request(f"The invoice is {invoice['status']}.", param="invoice")
    is_paid = invoice["status"] == "paid"
    amount: int = params.get("amount", params.get("refund_amount", 0))
    check_positive(amount)
    left: int = invoice["amount_remaining"]
    if is_paid:
        left = invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
    if amount > left:
        raise invalid_request(
            f"The credit note's amount is more than what is left ({left}).", param="amount"
        )
    refunds: list[JsonObject] = []
    if is_paid:
        if params.get("refund_amount") != amount:
            raise invalid_request(
                "What is credited of a paid invoice is refunded here: set `refund_amount` to it.",
                param="refund_amount",
            )
        refund = _refund(call, invoice, amount)
        refunds = [{"amount_refunded": amount, "refund": refund["id"], "type": "refund"}]
        invoice["post_payment_credit_notes_amount"] += amount
    else:
        invoice["pre_payment_credit_notes_amount"] += amount
        invoice["amount_due"] -= amount
        invoice["amount_remaining"] -= amount
    note = _note(account, invoice, amount, refunds, is_paid=is_paid)
    note["memo"], note["reason"] = params.get("memo"), params.get("reason")
    merge_metadata(note, params.get("metadata"))
    call.objects("credit_note").add(note)
    call.emit("credit_note.created", note)
    if not is_paid and not invoice["amount_remaining"]:
        _set_paid(account, invoice)
    return note


def _refund(call: Call, invoice: JsonObject, amount: int) -> JsonObject:
    for payment in call.objects(PAYMENT):
        if payment["invoice"] == invoice["id"] and payment["status"] == "paid":
            intent = payment["payment"]["payment_intent"]
            params = {"payment_intent": intent, "amount": amount}
            return create_refund(Call(call.account, {}, params, call.origin))
    raise AssertionError(f"{invoice['id']} was paid by nothing")


def _note(
    account: TwinAccount,
    invoice: JsonObject,
    amount: int,
    refunds: list[JsonObject],
    *,
    is_paid: bool,
) -> JsonObject:
    notes = [item for item in account.objects("credit_note") if item["invoice"] == invoice["id"]]
    note_id = account.new_id("cn")
    line = {
        "id": account.new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": amount,
    }
    return {
        "id": note_id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": account.now(),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": [line],
            "has_more": False,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": f"{invoice['number']}-CN-{len(notes) + 1:02}",
        "out_of_band_amount": None,
        "pdf": f"{account.shared.public_url}/_twin/no_pdf",
        "post_payment_amount": amount if is_paid else 0,
        "pre_payment_amount": 0 if is_paid else amount,
        "pretax_credit_amounts": [],
        "reason": None,
        "refunds": refunds,
        "status": "issued",
        "subtotal": amount,
        "total": amount,
        "type": "post_payment" if is_paid else "pre_payment",
        "voided_at": None,
    }


def retrieve_credit_note(call: Call) -> JsonObject:
    """GET /v1/credit_notes/{id}."""
    return call.objects("credit_note").get(call.path["id"])


def list_credit_notes(call: Call) -> JsonObject:
    """GET /v1/credit_notes by invoice, customer and created."""
    wanted = {name: call.params[name] for name in ("invoice", "customer") if name in call.params}
    return call.objects("credit_note").page(
        "/v1/credit_notes",
        call.params,
        lambda item: all(item[name] == value for name, value in wanted.items()),
    )

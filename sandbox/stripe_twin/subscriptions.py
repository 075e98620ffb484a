"""Subscriptions that are charged automatically: an invoice for each period, paid or not.

https://docs.stripe.com/billing/subscriptions/overview. Prices are in one currency and for one
period; no trials, prorations, discounts or taxes.
"""

import calendar
from datetime import UTC, datetime, timedelta

from sandbox.stripe_twin.accounts import AUTOMATIC, TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_positive, invalid_request
from sandbox.stripe_twin.invoices import collect, finalize, new_invoice, subscription_of, void
from sandbox.stripe_twin.store import JsonObject

# A renewal's invoice is a draft for about an hour; a first payment has to come within 23 hours.
DRAFT_SECONDS = 3_600
INCOMPLETE_SECONDS = 23 * 3_600
_OVER = frozenset({"canceled", "incomplete_expired"})


def create_subscription(call: Call) -> JsonObject:
    """POST /v1/subscriptions: with its first invoice, which is paid at once if it can be."""
    account, params = call.account, call.params
    if "customer" not in params or not params.get("items"):
        raise invalid_request("The twin's subscriptions have a `customer` and `items`.")
    if params.get("collection_method", "charge_automatically") != "charge_automatically":
        raise invalid_request("The twin charges automatically.", param="collection_method")
    call.objects("customer").get(params["customer"], "customer", 400)
    prices = [
        call.objects("price").get(item.get("price", ""), "price", 400) for item in params["items"]
    ]
    if len({(price["currency"], str(price["recurring"])) for price in prices}) != 1:
        raise invalid_request("All prices have to be of one currency and period.", param="items")
    if prices[0]["recurring"] is None:
        raise invalid_request("The price has to recur.", param="items[0][price]")
    subscription = _new_subscription(account, params["customer"], prices[0]["currency"])
    subscription["default_payment_method"] = params.get("default_payment_method")
    merge_metadata(subscription, params.get("metadata"))
    for item, price in zip(params["items"], prices, strict=True):
        quantity = item.get("quantity", 1)
        check_positive(quantity, "items[quantity]")
        subscription["items"]["data"].append(_new_item(account, subscription, price, quantity))
    subscription["items"]["total_count"] = len(prices)
    _set_period(subscription, account.now())
    call.objects("subscription").add(subscription)
    call.emit("customer.subscription.created", subscription)
    invoice = new_invoice(account, subscription, "subscription_create", _period(subscription))
    subscription["latest_invoice"] = invoice["id"]
    finalize(account, invoice)
    collect(account, invoice, _method_of(account, subscription))
    if invoice["status"] == "paid":
        _set_status(account, subscription, "active")
    else:
        account.shared.clock.after(INCOMPLETE_SECONDS, lambda: _expire(account, subscription))
    _renew_later(account, subscription)
    return subscription


def retrieve_subscription(call: Call) -> JsonObject:
    """GET /v1/subscriptions/{id}."""
    return call.objects("subscription").get(call.path["id"])


def list_subscriptions(call: Call) -> JsonObject:
    """GET /v1/subscriptions by customer, status and created; without a status, those not over."""
    customer, status = call.params.get("customer"), call.params.get("status")
    return call.objects("subscription").page(
        "/v1/subscriptions",
        call.params,
        lambda item: (
            customer in (None, item["customer"])
            and (
                item["status"] == status
                or status == "all"
                or (status is None and item["status"] not in _OVER)
            )
        ),
    )


def list_items(call: Call) -> JsonObject:
    """GET /v1/subscription_items: all of one subscription; there is never a second page."""
    subscription = call.objects("subscription").get(
        call.params.get("subscription", ""), "subscription", 400
    )
    return {**subscription["items"]}


def cancel_subscription(call: Call) -> JsonObject:
    """DELETE /v1/subscriptions/{id}: at once, and nothing is given back."""
    subscription = call.objects("subscription").get(call.path["id"])
    if subscription["status"] in _OVER:
        raise invalid_request(f"The subscription is {subscription['status']}.", status=404)
    now = call.account.now()
    subscription |= {"status": "canceled", "canceled_at": now, "ended_at": now}
    call.emit("customer.subscription.deleted", subscription)
    return subscription


def pay_invoice(call: Call) -> JsonObject:
    """POST /v1/invoices/{id}/pay: tries an open invoice once more."""
    account = call.account
    invoice = call.objects("invoice").get(call.path["id"])
    if invoice["status"] != "open":
        raise invalid_request(f"The invoice is {invoice['status']}.")
    subscription = call.objects("subscription").get(subscription_of(invoice))
    method = call.params.get("payment_method") or _method_of(account, subscription)
    refused = collect(account, invoice, method)
    if invoice["status"] != "paid":
        raise refused or invalid_request("The invoice could not be paid.", status=402)
    if subscription["status"] in ("incomplete", "past_due"):
        _set_status(account, subscription, "active")
    return invoice


def _new_subscription(account: TwinAccount, customer: str, currency: str) -> JsonObject:
    now = account.now()
    subscription_id = account.new_id("sub")
    return {
        "id": subscription_id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": {"type": "flexible"},
        "billing_schedules": [],
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "created": now,
        "currency": currency,
        "customer": customer,
        "days_until_due": None,
        "default_payment_method": None,
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription={subscription_id}",
        },
        "latest_invoice": None,
        "livemode": False,
        "metadata": {},
        "start_date": now,
        "status": "incomplete",
    }


def _new_item(
    account: TwinAccount, subscription: JsonObject, price: JsonObject, quantity: int
) -> JsonObject:
    recurring = price["recurring"]
    plan = {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": {},
        "product": price["product"],
        "usage_type": "licensed",
    }
    return {
        "id": account.new_id("si"),
        "object": "subscription_item",
        "created": account.now(),
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": {},
        "plan": plan,
        "price": price,
        "quantity": quantity,
        "subscription": subscription["id"],
        "tax_rates": [],
    }


def _method_of(account: TwinAccount, subscription: JsonObject) -> str | None:
    """What a subscription is paid with: its own payment method, or the customer's for invoices."""
    customer = account.objects("customer").find(subscription["customer"])
    settings = (customer or {}).get("invoice_settings") or {}
    found: str | None = subscription["default_payment_method"] or settings.get(
        "default_payment_method"
    )
    return found


def _period(subscription: JsonObject) -> tuple[int, int]:
    item = subscription["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def _set_period(subscription: JsonObject, start: int) -> None:
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    anchor = datetime.fromtimestamp(subscription["billing_cycle_anchor"], UTC)
    end = after(
        datetime.fromtimestamp(start, UTC),
        recurring["interval"],
        recurring["interval_count"],
        anchor.day,
    )
    for item in subscription["items"]["data"]:
        item["current_period_start"], item["current_period_end"] = start, int(end.timestamp())


def after(start: datetime, interval: str, count: int, anchor_day: int) -> datetime:
    """The end of a period. Of months, the day of the anchor, or the last one of a shorter month."""
    if interval in ("day", "week"):
        return start + timedelta(days=count * (7 if interval == "week" else 1))
    months = start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = start.year + months // 12, months % 12 + 1
    return start.replace(
        year=year, month=month, day=min(anchor_day, calendar.monthrange(year, month)[1])
    )


def _renew_later(account: TwinAccount, subscription: JsonObject) -> None:
    _, end = _period(subscription)
    account.shared.clock.after(
        max(end - account.shared.clock.time(), 0.0), lambda: _renew(account, subscription)
    )


def _renew(account: TwinAccount, subscription: JsonObject) -> None:
    if subscription["status"] in _OVER:
        return
    _set_period(subscription, _period(subscription)[1])
    account.emit("customer.subscription.updated", subscription)
    invoice = new_invoice(account, subscription, "subscription_cycle", _period(subscription))
    subscription["latest_invoice"] = invoice["id"]
    account.shared.clock.after(DRAFT_SECONDS, lambda: _collect(account, subscription, invoice))
    _renew_later(account, subscription)


def _collect(account: TwinAccount, subscription: JsonObject, invoice: JsonObject) -> None:
    finalize(account, invoice)
    collect(account, invoice, _method_of(account, subscription))
    if subscription["status"] not in _OVER:
        is_paid = invoice["status"] == "paid"
        _set_status(account, subscription, "active" if is_paid else "past_due")


def _expire(account: TwinAccount, subscription: JsonObject) -> None:
    """The first payment has not come in time."""
    if subscription["status"] == "incomplete":
        invoice = account.objects("invoice").get(subscription["latest_invoice"])
        void(account, invoice)
        _set_status(account, subscription, "incomplete_expired")


def _set_status(account: TwinAccount, subscription: JsonObject, status: str) -> None:
    before = subscription["status"]
    if before != status:
        subscription["status"] = status
        account.emit("customer.subscription.updated", subscription, AUTOMATIC, {"status": before})

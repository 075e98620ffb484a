"""The balance, its transactions, and events: what a platform reconciles against.

And top-ups, the money that a merchant brings to it: https://docs.stripe.com/api/topups.
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_positive, invalid_request
from sandbox.stripe_twin.store import JsonObject, within


def retrieve_balance(call: Call) -> JsonObject:
    """GET /v1/balance."""
    balances = call.account.books.balances(call.account.now())
    if not balances:
        balances = {call.account.default_currency: {"pending": 0, "available": 0}}

    def amounts(part: str) -> list[JsonObject]:
        return [
            {
                "amount": balance[part],
                "currency": currency,
                "source_types": {"card": balance[part]},
            }
            for currency, balance in balances.items()
        ]

    def others(balance_type: str) -> list[JsonObject]:
        held = call.account.books.other_balances().get(balance_type, {})
        return [{"amount": amount, "currency": currency} for currency, amount in held.items()]

    balance: JsonObject = {
        "object": "balance",
        "available": amounts("available"),
        "livemode": False,
        "pending": amounts("pending"),
        "refund_and_dispute_prefunding": {
            "available": others("refund_and_dispute_prefunding"),
            "pending": [],
        },
    }
    if issuing := others("issuing"):
        balance["issuing"] = {"available": issuing}
    return balance


def retrieve_balance_transaction(call: Call) -> JsonObject:
    """GET /v1/balance_transactions/{id}."""
    call.account.books.mature(call.account.now())
    return call.account.books.transactions.get(call.path["id"])


def list_balance_transactions(call: Call) -> JsonObject:
    """GET /v1/balance_transactions by currency, source, type and automatic payout."""
    call.account.books.mature(call.account.now())
    wanted = {
        name: call.params[name] for name in ("currency", "source", "type") if name in call.params
    }
    payout = call.params.get("payout")
    if payout is not None and not call.objects("payout").get(payout, "payout", 400)["automatic"]:
        # https://docs.stripe.com/api/balance_transactions/list: "for automatic Stripe payouts only"
        raise invalid_request(
            "Balance transaction history can only be filtered on automatic transfers, not manual.",
            param="payout",
        )
    return call.account.books.transactions.page(
        "/v1/balance_transactions",
        call.params,
        lambda transaction: (
            all(transaction[name] == value for name, value in wanted.items())
            and payout in (None, call.account.paid_out.get(transaction["id"]))
        ),
    )


def retrieve_event(call: Call) -> JsonObject:
    """GET /v1/events/{id}."""
    return call.account.events.get(call.path["id"])


def list_events(call: Call) -> JsonObject:
    """GET /v1/events by type, types, delivery_success, created."""
    return call.account.events.page(call.params)


ARRIVAL_SECONDS = 3 * 24 * 60 * 60


def create_topup(call: Call) -> JsonObject:
    """POST /v1/topups: pending until the bank's money has come."""
    amount = call.params["amount"]
    check_positive(amount)
    arrival = call.account.now() + ARRIVAL_SECONDS
    topup: JsonObject = {
        "id": call.account.new_id("tu"),
        "object": "topup",
        "amount": amount,
        "balance_transaction": None,
        "created": call.account.now(),
        "currency": call.params["currency"].lower(),
        "description": call.params.get("description"),
        "expected_availability_date": arrival,
        "failure_code": None,
        "failure_message": None,
        "initiated_by": "user",
        "livemode": False,
        "metadata": {},
        "payment_method": None,
        "payment_method_options": None,
        "source": None,
        "statement_descriptor": call.params.get("statement_descriptor"),
        "status": "pending",
        "transfer_group": call.params.get("transfer_group"),
    }
    merge_metadata(topup, call.params.get("metadata"))
    call.objects("topup").add(topup)
    call.emit("topup.created", topup)
    account = call.account

    def arrive() -> None:
        if topup["status"] == "pending":
            _succeed(account, topup)

    account.shared.clock.after(ARRIVAL_SECONDS, arrive)
    return topup


def retrieve_topup(call: Call) -> JsonObject:
    """GET /v1/topups/{id}."""
    return call.objects("topup").get(call.path["id"], "topup")


def list_topups(call: Call) -> JsonObject:
    """GET /v1/topups by status, amount and created."""
    status, amount = call.params.get("status"), call.params.get("amount")
    return call.objects("topup").page(
        "/v1/topups",
        call.params,
        lambda item: status in (None, item["status"]) and within(item["amount"], amount),
    )


def cancel_topup(call: Call) -> JsonObject:
    """POST /v1/topups/{id}/cancel while it is pending."""
    topup = call.objects("topup").get(call.path["id"], "topup")
    if topup["status"] != "pending":
        raise invalid_request("Top-ups can only be canceled while they are pending.")
    topup["status"] = "canceled"
    call.emit("topup.canceled", topup)
    return topup


def _succeed(account: TwinAccount, topup: JsonObject) -> None:
    transaction = account.books.record(
        kind="topup",
        source=topup["id"],
        amount=topup["amount"],
        currency=topup["currency"],
        now=account.now(),
        description=topup["description"],
        available_at_once=True,
    )
    topup["balance_transaction"] = transaction["id"]
    topup["status"] = "succeeded"
    account.emit("topup.succeeded", topup)

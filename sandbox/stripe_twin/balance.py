"""The balance, its transactions, and events: what a platform reconciles against."""

from sandbox.stripe_twin.call import Call
from sandbox.stripe_twin.store import JsonObject


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

    return {
        "object": "balance",
        "available": amounts("available"),
        "livemode": False,
        "pending": amounts("pending"),
        "refund_and_dispute_prefunding": {"available": [], "pending": []},
    }


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

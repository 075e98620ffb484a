"""Every endpoint of the twin, with the SDK parameter type that checks it."""

from sandbox.stripe_twin import (
    balance,
    captures,
    charges,
    disputes,
    intents,
    payouts,
    refunds,
    topups,
    webhook_endpoints,
)
from sandbox.stripe_twin.connect_routes import CONNECT_ROUTES
from sandbox.stripe_twin.customer_routes import CUSTOMER_ROUTES
from sandbox.stripe_twin.identity_routes import IDENTITY_ROUTES
from sandbox.stripe_twin.routing import Route
from sandbox.stripe_twin.v2_routes import V2_ROUTES

_PAYMENTS = (
    Route("POST", "/v1/payment_intents", intents.create_intent, "payment_intent_create"),
    Route("GET", "/v1/payment_intents", intents.list_intents, "payment_intent_list"),
    Route("GET", "/v1/payment_intents/search", intents.search_intents, "payment_intent_search"),
    Route("GET", "/v1/payment_intents/{id}", intents.retrieve_intent, "payment_intent_retrieve"),
    Route("POST", "/v1/payment_intents/{id}", intents.update_intent, "payment_intent_update"),
    Route(
        "POST", "/v1/payment_intents/{id}/confirm", intents.confirm_intent, "payment_intent_confirm"
    ),
    Route(
        "POST",
        "/v1/payment_intents/{id}/capture",
        captures.capture_intent,
        "payment_intent_capture",
    ),
    Route(
        "POST", "/v1/payment_intents/{id}/cancel", captures.cancel_intent, "payment_intent_cancel"
    ),
    Route("GET", "/v1/charges", charges.list_charges, "charge_list"),
    Route("GET", "/v1/charges/{id}", charges.retrieve_charge, "charge_retrieve"),
    Route("POST", "/v1/charges/{id}", charges.update_charge, "charge_update"),
    Route("POST", "/v1/refunds", refunds.create_refund, "refund_create"),
    Route("GET", "/v1/refunds", refunds.list_refunds, "refund_list"),
    Route("GET", "/v1/refunds/{id}", refunds.retrieve_refund, "refund_retrieve"),
    Route("POST", "/v1/refunds/{id}", refunds.update_refund, "refund_update"),
)

_RECONCILIATION = (
    Route("GET", "/v1/balance", balance.retrieve_balance, "balance_retrieve"),
    Route(
        "GET",
        "/v1/balance_transactions",
        balance.list_balance_transactions,
        "balance_transaction_list",
    ),
    Route(
        "GET",
        "/v1/balance_transactions/{id}",
        balance.retrieve_balance_transaction,
        "balance_transaction_retrieve",
    ),
    Route("GET", "/v1/disputes", disputes.list_disputes, "dispute_list"),
    Route("GET", "/v1/disputes/{id}", disputes.retrieve_dispute, "dispute_retrieve"),
    Route("POST", "/v1/disputes/{id}", disputes.update_dispute, "dispute_update"),
    Route("POST", "/v1/disputes/{id}/close", disputes.close_dispute, "dispute_close"),
    Route("POST", "/v1/payouts", payouts.create_payout, "payout_create"),
    Route("GET", "/v1/payouts", payouts.list_payouts, "payout_list"),
    Route("GET", "/v1/payouts/{id}", payouts.retrieve_payout, "payout_retrieve"),
    Route("POST", "/v1/payouts/{id}", payouts.update_payout, "payout_update"),
    Route("POST", "/v1/payouts/{id}/cancel", payouts.cancel_payout, "payout_cancel"),
    Route("POST", "/v1/payouts/{id}/reverse", payouts.reverse_payout, "payout_reverse"),
    Route("POST", "/v1/topups", topups.create_topup, "topup_create"),
    Route("GET", "/v1/topups", topups.list_topups, "topup_list"),
    Route("GET", "/v1/topups/{id}", topups.retrieve_topup, "topup_retrieve"),
    Route("POST", "/v1/topups/{id}/cancel", topups.cancel_topup, "topup_cancel"),
    Route("GET", "/v1/events", balance.list_events, "event_list"),
    Route("GET", "/v1/events/{id}", balance.retrieve_event, "event_retrieve"),
    Route(
        "POST",
        "/v1/webhook_endpoints",
        webhook_endpoints.create_webhook_endpoint,
        "webhook_endpoint_create",
    ),
    Route(
        "GET",
        "/v1/webhook_endpoints",
        webhook_endpoints.list_webhook_endpoints,
        "webhook_endpoint_list",
    ),
    Route(
        "GET",
        "/v1/webhook_endpoints/{id}",
        webhook_endpoints.retrieve_webhook_endpoint,
        "webhook_endpoint_retrieve",
    ),
    Route(
        "POST",
        "/v1/webhook_endpoints/{id}",
        webhook_endpoints.update_webhook_endpoint,
        "webhook_endpoint_update",
    ),
    Route(
        "DELETE",
        "/v1/webhook_endpoints/{id}",
        webhook_endpoints.delete_webhook_endpoint,
        "webhook_endpoint_delete",
    ),
)

ROUTES = (
    *_PAYMENTS,
    *CUSTOMER_ROUTES,
    *_RECONCILIATION,
    *CONNECT_ROUTES,
    *IDENTITY_ROUTES,
    *V2_ROUTES,
)

"""Every endpoint of the twin, with the SDK parameter type that checks it."""

from sandbox.stripe_twin import (
    balance,
    charges,
    customers,
    disputes,
    event_destinations,
    identity,
    intents,
    payment_methods,
    payouts,
    refunds,
    reports,
    setup_intents,
    sigma,
)
from sandbox.stripe_twin.billing_routes import BILLING_ROUTES
from sandbox.stripe_twin.calls import Route
from sandbox.stripe_twin.connect_routes import CONNECT_ROUTES, V2_ROUTES

_SESSIONS = "/v1/identity/verification_sessions"
_REPORTS = "/v1/identity/verification_reports"
_SESSION, _REPORT = "identity.verification_session", "identity.verification_report"

IDENTITY_ROUTES = (
    Route("POST", _SESSIONS, identity.create_session, f"{_SESSION}_create"),
    Route("GET", _SESSIONS, identity.list_sessions, f"{_SESSION}_list"),
    Route("GET", f"{_SESSIONS}/{{id}}", identity.retrieve_session, f"{_SESSION}_retrieve"),
    Route("POST", f"{_SESSIONS}/{{id}}", identity.update_session, f"{_SESSION}_update"),
    Route("POST", f"{_SESSIONS}/{{id}}/cancel", identity.cancel_session, f"{_SESSION}_cancel"),
    Route("POST", f"{_SESSIONS}/{{id}}/redact", identity.redact_session, f"{_SESSION}_redact"),
    Route("GET", _REPORTS, identity.list_reports, f"{_REPORT}_list"),
    Route("GET", f"{_REPORTS}/{{id}}", identity.retrieve_report, f"{_REPORT}_retrieve"),
)


_TYPES, _RUNS = "/v1/reporting/report_types", "/v1/reporting/report_runs"
_TYPE, _RUN = "reporting.report_type", "reporting.report_run"

REPORT_ROUTES = (
    Route("GET", _TYPES, reports.list_report_types, f"{_TYPE}_list"),
    Route("GET", f"{_TYPES}/{{report_type}}", reports.retrieve_report_type, f"{_TYPE}_retrieve"),
    Route("POST", _RUNS, reports.create_report_run, f"{_RUN}_create"),
    Route("GET", _RUNS, reports.list_report_runs, f"{_RUN}_list"),
    Route("GET", f"{_RUNS}/{{report_run}}", reports.retrieve_report_run, f"{_RUN}_retrieve"),
)


_QUERY_RUNS, _QUERY_RUN = "/v1/sigma/scheduled_query_runs", "sigma.scheduled_query_run"

SIGMA_ROUTES = (
    Route("GET", _QUERY_RUNS, sigma.list_query_runs, f"{_QUERY_RUN}_list"),
    Route(
        "GET",
        f"{_QUERY_RUNS}/{{scheduled_query_run}}",
        sigma.retrieve_query_run,
        f"{_QUERY_RUN}_retrieve",
    ),
)


_METHODS = (
    Route(
        "POST",
        "/v1/payment_methods",
        payment_methods.create_payment_method,
        "payment_method_create",
    ),
    Route(
        "GET", "/v1/payment_methods", payment_methods.list_payment_methods, "payment_method_list"
    ),
    Route(
        "GET",
        "/v1/payment_methods/{id}",
        payment_methods.retrieve_payment_method,
        "payment_method_retrieve",
    ),
    Route(
        "POST",
        "/v1/payment_methods/{id}",
        payment_methods.update_payment_method,
        "payment_method_update",
    ),
    Route(
        "POST",
        "/v1/payment_methods/{id}/attach",
        payment_methods.attach_payment_method,
        "payment_method_attach",
    ),
    Route(
        "POST",
        "/v1/payment_methods/{id}/detach",
        payment_methods.detach_payment_method,
        "payment_method_detach",
    ),
)

_CUSTOMERS = (
    Route("POST", "/v1/customers", customers.create_customer, "customer_create"),
    Route("GET", "/v1/customers", customers.list_customers, "customer_list"),
    Route("GET", "/v1/customers/search", customers.search_customers, "customer_search"),
    Route("GET", "/v1/customers/{id}", customers.retrieve_customer, "customer_retrieve"),
    Route("POST", "/v1/customers/{id}", customers.update_customer, "customer_update"),
    Route("DELETE", "/v1/customers/{id}", customers.delete_customer, "customer_delete"),
    Route(
        "GET",
        "/v1/customers/{customer}/payment_methods",
        customers.list_customer_methods,
        "customer_payment_method_list",
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/payment_methods/{payment_method}",
        customers.retrieve_customer_method,
        "customer_payment_method_retrieve",
    ),
)

_SETUPS = (
    Route("POST", "/v1/setup_intents", setup_intents.create_setup_intent, "setup_intent_create"),
    Route("GET", "/v1/setup_intents", setup_intents.list_setup_intents, "setup_intent_list"),
    Route(
        "GET",
        "/v1/setup_intents/{id}",
        setup_intents.retrieve_setup_intent,
        "setup_intent_retrieve",
    ),
    Route(
        "POST",
        "/v1/setup_intents/{id}",
        setup_intents.update_setup_intent,
        "setup_intent_update",
    ),
    Route(
        "POST",
        "/v1/setup_intents/{id}/confirm",
        setup_intents.confirm_setup_intent,
        "setup_intent_confirm",
    ),
    Route(
        "POST",
        "/v1/setup_intents/{id}/cancel",
        setup_intents.cancel_setup_intent,
        "setup_intent_cancel",
    ),
    Route("GET", "/v1/setup_attempts", setup_intents.list_setup_attempts, "setup_attempt_list"),
)

CUSTOMER_ROUTES = (*_METHODS, *_CUSTOMERS, *_SETUPS)


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
        charges.capture_intent,
        "payment_intent_capture",
    ),
    Route(
        "POST", "/v1/payment_intents/{id}/cancel", charges.cancel_intent, "payment_intent_cancel"
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
    Route("POST", "/v1/topups", balance.create_topup, "topup_create"),
    Route("GET", "/v1/topups", balance.list_topups, "topup_list"),
    Route("GET", "/v1/topups/{id}", balance.retrieve_topup, "topup_retrieve"),
    Route("POST", "/v1/topups/{id}/cancel", balance.cancel_topup, "topup_cancel"),
    Route("GET", "/v1/events", balance.list_events, "event_list"),
    Route("GET", "/v1/events/{id}", balance.retrieve_event, "event_retrieve"),
    Route(
        "POST",
        "/v1/webhook_endpoints",
        event_destinations.create_webhook_endpoint,
        "webhook_endpoint_create",
    ),
    Route(
        "GET",
        "/v1/webhook_endpoints",
        event_destinations.list_webhook_endpoints,
        "webhook_endpoint_list",
    ),
    Route(
        "GET",
        "/v1/webhook_endpoints/{id}",
        event_destinations.retrieve_webhook_endpoint,
        "webhook_endpoint_retrieve",
    ),
    Route(
        "POST",
        "/v1/webhook_endpoints/{id}",
        event_destinations.update_webhook_endpoint,
        "webhook_endpoint_update",
    ),
    Route(
        "DELETE",
        "/v1/webhook_endpoints/{id}",
        event_destinations.delete_webhook_endpoint,
        "webhook_endpoint_delete",
    ),
)

ROUTES = (
    *_PAYMENTS,
    *CUSTOMER_ROUTES,
    *_RECONCILIATION,
    *CONNECT_ROUTES,
    *IDENTITY_ROUTES,
    *BILLING_ROUTES,
    *REPORT_ROUTES,
    *SIGMA_ROUTES,
    *V2_ROUTES,
)

"""The endpoints of customers, their payment methods and SetupIntents."""

from sandbox.stripe_twin import customers, payment_methods, setup_attempts, setup_intents
from sandbox.stripe_twin.routing import Route

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
    Route("GET", "/v1/setup_attempts", setup_attempts.list_setup_attempts, "setup_attempt_list"),
)

CUSTOMER_ROUTES = (*_METHODS, *_CUSTOMERS, *_SETUPS)

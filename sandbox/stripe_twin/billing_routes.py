"""The endpoints of Billing: products, prices, subscriptions, invoices and what pays them."""

from sandbox.stripe_twin import catalog, invoices, subscriptions
from sandbox.stripe_twin.calls import Route

_PAYMENTS, _NOTES = "/v1/invoice_payments", "/v1/credit_notes"
_SUBSCRIPTION = "/v1/subscriptions/{id}"

BILLING_ROUTES = (
    Route("POST", "/v1/products", catalog.create_product, "product_create"),
    Route("GET", "/v1/products", catalog.list_products, "product_list"),
    Route("GET", "/v1/products/{id}", catalog.retrieve_product, "product_retrieve"),
    Route("POST", "/v1/prices", catalog.create_price, "price_create"),
    Route("GET", "/v1/prices", catalog.list_prices, "price_list"),
    Route("GET", "/v1/prices/{id}", catalog.retrieve_price, "price_retrieve"),
    Route("POST", "/v1/subscriptions", subscriptions.create_subscription, "subscription_create"),
    Route("GET", "/v1/subscriptions", subscriptions.list_subscriptions, "subscription_list"),
    Route("GET", _SUBSCRIPTION, subscriptions.retrieve_subscription, "subscription_retrieve"),
    Route("DELETE", _SUBSCRIPTION, subscriptions.cancel_subscription, "subscription_cancel"),
    Route("GET", "/v1/subscription_items", subscriptions.list_items, "subscription_item_list"),
    Route("GET", "/v1/invoices", invoices.list_invoices, "invoice_list"),
    Route("GET", "/v1/invoices/{id}", invoices.retrieve_invoice, "invoice_retrieve"),
    Route("POST", "/v1/invoices/{id}/pay", subscriptions.pay_invoice, "invoice_pay"),
    Route("GET", _PAYMENTS, invoices.list_payments, "invoice_payment_list"),
    Route(
        "GET",
        f"{_PAYMENTS}/{{invoice_payment}}",
        invoices.retrieve_payment,
        "invoice_payment_retrieve",
    ),
    Route("POST", _NOTES, invoices.create_credit_note, "credit_note_create"),
    Route("GET", _NOTES, invoices.list_credit_notes, "credit_note_list"),
    Route("GET", f"{_NOTES}/{{id}}", invoices.retrieve_credit_note, "credit_note_retrieve"),
)

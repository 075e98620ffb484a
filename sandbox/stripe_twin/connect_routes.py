"""The endpoints of Connect and Tax."""

from sandbox.stripe_twin import (
    capabilities,
    external_accounts,
    tax,
    tax_calculations,
    tax_ids,
    tax_transactions,
)
from sandbox.stripe_twin import connected_accounts as connect
from sandbox.stripe_twin.routing import Route

_ACCOUNTS = (
    Route("POST", "/v1/accounts", connect.create_account, "account_create"),
    Route("GET", "/v1/accounts", connect.list_accounts, "account_list"),
    Route("GET", "/v1/account", connect.retrieve_current_account, "account_retrieve_current"),
    Route("GET", "/v1/accounts/{id}", connect.retrieve_account, "account_retrieve"),
    Route("POST", "/v1/accounts/{id}", connect.update_account, "account_update"),
    Route("DELETE", "/v1/accounts/{id}", connect.delete_account, "account_delete"),
    Route(
        "GET",
        "/v1/accounts/{id}/capabilities",
        capabilities.list_capabilities,
        "account_capability_list",
    ),
    Route(
        "GET",
        "/v1/accounts/{id}/capabilities/{capability}",
        capabilities.retrieve_capability,
        "account_capability_retrieve",
    ),
    Route(
        "POST",
        "/v1/accounts/{id}/capabilities/{capability}",
        capabilities.update_capability,
        "account_capability_update",
    ),
    Route(
        "GET",
        "/v1/accounts/{id}/external_accounts",
        external_accounts.list_external_accounts,
        "account_external_account_list",
    ),
    Route(
        "POST",
        "/v1/accounts/{id}/external_accounts",
        external_accounts.create_external_account,
        "account_external_account_create",
    ),
    Route(
        "GET",
        "/v1/accounts/{id}/external_accounts/{external_account}",
        external_accounts.retrieve_external_account,
        "account_external_account_retrieve",
    ),
    Route(
        "POST",
        "/v1/accounts/{id}/external_accounts/{external_account}",
        external_accounts.update_external_account,
        "account_external_account_update",
    ),
    Route(
        "DELETE",
        "/v1/accounts/{id}/external_accounts/{external_account}",
        external_accounts.delete_external_account,
        "account_external_account_delete",
    ),
    Route("POST", "/v1/account_links", capabilities.create_account_link, "account_link_create"),
)

_TAX = (
    Route("GET", "/v1/tax/settings", tax.retrieve_settings, "tax.settings_retrieve"),
    Route("POST", "/v1/tax/settings", tax.update_settings, "tax.settings_update"),
    Route("POST", "/v1/tax/registrations", tax.create_registration, "tax.registration_create"),
    Route("GET", "/v1/tax/registrations", tax.list_registrations, "tax.registration_list"),
    Route(
        "GET",
        "/v1/tax/registrations/{id}",
        tax.retrieve_registration,
        "tax.registration_retrieve",
    ),
    Route("POST", "/v1/tax/registrations/{id}", tax.update_registration, "tax.registration_update"),
)

_TAX_IDS = (
    Route("POST", "/v1/tax_ids", tax_ids.create_tax_id, "tax_id_create"),
    Route("GET", "/v1/tax_ids", tax_ids.list_tax_ids, "tax_id_list"),
    Route("GET", "/v1/tax_ids/{id}", tax_ids.retrieve_tax_id, "tax_id_retrieve"),
    Route("DELETE", "/v1/tax_ids/{id}", tax_ids.delete_tax_id, "tax_id_delete"),
    Route(
        "POST",
        "/v1/customers/{customer}/tax_ids",
        tax_ids.create_customer_tax_id,
        "customer_tax_id_create",
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/tax_ids",
        tax_ids.list_customer_tax_ids,
        "customer_tax_id_list",
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/tax_ids/{id}",
        tax_ids.retrieve_tax_id,
        "customer_tax_id_retrieve",
    ),
    Route(
        "DELETE",
        "/v1/customers/{customer}/tax_ids/{id}",
        tax_ids.delete_tax_id,
        "customer_tax_id_delete",
    ),
)

_TAX_CALCULATIONS = (
    Route(
        "POST",
        "/v1/tax/calculations",
        tax_calculations.create_calculation,
        "tax.calculation_create",
    ),
    Route(
        "GET",
        "/v1/tax/calculations/{calculation}",
        tax_calculations.retrieve_calculation,
        "tax.calculation_retrieve",
    ),
    Route(
        "GET",
        "/v1/tax/calculations/{calculation}/line_items",
        tax_calculations.list_calculation_lines,
        "tax.calculation_line_item_list",
    ),
    Route(
        "POST",
        "/v1/tax/transactions/create_from_calculation",
        tax_transactions.create_from_calculation,
        "tax.transaction_create_from_calculation",
    ),
    Route(
        "POST",
        "/v1/tax/transactions/create_reversal",
        tax_transactions.create_reversal,
        "tax.transaction_create_reversal",
    ),
    Route(
        "GET",
        "/v1/tax/transactions/{transaction}",
        tax_transactions.retrieve_transaction,
        "tax.transaction_retrieve",
    ),
    Route(
        "GET",
        "/v1/tax/transactions/{transaction}/line_items",
        tax_transactions.list_transaction_lines,
        "tax.transaction_line_item_list",
    ),
)

CONNECT_ROUTES = (*_ACCOUNTS, *_TAX, *_TAX_CALCULATIONS, *_TAX_IDS)

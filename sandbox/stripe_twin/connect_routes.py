"""The endpoints of Connect and of the v2 API, whose bodies are JSON."""

from sandbox.stripe_twin import (
    connected_accounts,
    event_destinations,
    external_accounts,
    file_links,
    files,
    persons,
    tax,
    tax_calculations,
    v2_accounts,
)
from sandbox.stripe_twin.calls import Route

_ACCOUNTS = (
    Route("POST", "/v1/accounts", connected_accounts.create_account, "account_create"),
    Route("GET", "/v1/accounts", connected_accounts.list_accounts, "account_list"),
    Route(
        "GET",
        "/v1/account",
        connected_accounts.retrieve_current_account,
        "account_retrieve_current",
    ),
    Route("GET", "/v1/accounts/{id}", connected_accounts.retrieve_account, "account_retrieve"),
    Route("POST", "/v1/accounts/{id}", connected_accounts.update_account, "account_update"),
    Route("DELETE", "/v1/accounts/{id}", connected_accounts.delete_account, "account_delete"),
    Route(
        "GET",
        "/v1/accounts/{id}/capabilities",
        connected_accounts.list_capabilities,
        "account_capability_list",
    ),
    Route(
        "GET",
        "/v1/accounts/{id}/capabilities/{capability}",
        connected_accounts.retrieve_capability,
        "account_capability_retrieve",
    ),
    Route(
        "POST",
        "/v1/accounts/{id}/capabilities/{capability}",
        connected_accounts.update_capability,
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
    Route(
        "POST", "/v1/account_links", connected_accounts.create_account_link, "account_link_create"
    ),
)

_PERSONS = (
    Route("POST", "/v1/accounts/{id}/persons", persons.create_person, "account_person_create"),
    Route("GET", "/v1/accounts/{id}/persons", persons.list_persons, "account_person_list"),
    Route(
        "GET",
        "/v1/accounts/{id}/persons/{person}",
        persons.retrieve_person,
        "account_person_retrieve",
    ),
    Route(
        "POST",
        "/v1/accounts/{id}/persons/{person}",
        persons.update_person,
        "account_person_update",
    ),
    Route(
        "DELETE",
        "/v1/accounts/{id}/persons/{person}",
        persons.delete_person,
        "account_person_delete",
    ),
)

_FILES = (
    Route("POST", "/v1/files", files.create_file, "file_create"),
    Route("GET", "/v1/files", files.list_files, "file_list"),
    Route("GET", "/v1/files/{file}", files.retrieve_file, "file_retrieve"),
    # The SDK has no type for what is sent to the host of files.
    Route("GET", "/v1/files/{file}/contents", files.read_contents, "file_retrieve"),
    Route("POST", "/v1/file_links", file_links.create_file_link, "file_link_create"),
    Route("GET", "/v1/file_links", file_links.list_file_links, "file_link_list"),
    Route("GET", "/v1/file_links/{link}", file_links.retrieve_file_link, "file_link_retrieve"),
    Route("POST", "/v1/file_links/{link}", file_links.update_file_link, "file_link_update"),
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
    Route("POST", "/v1/tax_ids", tax.create_tax_id, "tax_id_create"),
    Route("GET", "/v1/tax_ids", tax.list_tax_ids, "tax_id_list"),
    Route("GET", "/v1/tax_ids/{id}", tax.retrieve_tax_id, "tax_id_retrieve"),
    Route("DELETE", "/v1/tax_ids/{id}", tax.delete_tax_id, "tax_id_delete"),
    Route(
        "POST",
        "/v1/customers/{customer}/tax_ids",
        tax.create_customer_tax_id,
        "customer_tax_id_create",
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/tax_ids",
        tax.list_customer_tax_ids,
        "customer_tax_id_list",
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/tax_ids/{id}",
        tax.retrieve_tax_id,
        "customer_tax_id_retrieve",
    ),
    Route(
        "DELETE",
        "/v1/customers/{customer}/tax_ids/{id}",
        tax.delete_tax_id,
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
        tax_calculations.create_from_calculation,
        "tax.transaction_create_from_calculation",
    ),
    Route(
        "POST",
        "/v1/tax/transactions/create_reversal",
        tax_calculations.create_reversal,
        "tax.transaction_create_reversal",
    ),
    Route(
        "GET",
        "/v1/tax/transactions/{transaction}",
        tax_calculations.retrieve_transaction,
        "tax.transaction_retrieve",
    ),
    Route(
        "GET",
        "/v1/tax/transactions/{transaction}/line_items",
        tax_calculations.list_transaction_lines,
        "tax.transaction_line_item_list",
    ),
)

CONNECT_ROUTES = (*_ACCOUNTS, *_PERSONS, *_FILES, *_TAX, *_TAX_CALCULATIONS, *_TAX_IDS)


_DESTINATIONS = "/v2/core/event_destinations"

_V2_ACCOUNTS = "/v2/core/accounts"

V2_ROUTES = (
    Route("POST", _V2_ACCOUNTS, v2_accounts.create_v2_account, "v2.core.account_create"),
    Route("GET", _V2_ACCOUNTS, v2_accounts.list_v2_accounts, "v2.core.account_list"),
    Route(
        "GET",
        f"{_V2_ACCOUNTS}/{{id}}",
        v2_accounts.retrieve_v2_account,
        "v2.core.account_retrieve",
    ),
    Route(
        "POST", f"{_V2_ACCOUNTS}/{{id}}", v2_accounts.update_v2_account, "v2.core.account_update"
    ),
    Route(
        "POST",
        f"{_V2_ACCOUNTS}/{{id}}/close",
        v2_accounts.close_v2_account,
        "v2.core.account_close",
    ),
    Route("GET", "/v2/core/events", event_destinations.list_v2_events, "v2.core.event_list"),
    Route(
        "GET",
        "/v2/core/events/{id}",
        event_destinations.retrieve_v2_event,
        "v2.core.event_retrieve",
    ),
    Route(
        "POST",
        _DESTINATIONS,
        event_destinations.create_event_destination,
        "v2.core.event_destination_create",
    ),
    Route(
        "GET",
        _DESTINATIONS,
        event_destinations.list_event_destinations,
        "v2.core.event_destination_list",
    ),
    Route(
        "GET",
        f"{_DESTINATIONS}/{{id}}",
        event_destinations.retrieve_event_destination,
        "v2.core.event_destination_retrieve",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}",
        event_destinations.update_event_destination,
        "v2.core.event_destination_update",
    ),
    Route(
        "DELETE",
        f"{_DESTINATIONS}/{{id}}",
        event_destinations.delete_event_destination,
        "v2.core.event_destination_delete",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/enable",
        event_destinations.enable_event_destination,
        "v2.core.event_destination_enable",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/disable",
        event_destinations.disable_event_destination,
        "v2.core.event_destination_disable",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/ping",
        event_destinations.ping_event_destination,
        "v2.core.event_destination_ping",
    ),
)

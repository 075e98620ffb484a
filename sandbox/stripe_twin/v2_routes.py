"""The endpoints of the v2 API: JSON in and out."""

from sandbox.stripe_twin import event_destinations as destinations
from sandbox.stripe_twin import v2_accounts, v2_events
from sandbox.stripe_twin.routing import Route

_DESTINATIONS = "/v2/core/event_destinations"

_ACCOUNTS = "/v2/core/accounts"

V2_ROUTES = (
    Route("POST", _ACCOUNTS, v2_accounts.create_v2_account, "v2.core.account_create"),
    Route("GET", _ACCOUNTS, v2_accounts.list_v2_accounts, "v2.core.account_list"),
    Route(
        "GET",
        f"{_ACCOUNTS}/{{id}}",
        v2_accounts.retrieve_v2_account,
        "v2.core.account_retrieve",
    ),
    Route("POST", f"{_ACCOUNTS}/{{id}}", v2_accounts.update_v2_account, "v2.core.account_update"),
    Route(
        "POST",
        f"{_ACCOUNTS}/{{id}}/close",
        v2_accounts.close_v2_account,
        "v2.core.account_close",
    ),
    Route("GET", "/v2/core/events", v2_events.list_v2_events, "v2.core.event_list"),
    Route("GET", "/v2/core/events/{id}", v2_events.retrieve_v2_event, "v2.core.event_retrieve"),
    Route(
        "POST",
        _DESTINATIONS,
        destinations.create_event_destination,
        "v2.core.event_destination_create",
    ),
    Route(
        "GET",
        _DESTINATIONS,
        destinations.list_event_destinations,
        "v2.core.event_destination_list",
    ),
    Route(
        "GET",
        f"{_DESTINATIONS}/{{id}}",
        destinations.retrieve_event_destination,
        "v2.core.event_destination_retrieve",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}",
        destinations.update_event_destination,
        "v2.core.event_destination_update",
    ),
    Route(
        "DELETE",
        f"{_DESTINATIONS}/{{id}}",
        destinations.delete_event_destination,
        "v2.core.event_destination_delete",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/enable",
        destinations.enable_event_destination,
        "v2.core.event_destination_enable",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/disable",
        destinations.disable_event_destination,
        "v2.core.event_destination_disable",
    ),
    Route(
        "POST",
        f"{_DESTINATIONS}/{{id}}/ping",
        destinations.ping_event_destination,
        "v2.core.event_destination_ping",
    ),
)

"""Every route of the twin: what it answers is what the SDK declares, what it is sent is checked."""

from typing import Any

import aiohttp

from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin
from sandbox.stripe_twin.calls import Route
from sandbox.stripe_twin.params import adapter, transport_options
from sandbox.stripe_twin.routes import ROUTES
from tests.sandbox.stripe_twin.route_tour import (
    RouteTour,
    tour_billing,
    tour_connect,
    tour_customers,
    tour_identity,
    tour_money,
    tour_payments,
    tour_reports,
    tour_tax,
    tour_v2,
    tour_v2_accounts,
)


async def test_every_route_answers_what_the_sdk_declares(twin: Twin) -> None:
    async with aiohttp.ClientSession() as session:
        tour = RouteTour(session, twin)
        charge = await tour_payments(tour)
        await tour_customers(tour)
        await tour_money(tour, twin, charge)
        await tour_connect(tour, twin)
        await tour_tax(tour)
        await tour_identity(tour, twin)
        await tour_billing(tour)
        await tour_reports(tour, twin)
        await tour_v2(tour)
        await tour_v2_accounts(tour)
    assert tour.visited == {(route.method, route.pattern) for route in ROUTES}


async def refused(session: aiohttp.ClientSession, route: Route, params: dict[str, str]) -> Any:
    """The error with which a route refuses parameters; the check comes before its endpoint."""
    path = route.pattern.replace("{", "").replace("}", "")
    headers = {"Authorization": f"Bearer {DEFAULT_ACCOUNT.secret_key}", "Idempotency-Key": "k"}
    sent: dict[str, Any] = {"params": params}
    if route.method == "POST":
        sent = {"json" if path.startswith("/v2/") else "data": params}
    async with session.request(route.method, path, headers=headers, **sent) as response:
        assert response.status == 400, (route, params)
        return (await response.json())["error"]


async def test_every_route_refuses_an_unknown_parameter(twin: Twin) -> None:
    async with aiohttp.ClientSession(twin.url) as session:
        for route in ROUTES:
            error = await refused(session, route, {"colour": "red"})
            assert (error["code"], error["param"]) == ("parameter_unknown", "colour"), route
    assert len(twin.account().keys) == 0
    assert not any(request.acted for request in twin.requests.seen)


async def test_every_route_refuses_what_is_of_another_type(twin: Twin) -> None:
    tried = 0
    async with aiohttp.ClientSession(twin.url) as session:
        for route in ROUTES:
            for name in not_text(route):
                error = await refused(session, route, {name: "wrong"})
                # What is missing may be named first.
                assert error["param"] == name or error["code"] == "parameter_missing", route
                tried += error["param"] == name
    assert tried > len(ROUTES)
    assert len(twin.account().keys) == 0
    assert not any(request.acted for request in twin.requests.seen)


def not_text(route: Route) -> list[str]:
    """The parameters of a route that are numbers, switches, lists or maps."""
    properties = adapter(route.params).json_schema()["properties"]
    kinds = {"integer", "boolean", "array", "object"}
    return [
        name
        for name, wanted in properties.items()
        if wanted.get("type") in kinds and name not in transport_options()
    ]

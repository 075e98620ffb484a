"""A gateway with the Stripe twin, for customers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.v1 import customer_service_pb2 as pb
from sandbox.stripe_twin.twin import Twin, running_twin
from tests.gateway.running import running_gateway


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with running_twin(seed=3) as running:
        yield running


@pytest.fixture
def database_url(new_database: Callable[[str], str]) -> str:
    return new_database("gateway")


@pytest.fixture
async def customers(database_url: str, twin: Twin) -> AsyncIterator[Any]:
    """A stub of CustomerService."""
    async with running_gateway(database_url, twin) as running:
        yield running.customers


def new_customer(request_id: str = "create-1", **changes: object) -> pb.CreateCustomerRequest:
    """A request for a customer with everything that Stripe shall know."""
    values: dict[str, object] = {
        "request_id": request_id,
        "customer_id": "ada",
        "email": "ada@example.com",
        "name": "Ada Mapleton",
        "metadata": {"tier": "gold"},
    }
    return pb.CreateCustomerRequest(**(values | changes))  # type: ignore[arg-type]


async def save(customers: Any, request_id: str, card: str, **changes: object) -> Any:
    """Saves the test card `card` (`visa` is pm_card_visa) for ada; the setup."""
    values: dict[str, object] = {
        "request_id": request_id,
        "customer_id": "ada",
        "payment_method_id": f"pm_card_{card}",
    }
    request = pb.SavePaymentMethodRequest(**(values | changes))  # type: ignore[arg-type]
    return (await customers.SavePaymentMethod(request)).setup

"""A gateway with the Stripe twin, for customers."""

from typing import Any

import pytest

from gateway.v1 import customer_service_pb2 as pb
from tests.gateway.running import RunningGateway


@pytest.fixture
def customers(gateway: RunningGateway) -> Any:
    """A stub of CustomerService."""
    return gateway.customers


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

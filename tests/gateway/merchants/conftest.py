"""A gateway with the Stripe twin, for merchants."""

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.v1 import merchant_service_pb2 as pb
from sandbox.stripe_twin.twin import Twin, running_twin
from tests.gateway.running import RunningGateway, running_gateway


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with running_twin(seed=2) as running:
        yield running


@pytest.fixture
def database_url(new_database: Callable[[str], str]) -> str:
    return new_database("gateway")


@pytest.fixture
async def gateway(database_url: str, twin: Twin) -> AsyncIterator[RunningGateway]:
    async with running_gateway(database_url, twin) as running:
        yield running


def new_merchant(request_id: str = "create-1", **changes: object) -> pb.CreateMerchantRequest:
    """A request for a company in Germany."""
    values: dict[str, object] = {
        "request_id": request_id,
        "merchant_id": "shop-1",
        "country_code": "DE",
        "dashboard": pb.MERCHANT_DASHBOARD_EXPRESS,
        "business_type": pb.MERCHANT_BUSINESS_TYPE_COMPANY,
        "requested_capabilities": ["card_payments", "transfers"],
        "email": "owner@example.com",
        "business_name": "Blumen Meier",
        "metadata": {"tier": "gold"},
    }
    return pb.CreateMerchantRequest(**(values | changes))  # type: ignore[arg-type]

"""A gateway as for payments, with a merchant whose account at Stripe has money."""

from collections.abc import AsyncIterator

import pytest

from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.conftest import (
    OpenShop,
    compliance,
    database_url,
    open_shop,
    template,
    twin,
)
from tests.gateway.payouts.treasury import Treasury

__all__ = ["compliance", "database_url", "open_shop", "template", "twin"]


@pytest.fixture
async def treasury(open_shop: OpenShop, twin: Twin) -> AsyncIterator[Treasury]:
    async with open_shop() as shop:
        yield await Treasury.open(shop, twin)

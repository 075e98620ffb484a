"""A merchant whose account at Stripe has money."""

from collections.abc import AsyncIterator

import pytest

from sandbox.stripe_twin.twin import Twin
from tests.gateway.payouts.treasury import Treasury
from tests.gateway.running import OpenShop


@pytest.fixture
async def treasury(open_shop: OpenShop, twin: Twin) -> AsyncIterator[Treasury]:
    async with open_shop() as shop:
        yield await Treasury.open(shop, twin)

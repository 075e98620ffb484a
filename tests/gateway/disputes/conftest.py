"""A desk that deals with disputes."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.disputes.desk import Desk
from tests.gateway.running import OpenShop


@pytest.fixture
async def desk(open_shop: OpenShop) -> AsyncIterator[Desk]:
    async with open_shop() as shop:
        yield Desk(shop)

"""A gateway as for payments, and a desk that deals with disputes."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.disputes.desk import Desk
from tests.gateway.payments.conftest import (
    OpenShop,
    compliance,
    database_url,
    open_shop,
    template,
    twin,
)

__all__ = ["compliance", "database_url", "open_shop", "template", "twin"]


@pytest.fixture
async def desk(open_shop: OpenShop) -> AsyncIterator[Desk]:
    async with open_shop() as shop:
        yield Desk(shop)

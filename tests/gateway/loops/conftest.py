"""A gateway with all its loops, a client of it, and a client's server that takes webhooks."""

from tests.gateway.payments.conftest import compliance, database_url, open_shop, template, twin
from tests.gateway.webhooks_out.conftest import open_receiver, receiver

__all__ = [
    "compliance",
    "database_url",
    "open_receiver",
    "open_shop",
    "receiver",
    "template",
    "twin",
]

"""A gateway as for payments that sweeps when it is told to."""

from tests.gateway.payments.conftest import (
    compliance,
    database_url,
    open_shop,
    template,
    twin,
)

__all__ = ["compliance", "database_url", "open_shop", "template", "twin"]

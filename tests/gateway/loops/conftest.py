"""A client's server that takes webhooks."""

from tests.gateway.webhooks_out.conftest import open_receiver, receiver

__all__ = ["open_receiver", "receiver"]

"""Who leads the stream that Stripe's webhooks wait in."""

import nats

from sandbox.polling import poll
from tests.ha.cluster import Cluster
from tests.ha.node import Node

STREAM = "gateway-webhooks"
CONNECT_SECONDS = 5.0


async def jetstream_leader(cluster: Cluster) -> Node:
    """The node whose server leads the stream. Raises `TimeoutError`."""
    connection = await nats.connect(
        cluster.nats_urls.split(","), connect_timeout=CONNECT_SECONDS, allow_reconnect=False
    )
    try:

        async def leader() -> str:
            found = await connection.jetstream().stream_info(STREAM)
            return (found.cluster.leader if found.cluster else None) or ""

        name = await poll(leader, bool)
    finally:
        await connection.close()
    return next(node for node in cluster.nodes.values() if node.name == name)

"""People who work on breaks in a test: what they are refused, and how they name items."""

from typing import Any

import grpc
import pytest

from reconciliation.v1 import reconciliation_pb2 as messages
from runtime.errors import from_rpc_error

PEOPLE = ("ann.example", "bob.example", "fin.example")
STREAM_SECONDS = 60.0


async def refusal(call: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.reason, dict(error.metadata)


def named(source: str, key: str) -> messages.ItemKey:
    return messages.ItemKey(
        source=messages.Source.Value(f"SOURCE_{source}"), corridor="main", key=key
    )

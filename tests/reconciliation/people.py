"""People who work on breaks over a socket: what they ask, and what they are refused."""

from typing import Any

import grpc
import pytest

from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from runtime.errors import from_rpc_error
from runtime.signed_notes import SignerKey

PEOPLE = ("ann.example", "bob.example", "fin.example")
STREAM_SECONDS = 60.0
# Signs the statements of closed periods.
SIGNER = SignerKey("finance.test", bytes(range(32)))


async def refusal(call: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error = from_rpc_error(caught.value)
    return error.reason, dict(error.metadata)


def named(source: str, key: str) -> messages.ItemKey:
    return messages.ItemKey(
        source=messages.Source.Value(f"SOURCE_{source}"), corridor="main", key=key
    )


async def breaks(stub: Any, **wanted: Any) -> list[messages.Break]:
    return list((await stub.ListBreaks(pb.ListBreaksRequest(**wanted))).breaks)

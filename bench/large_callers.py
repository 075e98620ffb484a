"""Callers that all send large batches to a ledger at once: a process beside the one that measures.

`python -m bench.large_callers ADDRESS CALLERS` prints what became of them as one line of JSON. Each
has a connection of its own, and repeats what is refused as OVERLOADED, as it is told to.
"""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import grpc
import uvloop

from bench.ledger_memory import BATCH, largest_batches
from bench.ledger_parts import raw_call
from bench.ledger_requests import check_batches, uniform_pairs
from runtime.command_line import command_parser
from runtime.errors import from_rpc_error
from runtime.message_size import MAX_MESSAGE_BYTES

METHOD = "/ledger.v1.LedgerService/BatchCreateTransactions"
CALL_SECONDS = 60.0
# After which a caller gives up.
GIVE_UP_SECONDS = 180.0
# The same for all: no batch is sent before every caller has its connection.
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
)


async def send(address: str, callers: int) -> dict[str, Any]:
    """Sends one batch per caller until it is taken; how many were, and how others ended."""
    requests = largest_batches(uniform_pairs(), callers)
    ends: Counter[str] = Counter()
    started = time.perf_counter()

    async def call(channel: grpc.aio.Channel, request: bytes) -> None:
        while time.perf_counter() < started + GIVE_UP_SECONDS:
            try:
                answer = await raw_call(channel, METHOD)(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                ends[error.code().name] += 1
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    return
                delay = from_rpc_error(error).retry_delay
                await asyncio.sleep(delay.total_seconds() if delay is not None else 1)
            else:
                check_batches([answer], BATCH)
                ends["OK"] += 1
                return

    channels = [grpc.aio.insecure_channel(address, options=OPTIONS) for _ in range(callers)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    started = time.perf_counter()
    calls = zip(channels, requests, strict=True)
    await asyncio.gather(*(call(channel, request) for channel, request in calls))
    seconds = time.perf_counter() - started
    await asyncio.gather(*(channel.close() for channel in channels))
    taken = ends.pop("OK", 0)
    return {
        "taken": taken,
        "items": taken * BATCH,
        "refused": ends.pop("RESOURCE_EXHAUSTED", 0),
        "ended": dict(ends),
        "seconds": round(seconds, 2),
    }


def main() -> None:
    """Reads the command line, sends, and prints."""
    parser = command_parser("bench.large_callers", "Sends the largest batches to a ledger.")
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument("callers", type=int, metavar="CALLERS")
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(send(arguments.address, arguments.callers))))


if __name__ == "__main__":
    main()

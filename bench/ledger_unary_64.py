"""`ledger.unary_64`: transfers one per call from 64 callers, against an empty echo from as many.

Service and echo are processes of their own on loopback, the commits durable, every feature on.
Rounds alternate, because the machine drifts; medians are compared.
"""

import statistics
from typing import Any

from bench import echo
from bench.ledger_parts import LEDGER, closed_loop, free_port, ledger_service, process, transfer
from ledger.v1.transaction_mutations_pb2 import CreateTransactionRequest

NAME = "ledger.unary_64"
CALLERS = 64
ROUNDS = 5
CALLS_PER_ROUND = 4_000


async def measure() -> dict[str, Any]:
    """The benchmark's line; `limit` is the echo's rate and `ratio` the ledger's share of it."""
    echo_port = free_port()
    async with (
        ledger_service() as (stub, _),
        process(echo_port, {}, "bench.echo", str(echo_port)) as channel,
    ):
        empty: Any = channel.unary_unary(echo.METHOD)
        made = 0

        async def create() -> None:
            nonlocal made
            made += 1
            await stub.CreateTransaction(
                CreateTransactionRequest(
                    request_id=f"unary-{made}", ledger=LEDGER, transaction=transfer()
                )
            )

        async def call_echo() -> None:
            await empty(b"")

        rates: dict[Any, list[float]] = {create: [], call_echo: []}
        for call in rates:
            await closed_loop(call, callers=CALLERS, calls=CALLS_PER_ROUND // 4)
        for _ in range(ROUNDS):
            for call, measured in rates.items():
                rate = await closed_loop(call, callers=CALLERS, calls=CALLS_PER_ROUND)
                measured.append(rate)
    value, limit = (statistics.median(measured) for measured in rates.values())
    return {
        "name": NAME,
        "value": round(value, 1),
        "unit": "transfers/s",
        "limit": round(limit, 1),
        "limit_name": "empty grpc.aio echo with the same callers",
        "ratio": round(value / limit, 3),
        "callers": CALLERS,
        "transfers": ROUNDS * CALLS_PER_ROUND,
    }

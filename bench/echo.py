"""An empty unary gRPC echo, the limit of what one call can cost: `python -m bench.echo PORT`."""

import asyncio
from typing import Any

import grpc
import uvloop

from runtime.command_line import command_parser

METHOD = "/bench.Echo/Call"


async def serve(port: int) -> None:
    """Answers every request with its own bytes, until the process is ended."""

    async def echo(request: bytes, _context: Any) -> bytes:
        return request

    handler = grpc.method_handlers_generic_handler(
        "bench.Echo", {"Call": grpc.unary_unary_rpc_method_handler(echo)}
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main() -> None:
    """Reads the command line and serves."""
    parser = command_parser("bench.echo", "An empty unary gRPC echo on 127.0.0.1.")
    parser.add_argument("port", type=int, metavar="PORT")
    port = parser.parse_args().port
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(port))


if __name__ == "__main__":
    main()

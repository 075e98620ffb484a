#!/usr/bin/env bash
# A gRPC server for Python takes 4 MiB of a request that its handler never reads.
#
# Guess: HTTP/2's flow control holds a client back after the initial window of 64 KiB, so that a
# handler which checks rights or waits for room before it reads costs next to nothing.
# Seen with grpcio 1.85.1 (2026-11): the window is grown by the estimate of the connection's
# bandwidth, on loopback to 4 MiB, whether anybody reads or not: so much each caller costs who waits
# for room, or has no rights. The server option grpc.http2.bdp_probe=0 keeps it at the first window.
#
#   as it is           4195245 bytes taken
#   bdp_probe=0          65902 bytes taken
#
# Here: runtime/server.py sets the option.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
cat > "$folder/run.py" <<'PY'
"""Counts what a client's connection carries to a server whose handler does not read."""

import asyncio
import sys
from contextlib import suppress

import grpc

MESSAGE = bytes(64 * 1024)
KIB = 1024


class NeverReads(grpc.GenericRpcHandler):
    def __init__(self):
        self.begun = asyncio.Event()

    def service(self, _details):
        async def handle(_requests, _context):
            self.begun.set()
            await asyncio.sleep(3_600)

        return grpc.stream_unary_rpc_method_handler(handle)


async def taken(options):
    """The bytes that went to the server until no more did."""
    handler = NeverReads()
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    carried = 0

    async def pump(reader, writer, counts):
        nonlocal carried
        with suppress(ConnectionError):
            while data := await reader.read(64 * KIB):
                writer.write(data)
                await writer.drain()
                carried += len(data) if counts else 0
        writer.close()

    async def between(reader, writer):
        to_server = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_server[1], True), pump(to_server[0], writer, False))

    proxy = await asyncio.start_server(between, "127.0.0.1", 0)
    address = f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_unary("/example.Service/Method")()

        async def send():
            with suppress(grpc.aio.AioRpcError):
                while True:
                    await call.write(MESSAGE)

        sending = asyncio.create_task(send())
        await asyncio.wait_for(handler.begun.wait(), 30)
        before = -1
        while carried != before:
            before = carried
            await asyncio.sleep(1)
        sending.cancel()
        call.cancel()
    await server.stop(0)
    proxy.close()
    return before


async def main():
    as_it_is = await taken(())
    without_probe = await taken((("grpc.http2.bdp_probe", 0),))
    print(f"grpcio {grpc.__version__}")
    print(f"as it is        {as_it_is:>10} bytes taken")
    print(f"bdp_probe=0     {without_probe:>10} bytes taken")
    as_stated = as_it_is > 1024 * KIB and without_probe < 128 * KIB
    sys.exit(0 if as_stated else 1)


asyncio.run(main())
PY
"$folder/env/bin/python" "$folder/run.py" 2>"$folder/log" || { code=$?; cat "$folder/log"; exit "$code"; }

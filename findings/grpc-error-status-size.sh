#!/usr/bin/env bash
# The size at which a Python gRPC client loses an error's status is drawn at random for each call.
#
# Guess: trailers up to a fixed limit (8 KiB by default) are read, larger ones are refused.
# Seen with grpcio 1.85.1 (2026-11): above the soft limit of 8,192 bytes each call is refused with a
# probability that grows up to the hard limit of 16,384. So the same failed call tells its code and
# details in one attempt, and RESOURCE_EXHAUSTED "Stream removed" in the next: an ALREADY_EXISTS
# that a program acts on becomes an error that it retries. Tests with small requests never see it.
#
#    7000 bytes: 60 of 60 read
#   12300 bytes: some of 60 read, the others RESOURCE_EXHAUSTED
#   17000 bytes: 0 of 60 read
#
# Here: runtime/errors.py keeps every status below 4 KiB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1
cat > "$folder/run.py" <<'PY'
import asyncio
import sys

import grpc

CALLS = 60
EXPECTED = {7_000: "all", 12_300: "some", 17_000: "none"}


async def fail(request, context):
    await context.abort(
        grpc.StatusCode.ALREADY_EXISTS,
        "refused",
        trailing_metadata=(("details-bin", b"x" * int(request)),),
    )


async def read(channel, size):
    """Whether the client learns the code that the server sent."""
    try:
        await channel.unary_unary("/t.T/Fail")(str(size).encode(), timeout=10)
    except grpc.aio.AioRpcError as error:
        assert error.code() in (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.RESOURCE_EXHAUSTED)
        return error.code() is grpc.StatusCode.ALREADY_EXISTS
    raise AssertionError("the call succeeded")


async def main():
    server = grpc.aio.server()
    methods = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    changed = False
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for size, expected in EXPECTED.items():
            count = sum([await read(channel, size) for _ in range(CALLS)])
            print(f"{size:6} bytes: {count} of {CALLS} read")
            seen = {0: "none", CALLS: "all"}.get(count, "some")
            changed = changed or seen != expected
    await server.stop(None)
    return changed


print("grpcio", grpc.__version__)
sys.exit(asyncio.run(main()))
PY
"$folder/env/bin/python" "$folder/run.py"

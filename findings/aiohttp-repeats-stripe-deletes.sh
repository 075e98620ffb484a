#!/usr/bin/env bash
# With max_network_retries=0 the Stripe SDK's asynchronous client still sends a DELETE twice when its answer is lost.
#
# Guess: a client that is told to retry nothing sends each request once, so that a deletion is answered as deleted or not
# at all. Seen with stripe 16.1.0 and aiohttp 3.14.5 (2026-11): when a connection that was kept alive is closed before
# the answer, aiohttp itself repeats GET, PUT and DELETE once on a new connection, under the SDK and whatever the SDK's
# retries are. The first DELETE was carried out, so the caller is told resource_missing of what it has just deleted; logs
# and time limits of the SDK show one call. A POST is not repeated.
#
#   DELETE: received 2 times, InvalidRequestError resource_missing
#   POST: received 1 times, APIConnectionError
#
# Here: whatever is to be deleted and is missing counts as deleted (gateway/operations/outcomes.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check stripe==16.1.0 aiohttp==3.14.5
cat > "$folder/run.py" <<'PY'
import asyncio
import sys

import aiohttp
import stripe
from aiohttp import web

EXPECTED = {
    "DELETE": (2, "InvalidRequestError resource_missing"),
    "POST": (1, "APIConnectionError"),
}
received = {"DELETE": 0, "POST": 0}
customers = {"cus_1"}


async def customer(request):
    """Carries a change out, and loses the connection before its answer, the first time."""
    if request.method == "GET":
        return web.json_response({"id": "cus_1", "object": "customer"})
    received[request.method] += 1
    if request.method == "DELETE" and "cus_1" not in customers:
        error = {"type": "invalid_request_error", "code": "resource_missing", "message": "No such customer"}
        return web.json_response({"error": error}, status=404)
    if request.method == "DELETE":
        customers.remove("cus_1")
    request.transport.close()
    return web.Response()


async def outcome(client, method):
    """What the caller is told, after a call that leaves a connection to be used again."""
    await client.v1.customers.retrieve_async("cus_1")
    try:
        if method == "DELETE":
            await client.v1.customers.delete_async("cus_1")
        else:
            await client.v1.customers.update_async("cus_1", {"name": "A. Example"})
    except stripe.StripeError as error:
        return f"{type(error).__name__} {error.code or ''}".strip()
    return "done"


async def main():
    application = web.Application()
    application.router.add_route("*", "/v1/customers/cus_1", customer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    seen = {}
    async with aiohttp.ClientSession() as session:
        client = stripe.StripeClient(
            "sk_test_of_nobody",
            max_network_retries=0,
            http_client=stripe.AIOHTTPClient(session=session),
            base_addresses={"api": url},
        )
        for method in EXPECTED:
            told = await outcome(client, method)
            seen[method] = received[method], told
            print(f"{method}: received {received[method]} times, {told}")
    await runner.cleanup()
    return seen != EXPECTED


print("stripe", stripe.VERSION, "aiohttp", aiohttp.__version__)
sys.exit(asyncio.run(main()))
PY
"$folder/env/bin/python" "$folder/run.py"

"""`python -m tests.sandbox.stripe_twin.compare_localstripe`: a second opinion on shared flows.

localstripe is another imitation of Stripe, under the GPL: it is no dependency of ours. This
installs it into an environment of its own below build/, runs it as a process of its own, takes
both through the same flows with the same SDK, and prints where their answers differ.
"""

import asyncio
import os
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import stripe

from runtime.command_line import command_parser
from sandbox.addresses import free_port
from sandbox.stripe_twin import DEFAULT_ACCOUNT, running_twin
from tests.sandbox.stripe_twin.shared_flows import FLOWS, Flow, Observation, Side

REQUIREMENT = "localstripe==1.15.10"
DIRECTORY = Path("build/localstripe").resolve()
START_SECONDS = 30.0
POLL_SECONDS = 0.1


async def compare() -> list[tuple[str, str, str, str]]:
    """The flow, what was looked at, and what each of the two answered."""
    rows = []
    async with twin_side() as twin, localstripe_side() as other:
        for flow in FLOWS:
            ours, theirs = await flow(twin), await _attempt(flow, other)
            rows += [
                (flow.__name__, what, str(value), str(theirs.get(what, theirs.get("error"))))
                for what, value in ours.items()
            ]
    return rows


async def _attempt(flow: Flow, side: Side) -> Observation:
    """A flow through localstripe, which may lack a part of it."""
    try:
        return await flow(side)
    except (stripe.StripeError, AttributeError, KeyError) as error:
        return {"error": f"fails: {type(error).__name__}"}


@asynccontextmanager
async def twin_side() -> AsyncIterator[Side]:
    """A twin in this process."""
    async with running_twin() as twin, _side(twin.url, DEFAULT_ACCOUNT.secret_key) as side:
        yield side


@asynccontextmanager
async def localstripe_side() -> AsyncIterator[Side]:
    """A localstripe in a process of its own."""
    port = free_port()
    with (DIRECTORY / "log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            str(DIRECTORY / "bin" / "localstripe"),
            "--from-scratch",
            "--port",
            str(port),
            stdout=log,
            stderr=log,
            env={**os.environ, "TMPDIR": str(DIRECTORY)},
        )
    try:
        url = f"http://localhost:{port}"
        await until_answering(url)
        async with _side(url, "sk_test_12345") as side:
            yield side
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _side(url: str, key: str) -> AsyncIterator[Side]:
    is_twin = key == DEFAULT_ACCOUNT.secret_key
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        aiohttp.ClientSession() as transport,
    ):
        client = stripe.StripeClient(
            key,
            base_addresses={"api": url},
            http_client=stripe.AIOHTTPClient(timeout=10, session=transport),
            max_network_retries=0,
        )
        confirming = {"allowed_payment_method_types": ["card"]} if is_twin else {}
        yield Side(client, session, url, confirming, is_twin)


async def until_answering(url: str) -> None:
    """Waits for a server that has just been started."""
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(POLL_SECONDS)


def install() -> None:
    """Installs localstripe into its own environment, unless it is there."""
    if (DIRECTORY / "bin" / "localstripe").exists():
        return
    venv.create(DIRECTORY, with_pip=True, clear=True)
    pip = [str(DIRECTORY / "bin" / "pip"), "install", "--quiet", REQUIREMENT]
    subprocess.run(pip, check=True)


def main() -> None:
    """Prints the table; the exit status says whether a flow could be compared at all."""
    command_parser("tests.sandbox.stripe_twin.compare_localstripe", __doc__ or "").parse_args()
    install()
    rows = asyncio.run(compare())
    print("| flow | what | twin | localstripe | |\n|---|---|---|---|---|")
    for flow, what, ours, theirs in rows:
        mark = "" if ours == theirs else "differs"
        print(f"| {flow} | {what} | {ours} | {theirs} | {mark} |")
    same = sum(ours == theirs for _, _, ours, theirs in rows)
    print(f"\n{len(rows)} answers compared, {same} alike")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()

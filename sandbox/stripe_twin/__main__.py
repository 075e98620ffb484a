"""`python -m sandbox.stripe_twin`: the twin on 127.0.0.1, until it is interrupted."""

import argparse
import asyncio
import gc
import signal

import uvloop

from sandbox.stripe_twin.accounts import ACCOUNTS
from sandbox.stripe_twin.settings import TwinSettings
from sandbox.stripe_twin.twin import DEFAULT_PORT, running_twin

# The twin only grows, and its objects form no cycles: frequent full collections would be long
# pauses in the middle of a measurement.
GC_THRESHOLDS = (50_000, 50, 1_000)


async def serve(port: int, settings: TwinSettings) -> None:
    """Runs a twin until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_twin(port=port, settings=settings) as twin:
        print(f"Stripe twin on {twin.url}, admin API under {twin.url}/_twin", flush=True)
        for account in ACCOUNTS:
            print(f"  {account.name}: key {account.secret_key}", flush=True)
        await stop.wait()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.stripe_twin", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument(
        "--allow-missing-keys",
        action="store_true",
        help="accept POSTs without an idempotency key, as Stripe does",
    )
    arguments = parser.parse_args()
    settings = TwinSettings(strict_idempotency=not arguments.allow_missing_keys)
    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(serve(arguments.port, settings))


if __name__ == "__main__":
    main()

"""`python -m sandbox.stripe_twin`: the twin on 127.0.0.1, until it is interrupted."""

import asyncio
import gc
import signal
from collections.abc import Sequence
from pathlib import Path

import uvloop

from runtime.clock import Clock
from runtime.command_line import command_parser
from sandbox.shared_clock import SharedClock
from sandbox.stripe_twin.accounts import ALL_ACCOUNTS
from sandbox.stripe_twin.settings import TwinSettings
from sandbox.stripe_twin.twin import DEFAULT_PORT, LOOPBACK, running_twin

# The twin only grows, and its objects form no cycles: frequent full collections would be long
# pauses in the middle of a measurement.
GC_THRESHOLDS = (50_000, 50, 1_000)


async def serve(
    host: str,
    port: int,
    settings: TwinSettings,
    webhooks: Sequence[tuple[str, str]],
    clock: Clock | None = None,
) -> None:
    """Runs a twin until SIGINT or SIGTERM; `webhooks` are pairs of account and URL."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_twin(host=host, port=port, settings=settings, clock=clock) as twin:
        for account, url in webhooks:
            for connect in (False, True):
                twin.register_webhook(url, account, connect=connect)
        print(f"Stripe twin on {twin.url}, admin API under {twin.url}/_twin", flush=True)
        for platform in ALL_ACCOUNTS:
            print(f"  {platform.name}: key {platform.secret_key}", flush=True)
        await stop.wait()


def main() -> None:
    """Reads the command line and serves."""
    parser = command_parser(
        "sandbox.stripe_twin", "An imitation of Stripe's API, until it is interrupted."
    )
    parser.add_argument("--host", default=LOOPBACK, help="only for containers; see Twin.start")
    parser.add_argument(
        "--webhook",
        nargs=2,
        action="append",
        default=[],
        metavar=("ACCOUNT", "URL"),
        help="where to send the events of an account and of its connected accounts",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"{DEFAULT_PORT} unless told"
    )
    parser.add_argument(
        "--allow-missing-keys",
        action="store_true",
        help="accept POSTs without an idempotency key, as Stripe does",
    )
    parser.add_argument(
        "--clock", type=Path, metavar="FILE", help="of sandbox.shared_clock, in place of the time"
    )
    arguments = parser.parse_args()
    clock = None if arguments.clock is None else SharedClock(arguments.clock)
    settings = TwinSettings(strict_idempotency=not arguments.allow_missing_keys)
    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(serve(arguments.host, arguments.port, settings, arguments.webhook, clock))


if __name__ == "__main__":
    main()

"""Plays one history of a seed and judges what reconciliation says of it in two orders of arrival.

python -m tests.reconciliation.judge --seed 7 --items 20000
"""

import asyncio
import secrets
import sys
from contextlib import ExitStack

from runtime.command_line import command_parser
from runtime.migrations import migrate
from sandbox.embedded_postgres import temporary_server
from tests.plugin import Databases
from tests.reconciliation.judge.playing import figures, play
from tests.reconciliation.judge.trial import try_out

MAX_SEED = 2**31
ORDERS = 2
SHOWN_VIOLATIONS = 40


def main() -> None:
    """Exit code 1 if anything was not found, found wrong, or invented."""
    parser = command_parser("tests.reconciliation.judge", __doc__ or "")
    parser.add_argument("--seed", type=int, default=None, help="drawn if it is not given")
    parser.add_argument("--items", type=int, default=20_000, help="about so many")
    arguments = parser.parse_args()
    seed = secrets.randbelow(MAX_SEED) if arguments.seed is None else arguments.seed
    history = play(seed, arguments.items)
    print(f"seed {seed}: {history.items} items; {figures(history.happened)}", flush=True)
    with ExitStack() as stack:
        server = stack.enter_context(temporary_server())
        databases = Databases(server.server_url)
        urls = [databases.make(f"judge_{order}") for order in range(ORDERS)]
        for url in urls:
            asyncio.run(migrate(url, "reconciliation"))
        trial = asyncio.run(try_out(history, urls))
    for violation in trial.violations[:SHOWN_VIOLATIONS]:
        print(violation)
    print(trial.line(), flush=True)
    sys.exit(1 if trial.violations else 0)


if __name__ == "__main__":
    main()

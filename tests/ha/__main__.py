"""`make ha`: three nodes and two replicas of each service on this machine, and what breaks them.

python -m tests.ha --events node-lost,cut-off --runs 3
python -m tests.ha --seed 7 --payments 2000
"""

import argparse
import asyncio
import shutil
import sys
from random import Random

from runtime.command_line import command_parser
from sandbox.processes import PROJECT
from tests.ha.events import EVENTS, Event
from tests.ha.network import enter_own_namespace
from tests.ha.programs import MissingProgramError, etcd, patroni
from tests.ha.run import FULL, Drawing, Report, play
from tests.ha.table import broken, tell

BUILD = PROJECT / "build" / "ha"


def main() -> None:
    """Exit code 1 if a limit was broken, 2 if something has to be installed."""
    parser = command_parser("tests.ha", __doc__ or "")
    parser.add_argument("--events", type=_events, default=list(EVENTS.values()), metavar="A,B")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None, help="draws the order of the events")
    parser.add_argument(
        "--payments",
        type=int,
        default=None,
        help="events are drawn, again and again, until each run has answered so many",
    )
    parser.add_argument("--list", action="store_true", help="shows the events and ends")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{event.name:20} {event.what}" for event in EVENTS.values()))
        return
    try:
        etcd(), patroni()
    except MissingProgramError as missing:
        print(missing, file=sys.stderr)
        sys.exit(2)
    enter_own_namespace()
    reports = [
        asyncio.run(_run(asked.events, number, asked.seed, asked.payments))
        for number in range(asked.runs)
    ]
    tell(reports)
    sys.exit(1 if broken(reports) else 0)


async def _run(events: list[Event], number: int, seed: int | None, payments: int | None) -> Report:
    logs = BUILD / str(number)
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    say(f"run {number + 1}, logs in {logs}")
    ordered, random = list(events), Random(f"{seed} {number}")
    if seed is not None:
        random.shuffle(ordered)
    drawing = None if payments is None else Drawing(random, payments)
    return await play(ordered, logs, say, FULL, drawing)


def _events(names: str) -> list[Event]:
    unknown = [name for name in names.split(",") if name not in EVENTS]
    if unknown:
        known = ", ".join(EVENTS)
        raise argparse.ArgumentTypeError(f"no event is called {unknown[0]!r}; there are {known}")
    return [EVENTS[name] for name in names.split(",")]


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()

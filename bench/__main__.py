"""`make bench`: runs the benchmarks and prints one JSON line for each, and a table at the end.

The limit of each is measured in the same run, because the ratio is what counts: seconds differ
from machine to machine and from hour to hour. See docs/benchmarks.md.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import uvloop

from bench.benchmark import REQUIRED, Benchmark, benchmarks
from bench.ledger_history import SIZE_VARIABLE
from bench.profiling import PROFILE_VARIABLE, write_profiles
from bench.report import table
from runtime.command_line import command_parser

BUILD = Path("build")
OUTPUT = BUILD / "bench.jsonl"


def run(chosen: list[Benchmark], *, profile: bool) -> list[dict[str, Any]]:
    """Runs one after the other, printing each line as it is measured and keeping it."""
    BUILD.mkdir(exist_ok=True)
    lines = []
    for benchmark in chosen:
        folder = BUILD / "profiles" / benchmark.name
        if profile:
            folder.mkdir(parents=True, exist_ok=True)
            os.environ[PROFILE_VARIABLE] = str(folder.absolute())
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            line = runner.run(benchmark.measure())
        missing = REQUIRED - line.keys()
        assert not missing, f"{benchmark.name} does not say its {sorted(missing)}"
        if profile:
            # The profiler takes more time than the code: such figures are not to be compared.
            line = {**line, "profiled": True}
            for text in write_profiles(folder):
                print(f"bench: profile in {text}", file=sys.stderr)
        print(json.dumps(line), flush=True)
        with OUTPUT.open("a", encoding="utf-8") as output:
            output.write(json.dumps(line) + "\n")
        lines.append(line)
    return lines


def main() -> None:
    """Reads the arguments and runs what they choose."""
    parser = command_parser("bench", __doc__ or "")
    parser.add_argument("--only", default="", metavar="PREFIX", help="only names that begin so")
    parser.add_argument("--list", action="store_true", help="print the names and run nothing")
    parser.add_argument(
        "--history",
        metavar="TRANSACTIONS",
        help="how long a history reads and growth are measured on (1000000 unless told)",
    )
    parser.add_argument(
        "--profile", action="store_true", help="profile the service into build/profiles/"
    )
    arguments = parser.parse_args()
    chosen = [found for found in benchmarks() if found.name.startswith(arguments.only)]
    if not chosen:
        names = ", ".join(benchmark.name for benchmark in benchmarks())
        sys.exit(f"bench: nothing begins with {arguments.only!r}; there are {names}")
    if arguments.list:
        print("\n".join(benchmark.name for benchmark in chosen))
        return
    if arguments.history:
        os.environ[SIZE_VARIABLE] = arguments.history
    print(table(run(chosen, profile=arguments.profile)), file=sys.stderr)


if __name__ == "__main__":
    main()

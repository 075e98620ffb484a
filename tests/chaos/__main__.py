"""`make chaos`: runs plans until told to stop, and says in one line what came of them.

python -m tests.chaos --seed 7 --payments 300 --kills 20 --restores 4
"""

import asyncio
import json
import secrets
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from runtime.command_line import command_parser
from sandbox.processes import PROJECT
from tests.chaos.drawing import draw_plan
from tests.chaos.plan import Plan
from tests.chaos.run import Report, run

BUILD = PROJECT / "build" / "chaos"
MAX_SEED = 2**31
SHOWN_VIOLATIONS = 40


def main() -> None:
    """Exit code 1 if a promise was broken."""
    parser = command_parser("tests.chaos", __doc__ or "")
    parser.add_argument("--seed", type=int, default=None, help="drawn if it is not given")
    parser.add_argument("--payments", type=int, default=500)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument(
        "--restores",
        type=int,
        default=0,
        help="how often a database is put back to an older moment",
    )
    arguments = parser.parse_args()
    seed = secrets.randbelow(MAX_SEED) if arguments.seed is None else arguments.seed
    plan = draw_plan(seed, arguments.payments, arguments.kills, arguments.restores)
    say(f"seed {seed}: {replay(plan)}")
    report = asyncio.run(run(plan, folder(plan), say))
    tell(report)
    sys.exit(1 if report.violations else 0)


def folder(plan: Plan) -> Path:
    """Where the run leaves its logs and its plan as JSON; what a run before left is gone."""
    path = BUILD / str(plan.seed)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "plan.json").write_text(json.dumps(plan.as_json(), indent=1))
    return path


def tell(report: Report) -> None:
    """What was broken and how to see it again, then the line of figures."""
    for violation in report.violations[:SHOWN_VIOLATIONS]:
        say(str(violation))
    if len(report.violations) > SHOWN_VIOLATIONS:
        say(f"and {len(report.violations) - SHOWN_VIOLATIONS} more")
    plan = report.plan
    if report.violations:
        evidence = json.dumps(asdict(report.evidence), indent=1, default=sorted)
        (BUILD / str(plan.seed) / "evidence.json").write_text(evidence)
        say(f"logs and plan: {BUILD / str(plan.seed)}; replay with")
        say(replay(plan))
    say(f"seed {plan.seed}: {report.figures()}")


def replay(plan: Plan) -> str:
    """The command that plays the same plan."""
    lengths = f"PAYMENTS={len(plan.payments)} KILLS={len(plan.kills)}"
    return f"make chaos SEED={plan.seed} {lengths} RESTORES={len(plan.restores)}"


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()

"""What `make mutants` found, per module: `python -m docs.mutants`; `--survivors` lists the rest."""

import json
from collections import Counter
from pathlib import Path

from runtime.command_line import command_parser

RESULTS = Path("mutants")
# The exit codes that mutmut keeps of a mutant's tests.
_SURVIVED, _NO_TESTS, _INTERRUPTED, _SKIPPED = 0, (5, 33), 2, 34


def _verdict(exit_code: int | None) -> str:
    if exit_code in (None, _INTERRUPTED, _SKIPPED):
        return "not tried"
    if exit_code == _SURVIVED:
        return "survived"
    return "no test" if exit_code in _NO_TESTS else "noticed"


def main() -> None:
    """Prints a table in Markdown, and the names of survivors if asked."""
    parser = command_parser("docs.mutants", __doc__ or "")
    parser.add_argument("--survivors", action="store_true", help="name what no test noticed")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    survivors: list[str] = []
    print("| module | tried | noticed | survived | no test | share |")
    print("|---|---:|---:|---:|---:|---:|")
    for path in sorted(RESULTS.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        counts = Counter(_verdict(code) for code in codes.values())
        del counts["not tried"]
        survivors += [name for name, code in codes.items() if _verdict(code) == "survived"]
        if counts.total():
            module = str(path.relative_to(RESULTS)).removesuffix(".meta")
            _row(f"`{module}`", counts)
        total += counts
    _row("all", total)
    if arguments.survivors:
        print("", *survivors, sep="\n")


def _row(name: str, counts: Counter[str]) -> None:
    tried = counts.total()
    share = f"{counts['noticed'] / tried:.0%}" if tried else "-"
    print(f"| {name} | {tried} | {counts['noticed']} | {counts['survived']} ", end="")
    print(f"| {counts['no test']} | {share} |")


if __name__ == "__main__":
    main()

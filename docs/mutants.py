"""What `make mutants` found, per module: `python -m docs.mutants`; `--survivors` shows what no test
noticed and nobody has judged.

Survivors are judged in `docs/mutants.toml`, one by one and with the reason, but for other words in
prose, which are judged by their kind: see `is_prose`.
"""

import ast
import difflib
import json
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from runtime.command_line import command_parser

RESULTS = Path("mutants")
JUDGED = Path("docs/mutants.toml")
# The exit codes that mutmut keeps of a mutant's tests; with all others it was not tried to the end.
_SURVIVED = 0
_NOTICED, _NO_TEST, _TIMED_OUT = (1, 3), (5, 33), (-24, 24, 36, 152, 255)


class Verdict(StrEnum):
    """What became of one change."""

    NOT_TRIED = "not tried"
    NOTICED = "noticed"
    # Tests that do not come to an end notice it, too.
    TIMED_OUT = "timed out"
    NO_TEST = "no test"
    # It survived: other words, the same behaviour for a reason that is written down, or open.
    PROSE = "prose"
    EQUIVALENT = "equivalent"
    OPEN = "open"


_COLUMNS = (
    *(Verdict.NOTICED, Verdict.TIMED_OUT, Verdict.PROSE, Verdict.EQUIVALENT),
    *(Verdict.OPEN, Verdict.NO_TEST),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one function: the lines before it and after it, without their indentation."""

    function: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change as mutmut names it, and what became of it."""

    name: str
    module: str
    change: Change
    verdict: Verdict


def is_prose(node: object) -> bool:
    """Whether it is text for people: a string of several words. Names, codes and keys are one."""
    if isinstance(node, ast.JoinedStr):
        return any(is_prose(part) for part in node.values)
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value


def differs_in_prose_alone(before: object, after: object) -> bool:
    """Whether two pieces of code are the same but for texts for people."""
    if is_prose(before):
        return True
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(differs_in_prose_alone, before, after))
    if isinstance(before, ast.Assert) and isinstance(after, ast.Assert):
        # What an assertion says is for people, too, and of any length.
        return differs_in_prose_alone(before.test, after.test)
    if isinstance(before, ast.AST) and type(before) is type(after):
        return all(
            differs_in_prose_alone(value, getattr(after, name))
            for name, value in ast.iter_fields(before)
        )
    return before == after


def read_judged(path: Path = JUDGED) -> dict[Change, str]:
    """The survivors that were judged one by one, with the reasons. Raises KeyError or ValueError
    if one of them has none."""
    judged: dict[Change, str] = {}
    for row in tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", []):
        change = Change(row["function"], row["before"], row["after"])
        if not row["why"] or change in judged:
            raise ValueError(f"{change}: judged once, with a reason")
        judged[change] = row["why"]
    return judged


def read_mutants(results: Path, judged: dict[Change, str]) -> Iterator[Mutant]:
    """Every change that mutmut has prepared."""
    for path in sorted(results.rglob("*.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        if not codes:
            continue
        source = path.with_suffix("").read_text(encoding="utf-8")
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        module = str(path.with_suffix("").relative_to(results))
        lines = source.splitlines()
        for name, code in codes.items():
            mutated = functions[name.rpartition(".")[2]]
            stem = mutated.name.rpartition("__mutmut_")[0]
            original = functions[f"{stem}__mutmut_orig"]
            change = _change(name, _lines(lines, original), _lines(lines, mutated))
            verdict = _verdict(code)
            if verdict is Verdict.OPEN and change in judged:
                verdict = Verdict.EQUIVALENT
            elif verdict is Verdict.OPEN and differs_in_prose_alone(
                [original.args, original.body], [mutated.args, mutated.body]
            ):
                verdict = Verdict.PROSE
            yield Mutant(name, module, change, verdict)


def left_to_try(pattern: str) -> list[Mutant]:
    """What was not tried yet of what the pattern names, or was not noticed and is not judged."""
    left = (Verdict.NOT_TRIED, Verdict.OPEN, Verdict.NO_TEST)
    mutants = read_mutants(RESULTS, read_judged())
    return [each for each in mutants if each.verdict in left and fnmatch(each.name, pattern)]


def _verdict(code: int | None) -> Verdict:
    if code == _SURVIVED:
        return Verdict.OPEN
    if code in _NOTICED:
        return Verdict.NOTICED
    if code in _TIMED_OUT:
        return Verdict.TIMED_OUT
    return Verdict.NO_TEST if code in _NO_TEST else Verdict.NOT_TRIED


def _lines(lines: list[str], function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The lines of a function, without mutmut's name of it."""
    own = lines[function.lineno - 1 : function.end_lineno]
    return [line.replace(function.name, "").strip() for line in own]


def _change(name: str, before: list[str], after: list[str]) -> Change:
    changed = [line for line in difflib.ndiff(before, after) if line[0] in "-+"]
    texts = [" ".join(line[2:] for line in changed if line[0] == sign) for sign in "-+"]
    return Change(name.rpartition("__mutmut_")[0], *texts)


def main() -> None:
    """Prints a table in Markdown, and what survived if asked."""
    parser = command_parser("docs.mutants", __doc__ or "")
    parser.add_argument("--survivors", action="store_true", help="show what no test noticed")
    arguments = parser.parse_args()
    judged = read_judged()
    mutants = list(read_mutants(RESULTS, judged))
    counts: dict[str, Counter[Verdict]] = {}
    for mutant in mutants:
        counts.setdefault(mutant.module, Counter())[mutant.verdict] += 1
    print("| module | changes | tried |", " | ".join(_COLUMNS), "| share |")
    print("|---|" + "---:|" * (len(_COLUMNS) + 3))
    for module, verdicts in counts.items():
        if verdicts.total() > verdicts[Verdict.NOT_TRIED]:
            _row(f"`{module}`", verdicts)
    _row("all", sum(counts.values(), Counter[Verdict]()))
    gone = judged.keys() - {mutant.change for mutant in mutants}
    if gone and mutants:
        print("\nJudged, but there is no such change:", *gone, sep="\n")
    if arguments.survivors:
        for mutant in mutants:
            if mutant.verdict is Verdict.OPEN:
                print(f"\n{mutant.name}\n  - {mutant.change.before}\n  + {mutant.change.after}")


def _row(name: str, verdicts: Counter[Verdict]) -> None:
    tried = verdicts.total() - verdicts[Verdict.NOT_TRIED]
    noticed = verdicts[Verdict.NOTICED] + verdicts[Verdict.TIMED_OUT]
    share = f"{noticed / tried:.1%}" if tried else "-"
    columns = " | ".join(str(verdicts[each]) for each in _COLUMNS)
    print(f"| {name} | {verdicts.total()} | {tried} | {columns} | {share} |")


if __name__ == "__main__":
    main()

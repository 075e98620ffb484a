"""The code blocks of the project's pages, by what their fences say.

A fence is ```` ```LANGUAGE WORD ````. Of shell blocks (`sh`: a script; `console`: commands after
`$ `, with what they print) the word says who runs it: none, that tests/e2e/test_pages.py does as it
stands; a name, that the test of `NAMED` does which knows what has to be there first;
`elsewhere=REASON`, that it cannot run here, for a reason of `ELSEWHERE`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

PROJECT = Path(__file__).parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
SHELL = ("sh", "console")
FENCE = re.compile(r"^( *)```([^`\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

# Why a block is not run by the tests. Its syntax, options and names are checked all the same.
ELSEWHERE = {
    "closed-periods": "takes closed periods, as tests/reconciliation/test_verify.py has them",
    "docker": "there is no Docker here",
    "grpcurl": "neither PyPI nor Debian has it",
    "minutes": "takes minutes; a shorter run of the same is among the tests",
    "stripe": "takes an account at Stripe, and databases of a company",
    "whole-suite": "runs the tests, this one too",
}

# Named blocks by page, and the test that runs them.
NAMED = {
    "README.md": "tests/e2e/test_pages.py tests/e2e/test_sandbox_commands.py",
    "docs/backups.md": "tests/e2e/test_backups.py",
    "docs/clients.md": "tests/e2e/test_go_and_java.py",
    "docs/export.md": "tests/e2e/test_pages.py",
    "docs/operations.md": "tests/e2e/test_backups.py tests/test_shell_blocks.py",
    "docs/postgresql-upgrades.md": "tests/e2e/test_postgresql_upgrade.py",
    "docs/proofs.md": "tests/e2e/test_pages.py",
    "docs/stripe-twin.md": "tests/e2e/test_pages.py",
}


@dataclass(frozen=True)
class Block:
    """One block of a page, without its indentation."""

    page: str
    line: int
    language: str
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str | None:
        """Why it is not run here, if it is not."""
        return self.word.removeprefix("elsewhere=") if "=" in self.word else None

    @property
    def script(self) -> str:
        """What a shell is given: of a console what stands after the prompts."""
        if self.language != "console":
            return self.text
        return "".join(f"{command}\n" for command, _ in self.steps)

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands of a console, each with what the page says it prints."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
        assert parts[0] == "", f"{self}: a console begins with a command"
        return list(zip(parts[1::2], parts[2::2], strict=True))


def blocks_of(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        language, _, word = found[2].partition(" ")
        line = text.count("\n", 0, found.start()) + 1
        yield Block(str(page.relative_to(PROJECT)), line, language, word, dedent(found[3]))


BLOCKS = tuple(block for page in PAGES for block in blocks_of(page))
SHELL_BLOCKS = tuple(block for block in BLOCKS if block.language in SHELL)


def block(page: str, word: str) -> Block:
    """The block of that name."""
    [found] = [one for one in BLOCKS if (one.page, one.word) == (page, word)]
    return found


def blocks_in(page: str, heading: str, language: str) -> list[Block]:
    """The blocks of a language in a page's section, by the heading as it is written."""
    text = (PROJECT / page).read_text(encoding="utf-8")
    begin = text.index(f"\n{heading}\n")
    level = heading.partition(" ")[0]
    end = text.find(f"\n{level} ", begin + 1)
    first, last = (text.count("\n", 0, place) for place in (begin, end if end > 0 else len(text)))
    return [
        one
        for one in BLOCKS
        if one.page == page and one.language == language and first < one.line <= last
    ]

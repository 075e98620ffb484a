"""What the pages name is there: paths, commands, links, anchors; and ADRs have their form."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PAGES = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
ADRS = sorted((PROJECT / "docs/adr").glob("*.md"))
MAX_ADR_LINES = 60
ADR_HEADINGS = ["Context", "Decision", "Consequences", "Alternatives"]
# Of all folders, those that a path in a page may begin with. What a run leaves behind is not ours.
FOLDERS = {path.name for path in PROJECT.iterdir() if path.is_dir()} - {"build", ".venv"}

FENCE = re.compile(r"^( *)```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
PATH = re.compile(r"[\w.@-]+(/[\w.*-]+)*/?")
MODULE = re.compile(r"python -m ([a-z_]+(?:\.[a-z_]+)*)")
TARGET = re.compile(r"^(?:\$ |.*; do )?(?:\w+=\S+ )*make ([a-z]+)", re.MULTILINE)
NOT_IN_AN_ANCHOR = re.compile(r"[^\w\- ]")


def identity(page: Path) -> str:
    return str(page.relative_to(PROJECT))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading)
        anchor = NOT_IN_AN_ANCHOR.sub("", plain.strip().lower()).replace(" ", "-")
        copy, number = anchor, 0
        while copy in found:
            number += 1
            copy = f"{anchor}-{number}"
        found.add(copy)
    return found


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Links of a page whose file or anchor is not there; what is behind URLs is not asked."""
    for link in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if target != page and not target.exists():
            yield link
        elif anchor:
            own = text if target == page else target.read_text(encoding="utf-8")
            if anchor not in anchors(own):
                yield link


def missing_paths(text: str) -> Iterator[str]:
    """Paths in backticks that begin with a folder of ours and lead nowhere; `*` stands for any."""
    for code in CODE.findall(FENCE.sub("", text)):
        if not PATH.fullmatch(code) or "/" not in code or code.split("/")[0] not in FOLDERS:
            continue
        if not any(True for _ in PROJECT.glob(code.rstrip("/"))):
            yield code


def missing_commands(text: str) -> Iterator[str]:
    """`python -m` of a package of ours that cannot be run, and `make` without such a target."""
    for module in MODULE.findall(text):
        path = PROJECT / module.replace(".", "/")
        if module.split(".")[0] not in FOLDERS:
            continue
        if not (path / "__main__.py").exists() and not path.with_suffix(".py").exists():
            yield f"python -m {module}"
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    blocks = [block[0] for block in FENCE.finditer(text)]
    for target in TARGET.findall("\n".join(blocks + CODE.findall(FENCE.sub("", text)))):
        if not re.search(rf"^{target}:", makefile, re.MULTILINE):
            yield f"make {target}"


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_paths_exist(page: Path) -> None:
    assert list(missing_paths(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_commands_exist(page: Path) -> None:
    assert list(missing_commands(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", ADRS, ids=identity)
def test_a_decision_has_its_parts_and_one_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(page.name[:4])}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ADR_HEADINGS
    assert re.search(r"^Date: \d{4}-\d\d-\d\d.* State: \w", text, re.MULTILINE)
    assert len(text.splitlines()) <= MAX_ADR_LINES


def test_decisions_are_numbered_from_one() -> None:
    numbers = [int(page.name[:4]) for page in ADRS]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


def test_the_architecture_page_names_every_folder_of_the_gateway() -> None:
    page = (PROJECT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in (PROJECT / "gateway").glob("*/__init__.py")}
    assert folders <= set(re.findall(r"`gateway/(\w+)/`", page))


def test_what_is_wrong_in_a_page_is_found() -> None:
    page = PROJECT / "docs/a_page.md"
    text = """
# A page: of `code`, 2 × 3

[here](#a-page-of-code-2--3) [README](../README.md#try-it) [out](https://example.com/none)
[no file](nowhere.md) [no anchor](../README.md#nowhere) [none here](#nowhere)
`ledger/posting.py` `ledger/sql/*.sql` `gateway/` `ledger/gone.py` `ledger/*.gone` `and/or` `a.py`
`make test` `python -m ledger.verify` `python -m ledger.gone` `SEED=1 make gone` `python -m pytest`

```
# No heading, `ledger/in_a_block.py`
```
"""
    assert list(broken_links(page, text)) == ["nowhere.md", "../README.md#nowhere", "#nowhere"]
    assert list(missing_paths(text)) == ["ledger/gone.py", "ledger/*.gone"]
    assert list(missing_commands(text)) == ["python -m ledger.gone", "make gone"]

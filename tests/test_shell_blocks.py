"""Every shell block of README and docs is run by a test, or says why it cannot be; and what can be
told of it without running it (syntax, options, settings, methods) is right in either case.

tests/e2e/test_pages.py runs those that say nothing.
"""

import contextlib
import io
import re
import runpy
import shutil
import subprocess
import sys
from functools import cache

import pytest

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.read_settings import read_settings, unknown_variables
from runtime.rights import Caller, Role
from tests.deploy.compose import read_compose
from tests.pages import BLOCKS, ELSEWHERE, NAMED, PAGES, PROJECT, SHELL_BLOCKS, Block, block

LANGUAGES = {
    *("sh", "console", "text", "sql", "json", "yaml", "toml"),
    *("python", "js", "ts", "go", "java"),
}
SETTINGS = (LedgerSettings, GatewaySettings, ComplianceSettings, ReconciliationSettings)
OURS = r"(?:ledger|gateway|compliance|reconciliation|warehouse|sandbox|bench|docs|tests)"
COMMAND = re.compile(rf"python -m ({OURS}[.\w]*)((?: [^|;&\n`<>]+)?)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
INLINE = re.compile(r"`([^`\n]*python -m [^`\n]*)`")
METHOD = re.compile(r"\b((?:gateway|ledger|compliance|reconciliation)\.v1\.\w+)(?:/(\w+))?")


def test_every_block_says_its_language() -> None:
    assert [str(one) for one in BLOCKS if one.language not in LANGUAGES] == []
    fences = sum(
        len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)) for page in PAGES
    )
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("one", SHELL_BLOCKS, ids=str)
def test_every_shell_block_is_run_or_says_why_not(one: Block) -> None:
    if one.reason is not None:
        assert one.reason in ELSEWHERE
    elif one.word:
        runners = [(PROJECT / path).read_text(encoding="utf-8") for path in NAMED[one.page].split()]
        assert any(f'"{one.word}"' in runner for runner in runners), f"nobody runs {one.word}"


def test_a_block_of_the_same_name_is_the_same() -> None:
    """docs/operations.md repeats a command that the test of docs/backups.md runs."""
    recovers = [one for one in SHELL_BLOCKS if one.word == "recover"]
    assert len(recovers) == 2
    assert len({one.text for one in recovers}) == 1


@pytest.mark.parametrize("one", SHELL_BLOCKS, ids=str)
def test_bash_can_read_it(one: Block) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    read = subprocess.run(
        [bash, "-n"], input=one.script, capture_output=True, text=True, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")


@cache
def help_of(module: str, command: str = "") -> str:
    """What `python -m module [command] --help` prints; in this process, which has it imported."""
    path = PROJECT / module.replace(".", "/")
    program = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    printed = io.StringIO()
    given = sys.argv
    sys.argv = [module, *([command] if command else []), "--help"]
    try:
        with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
            runpy.run_path(str(program), run_name="__main__")
    finally:
        sys.argv = given
    assert ended.value.code == 0, f"{module} {command}"
    return printed.getvalue()


def has_command(module: str, command: str) -> bool:
    """Whether a program has a command of that name, such as `migrate`."""
    return (
        re.search(rf"^ +{command}\b|[{{,]{command}[,}}]", help_of(module), re.MULTILINE) is not None
    )


def wrong_options(text: str) -> list[str]:
    """Commands and options of our own programs that they do not have."""
    wrong = []
    for module, rest in COMMAND.findall(text.replace("\\\n", " ")):
        words = rest.partition(" #")[0].split()
        command = ""
        if module in ("ledger", "gateway", "compliance", "sandbox"):
            first = words[0] if words else ""
            if re.fullmatch(r"[a-z]+", first):
                command = first
                if not has_command(module, command):
                    wrong.append(f"{module} {command}")
                    continue
        # What stands in $(…) is a command of its own, found by itself.
        own = re.sub(r'"?\$\(.*', "", " ".join(words))
        wrong += [
            f"{module} {command} {option}".replace("  ", " ")
            for option in OPTION.findall(own)
            if option not in OPTION.findall(help_of(module, command))
        ]
    return wrong


def test_our_commands_have_the_options() -> None:
    assert [(str(one), wrong) for one in SHELL_BLOCKS for wrong in wrong_options(one.script)] == []


def test_our_commands_within_sentences_have_the_options() -> None:
    wrong = [
        (page.name, option)
        for page in PAGES
        for command in INLINE.findall(page.read_text(encoding="utf-8"))
        for option in wrong_options(command)
    ]
    assert wrong == []


def test_an_option_that_is_not_there_is_found() -> None:
    assert wrong_options("python -m ledger.keys --shown | sort --key=1") == ["ledger.keys --shown"]
    assert wrong_options("python -m gateway recover --since x --until y; true --z") == [
        "gateway recover --until"
    ]
    assert wrong_options("python -m gateway recovery") == ["gateway recovery"]
    assert wrong_options('python -m ledger.verify x --key "$(python -m ledger.keys --show)"') == []


def test_make_takes_the_variables() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    unknown = [
        f"{one}: {name}"
        for one in SHELL_BLOCKS
        for variables in re.findall(r"^make [a-z]+((?: [A-Z]+=\S+)+)", one.script, re.MULTILINE)
        for name in re.findall(r"([A-Z]+)=", variables)
        if f"$({name})" not in makefile
    ]
    assert unknown == []


def test_settings_exist() -> None:
    wrong = [
        f"{one}: {problem}"
        for one in SHELL_BLOCKS
        for settings in SETTINGS
        for problem in unknown_variables(
            settings,
            dict.fromkeys(
                re.findall(r"\b((?:LEDGER|GATEWAY|COMPLIANCE)_[A-Z_]+)=", one.script), "x"
            ),
        )
    ]
    assert wrong == []


def test_methods_exist() -> None:
    known = set()
    for path in (PROJECT / "protos").rglob("*_service.proto"):
        text = path.read_text(encoding="utf-8")
        [package] = re.findall(r"^package (\S+);", text, re.MULTILINE)
        for service, body in re.findall(r"^service (\w+) {(.*?)^}", text, re.MULTILINE | re.DOTALL):
            name = f"{package}.{service}"
            known |= {name, *(f"{name}/{method}" for method in re.findall(r"rpc (\w+)", body))}
    called = {
        (str(one), "/".join(filter(None, found)))
        for one in SHELL_BLOCKS
        for found in METHOD.findall(one.text)
    }
    assert len(called) >= 4
    assert [call for call in sorted(called) if call[1] not in known] == []


def test_services_of_the_compose_file_exist() -> None:
    copied = [
        name
        for one in SHELL_BLOCKS
        for name in re.findall(r"docker compose \w+ ([a-z_]+)\b", one.script)
    ]
    assert copied
    assert set(copied) <= set(read_compose().services)


@pytest.mark.parametrize(
    ("word", "variables", "caller", "roles"),
    [
        (
            "client-roles",
            ("GATEWAY_CLIENT_ROLES", "GATEWAY_METHOD_ROLES"),
            Caller("shop.example", Role.CLIENT),
            {Role.OPERATOR},
        ),
        (
            "bound-clients",
            ("GATEWAY_CLIENT_ROLES",),
            Caller("till-7.shop.example", Role.CLIENT, frozenset({"acme", "acme-outlet"})),
            {Role.CLIENT, Role.OPERATOR},
        ),
    ],
)
def test_the_rules_of_roles_are_read(
    word: str,
    variables: tuple[str, ...],
    caller: Caller,
    roles: set[Role],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = block("docs/operations.md", word)
    bash = shutil.which("bash")
    assert bash is not None
    for variable in variables:
        value = subprocess.run(
            [bash, "-c", f'{shown.text}printf %s "${variable}"'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        monkeypatch.setenv(variable, value)
    settings = read_settings(GatewaySettings)
    assert settings.callers[caller.name] == caller
    assert settings.rights_in_force["gateway.v1.PaymentService"]["RefundPayment"].roles == roles

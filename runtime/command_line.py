"""What every `python -m` of the project has alike: `--help`, `--version`, and no unknown options.

Only the standard library is imported here: the offline verifier has a command line, too.
"""

import tomllib
from argparse import SUPPRESS, Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

PROJECT_FILE = Path(__file__).parent.parent / "pyproject.toml"
# argparse's own for a command line that it cannot follow, and ours for settings.
EXIT_USAGE = 2


def command_parser(module: str, description: str, epilog: str | None = None) -> ArgumentParser:
    """The command line of `python -m <module>`; the description keeps its line breaks."""
    parser = ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=epilog,
        formatter_class=RawDescriptionHelpFormatter,
        # A part of an option's name would be taken for it, until a new option begins alike.
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action=_ShowVersion,
        nargs=0,
        dest=SUPPRESS,
        default=SUPPRESS,
        help="show the version and exit",
    )
    return parser


def engine_version() -> str:
    """The version of the whole project, which is in pyproject.toml and nowhere else."""
    with PROJECT_FILE.open("rb") as file:
        version: str = tomllib.load(file)["project"]["version"]
    return version


class _ShowVersion(Action):
    """Reads the version when it is asked for, not at each start."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,  # noqa: ARG002
        values: Any,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        print(f"payment-engine {engine_version()}")
        parser.exit()

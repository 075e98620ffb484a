"""Commands of the project, run to their end as processes."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

PROJECT = Path(__file__).resolve().parent.parent
END_SECONDS = 60


def run(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    program: tuple[str, ...] = ("-m",),
    directory: Path = PROJECT,
) -> subprocess.CompletedProcess[str]:
    """The command with this environment and nothing else of ours."""
    return subprocess.run(
        [sys.executable, *program, module, *arguments],
        cwd=directory,
        # The folder that it runs in comes first.
        env={"PATH": "/nowhere", "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=False,
    )


def entries(*packages: str) -> Iterator[str]:
    """The modules that end in `if __name__ == "__main__"`, by the name that `python -m` takes."""
    for package in packages:
        for path in sorted((PROJECT / package).rglob("*.py")):
            if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8"):
                parts = path.relative_to(PROJECT).with_suffix("").parts
                yield ".".join(parts).removesuffix(".__main__")


def plain_lines(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """What standard error has besides the log."""
    return [line for line in ran.stderr.splitlines() if not line.startswith('{"')]

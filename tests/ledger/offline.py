"""Both offline verifiers, as tests call them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.verify.finding import Finding
from ledger.verify.offline import verify
from tests.commands import run
from tests.ledger.running import SIGNER

PROJECT = Path(__file__).parent.parent.parent
NODE_SCRIPT = PROJECT / "tests" / "node" / "verify_export.mjs"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
KEY = str(SIGNER.verifier)


def wrong(directory: Path, *older: Path) -> Finding:
    """What is found of an export that is wrong."""
    with pytest.raises(Finding) as caught:
        verify(directory, SIGNER.verifier, older, lambda _: None)
    return caught.value


def node(*arguments: str | Path) -> tuple[int, list[str]]:
    """The second verifier's exit code and its lines."""
    ran = subprocess.run(
        ["node", NODE_SCRIPT, KEY, *arguments],
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout.splitlines()


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The verifier as it is run by people."""
    return run("ledger.verify", *arguments)

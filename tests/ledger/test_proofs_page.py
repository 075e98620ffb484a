"""docs/proofs.md: what it says one can do by hand can be done."""

import os
import subprocess
import sys
from pathlib import Path

from runtime.merkle import leaf_hash
from runtime.signed_notes import SignerKey
from tests.ledger.exports import canonical, honest_log
from tests.ledger.offline import KEY, PATH, PROJECT
from tests.ledger.running import SIGNER


def snippet(language: str) -> str:
    """The first block of that language in the page that auditors read."""
    page = (PROJECT / "docs" / "proofs.md").read_text()
    return page.partition(f"\n```{language}\n")[2].partition("\n```\n")[0]


def test_the_documented_ways_by_hand_work(tmp_path: Path) -> None:
    """The signature in Node, the root in Python, a leaf in a shell."""
    honest_log().write(tmp_path / "export", SIGNER)
    script = tmp_path / "signature.mjs"
    script.write_text(snippet("js"))
    for key, expected in ((KEY, "true\n"), (str(SignerKey.generate("x").verifier), "false\n")):
        ran = subprocess.run(
            ["node", script, key],
            cwd=tmp_path,
            env=os.environ | {"PATH": PATH},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout == expected
    root = subprocess.run(
        [sys.executable, "-c", snippet("python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert root.stdout.strip() == honest_log().checkpoint().root_hash.hex()
    page = (PROJECT / "docs" / "proofs.md").read_text()
    command = page.partition("in a shell: `")[2].partition("`.")[0]
    leaf = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    fifth = canonical(honest_log().transactions[4])
    assert leaf.stdout.split()[0] == leaf_hash(fifth).hex()

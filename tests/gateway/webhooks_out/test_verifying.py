"""What docs/clients.md has clients verify webhooks with, in each language, takes what we sign.

Each program gets all cases at once, a line each with tabs: secret, the three headers, the body in
base 64; it answers a line each.
"""

import base64
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runtime.webhooks import new_secret, signed_headers
from tests.pages import PROJECT, blocks_in

SECRET = new_secret()
BODY = '{"type":"payment.captured","note":"ünïcödé"}'
# What is given, and whether it is to be taken.
CASES = {
    "ours": (SECRET, BODY, timedelta(0), True),
    "changed": (SECRET, f"{BODY} ", timedelta(0), False),
    "forged": (new_secret(), BODY, timedelta(0), False),
    "old": (SECRET, BODY, -timedelta(minutes=6), False),
    "ahead": (SECRET, BODY, timedelta(minutes=6), False),
}
TYPES = re.compile(r": (?:string|boolean|Buffer|Record<string, string>)")

PYTHON = """
import sys
for line in sys.stdin:
    secret, *headers, body = line.rstrip().split("\\t")
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    print(verify(secret, dict(zip(names, headers)), base64.b64decode(body)))
"""
NODE = """
import { readFileSync } from "node:fs";
for (const line of readFileSync(0, "utf8").trimEnd().split("\\n")) {
  const [secret, id, timestamp, signature, body] = line.split("\\t");
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp };
  headers["webhook-signature"] = signature;
  console.log(verify(secret, headers, Buffer.from(body, "base64")));
}
"""


def answers(*command: str, directory: Path) -> dict[str, bool]:
    """What the program answers of each case."""
    lines = []
    for secret, body, late, _ in CASES.values():
        time = datetime.now(UTC) + late
        headers = dict(signed_headers("evt_7", time, BODY.encode(), [new_secret(), SECRET]))
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        values = (headers[name] for name in names)
        lines.append("\t".join((secret, *values, base64.b64encode(body.encode()).decode())))
    done = subprocess.run(
        command,
        cwd=directory,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.lower() == "true" for line in done.stdout.splitlines()]
    return dict(zip(CASES, said, strict=True))


def snippet(language: str) -> str:
    """The one block of a language in the page's section about webhooks."""
    [found] = blocks_in("docs/clients.md", "## Webhooks", language)
    return found.text


RIGHT = {name: taken for name, (*_, taken) in CASES.items()}


def test_in_python(tmp_path: Path) -> None:
    program = f"{snippet('python')}{PYTHON}"
    assert answers(sys.executable, "-c", program, directory=tmp_path) == RIGHT


def test_in_typescript(tmp_path: Path) -> None:
    """Without its types: Node takes them since version 22."""
    (tmp_path / "verify.mjs").write_text(f"{TYPES.sub('', snippet('ts'))}{NODE}")
    assert answers("node", "verify.mjs", directory=tmp_path) == RIGHT


@pytest.mark.skipif(not shutil.which("javac"), reason="a JDK is of Debian's packages")
def test_in_java(tmp_path: Path) -> None:
    frame = (PROJECT / "tests/java/Verify.java").read_text(encoding="utf-8")
    (tmp_path / "Verify.java").write_text(frame.replace("// VERIFY\n", snippet("java")))
    assert answers("java", "Verify.java", directory=tmp_path) == RIGHT


@pytest.mark.skipif(not shutil.which("go"), reason="Go is of Debian's packages")
def test_in_go(tmp_path: Path) -> None:
    frame = (PROJECT / "tests/go/verify.go").read_text(encoding="utf-8")
    (tmp_path / "verify.go").write_text(f"{frame}\n{snippet('go')}")
    assert answers("go", "run", "verify.go", directory=tmp_path) == RIGHT

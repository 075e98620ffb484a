"""The migrations of each service form one line: two branches that both add one are noticed here."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
NUMBER = re.compile(r'^(revision|down_revision) = (?:"(\d{4})"|None)$', flags=re.MULTILINE)


@pytest.mark.parametrize("service", ["ledger", "gateway", "compliance", "reconciliation"])
def test_each_migration_follows_the_one_before(service: str) -> None:
    versions = sorted((PROJECT / service / "migrations" / "versions").glob("[0-9]*.py"))
    assert versions
    before = ""
    for number, path in enumerate(versions, start=1):
        named = dict(NUMBER.findall(path.read_text(encoding="utf-8")))
        assert named == {"revision": f"{number:04}", "down_revision": before}, path.name
        assert path.name.startswith(f"{number:04}_")
        before = f"{number:04}"

"""Importing a service's stubs brings nothing of the service along."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = ("ledger", "gateway", "compliance", "reconciliation")
# The only package beside its own that a service's stubs need.
MONEY = {"money", "money.v1", "money.v1.money_pb2"}
PROGRAM = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{sys.argv[1]}.{module.name}")
print("\\n".join(sorted(sys.modules)))
"""


@pytest.mark.parametrize("service", SERVICES)
def test_stubs_come_alone(service: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"{service}.v1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = (*SERVICES, "money", "runtime", "sandbox", "stripe", "sqlalchemy")
    came = {name for name in ran.stdout.split() if name.split(".")[0] in ours}
    assert f"{service}.v1.error_reason_pb2" in came
    assert came >= MONEY
    assert {name for name in came - MONEY if not name.startswith(f"{service}.v1")} == {service}

"""docs/operations.md and what it names have every setting, with the default that the code has."""

import re

import pytest

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.config import ServiceSettings
from tests.deploy.compose import PROJECT

SETTINGS = (LedgerSettings, GatewaySettings, ComplianceSettings, ReconciliationSettings)
PAGE = (PROJECT / "docs/operations.md").read_text()
# A page of its own, with tables of other things besides.
OF_RECONCILIATION = (PROJECT / "docs/reconciliation.md").read_text()
ROWS = r"^\| (`[^|]+) \| ([^|]+) \|"


def documented() -> dict[str, str]:
    """Each variable named in the tables' first column, with its row's second column."""
    return {
        variable: default
        for page, prefix in ((PAGE, ""), (OF_RECONCILIATION, "RECONCILIATION_"))
        for variables, default in re.findall(ROWS, page, re.MULTILINE)
        for variable in re.findall(r"`([^`]+)`", variables)
        if variable.startswith(prefix)
    }


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_setting_is_explained_with_its_default(settings: type[ServiceSettings]) -> None:
    found = documented()
    prefix = settings.model_config["env_prefix"]
    for name, field in settings.model_fields.items():
        if field.validation_alias is not None:
            continue  # Common to all processes, tested below.
        variable = f"{prefix}{name}".upper()
        shared = f"…_{name}".upper()
        default = found.get(variable, found.get(shared))
        assert default is not None, f"{variable} is not on the page"
        if isinstance(field.default, (int, float)):
            assert default.strip("`").removesuffix(".0") == f"{field.default:g}", variable


def test_the_common_settings_are_explained() -> None:
    assert {"ENV", "LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= set(documented())


def test_no_setting_is_explained_that_does_not_exist() -> None:
    known = {
        f"{settings.model_config['env_prefix']}{name}".upper()
        for settings in SETTINGS
        for name in settings.model_fields
    }
    named = {
        name
        for name in documented()
        if re.match(r"(LEDGER|GATEWAY|COMPLIANCE|RECONCILIATION)_", name)
    }
    assert named <= known

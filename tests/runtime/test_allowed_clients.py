"""Who may call what: a service's own rules, and what settings say instead."""

import json

import pytest
from pydantic import ValidationError

from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from ledger.config import LedgerSettings
from ledger.v1.ledger_service_pb2 import DESCRIPTOR
from runtime.allowed_clients import MAX_NAME_CHARACTERS, merged, parsed
from runtime.config import ServiceSettings

SERVICE = "ledger.v1.LedgerService"
DEFAULTS = ((DESCRIPTOR.services_by_name["LedgerService"], {"*": {"gateway", "operator"}}),)


def test_without_settings_the_services_own_rules_hold() -> None:
    assert merged(DEFAULTS, {}) == {SERVICE: {"*": ["gateway", "operator"]}}
    gateway = GatewaySettings().allowed_clients
    assert set(gateway) == {
        f"gateway.v1.{name}Service"
        for name in (
            *("Payment", "Customer", "WebhookEndpoint", "Dispute", "Payout", "Merchant"),
            "Corridor",
        )
    }
    assert gateway["gateway.v1.PaymentService"] == {"*": ["client", "operator"]}
    assert gateway["gateway.v1.MerchantService"] == {"*": ["client", "compliance", "operator"]}
    assert gateway["gateway.v1.CorridorService"] == {"*": ["operator"]}
    assert set(LedgerSettings().allowed_clients) == {SERVICE, "ledger.v1.AuditService"}
    compliance = ComplianceSettings().allowed_clients
    assert compliance["compliance.v1.ComplianceService"] == {"*": ["gateway"]}
    assert compliance["compliance.v1.DecisionService"] == {"*": ["gateway", "operator"]}
    assert compliance["compliance.v1.PolicyService"] == {"*": ["operator"]}


def test_settings_take_the_place_of_a_rule_method_by_method() -> None:
    given = {SERVICE: {"GetBalance": ["b", "a", "b"]}}
    rules = merged(DEFAULTS, given)
    assert rules == {SERVICE: {"*": ["gateway", "operator"], "GetBalance": ["a", "b"]}}
    assert merged(DEFAULTS, {SERVICE: {"*": []}}) == {SERVICE: {"*": []}}
    # What is printed can be set again.
    assert merged(DEFAULTS, rules) == rules


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"ledger.v1.LedgerServise": {"*": ["a"]}},
            f"no service 'ledger.v1.LedgerServise'; did you mean {SERVICE}",
        ),
        ({"payments": {"*": ["a"]}}, f"no service 'payments'; there are {SERVICE}"),
        (
            {SERVICE: {"GetBalanse": ["a"]}},
            f"no method of {SERVICE} 'GetBalanse'; did you mean GetBalance",
        ),
        ({SERVICE: {"*": [""]}}, "'' is not a name"),
        ({SERVICE: {"*": ["a b"]}}, "'a b' is not a name"),
        ({SERVICE: {"*": ["n" * (MAX_NAME_CHARACTERS + 1)]}}, "is not a name"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(
    given: dict[str, dict[str, list[str]]], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        merged(DEFAULTS, given)


def test_the_longest_name_is_taken() -> None:
    name = "n" * MAX_NAME_CHARACTERS
    assert merged(DEFAULTS, {SERVICE: {"*": [name]}}) == {SERVICE: {"*": [name]}}


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "is not JSON"), ('{"a": {}, "a": {}}', "twice"), ('{"a": {"b": [], "b": []}}', "twice")],
)
def test_what_is_no_json_or_says_something_twice_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parsed(text)


@pytest.mark.parametrize("settings_type", [LedgerSettings, GatewaySettings, ComplianceSettings])
def test_the_rules_in_force_are_printed(
    settings_type: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = settings_type().allowed_clients
    service = min(defaults)
    name = f"{settings_type.service_name.upper()}_ALLOWED_CLIENTS"
    monkeypatch.setenv(name, json.dumps({service: {"*": ["somebody"]}}))
    settings = settings_type()
    (line,) = (line for line in settings.printable() if line.startswith(name))
    shown = json.loads(line.partition("=")[2])
    assert shown == settings.allowed_clients == defaults | {service: {"*": ["somebody"]}}
    monkeypatch.setenv(name, '{"nothing": {}}')
    with pytest.raises(ValidationError, match="there is no service 'nothing'"):
        settings_type()

"""Which roles may call what, and what settings say of it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

import compliance.v1
import gateway.v1
import ledger.v1
import reconciliation.v1
from compliance.config import ComplianceSettings
from gateway.config import GatewaySettings
from gateway.rights import MERCHANTS
from ledger.config import LedgerSettings
from reconciliation.config import ReconciliationSettings
from runtime.config import ServiceSettings
from runtime.rights import (
    MAX_NAME_CHARACTERS,
    READ_ONLY,
    Caller,
    Role,
    callers,
    changes,
    parsed,
    roles_of_methods,
    with_method_roles,
)
from tests.rpcs import methods_of
from tests.runtime.echo import ECHO_RIGHTS

SERVICES: list[tuple[type[ServiceSettings], Any]] = [
    (LedgerSettings, ledger.v1),
    (GatewaySettings, gateway.v1),
    (ComplianceSettings, compliance.v1),
    (ReconciliationSettings, reconciliation.v1),
]
ECHO = "echo.v1.EchoService"
# What finance and support reach, in full: a new method is theirs only by being added here.
READS_OF_FINANCE = {
    "ledger.v1.AuditService": "ExportLog GetCheckpoint GetConsistencyProof GetInclusionProof"
    " VerifyLedger",
    "ledger.v1.LedgerService": "GetAccount GetBalance GetLedger GetTransaction GetTrialBalance"
    " ListAccounts ListEntries ListLedgers ListTransactions WatchTransactions",
    "gateway.v1.PaymentService": "GetPayment ListPayments WatchPayments",
    "gateway.v1.DisputeService": "GetDispute ListDisputes",
    "gateway.v1.PayoutService": "GetPayout ListPayoutTransactions ListPayouts WatchPayouts",
    "gateway.v1.BalanceTransactionService": (
        "ListBalanceTransactions ListBalances WatchBalanceTransactions"
    ),
    "gateway.v1.BillingService": "ListInvoices ListSubscriptions WatchBilling",
    "gateway.v1.ReportService": "ListReports ReadReport ReadReportFile",
    "gateway.v1.SigmaService": "GetSigmaRun ListSigmaRuns ReadSigmaFile WatchSigmaRuns",
    "gateway.v1.RoutingService": "GetRoutingReport",
    "gateway.v1.MerchantService": "GetMerchant GetTaxSettings ListMerchants ListTaxRegistrations",
    "reconciliation.v1.AdjustmentService": "GetAdjustment",
    "reconciliation.v1.ItemService": "GetItem ListItems",
    "reconciliation.v1.PeriodService": "ExportPeriod GetPeriod ListPeriods",
    "reconciliation.v1.ReconciliationService": "GetBreak ListBreaks ListMatches WatchBreaks",
    "reconciliation.v1.LiquidityService": "GetLiquidity",
    "reconciliation.v1.StatementService": "GetStatement ListStatements WatchStatements",
}
READS_OF_SUPPORT = {
    "gateway.v1.PaymentService": "GetPayment ListPayments WatchPayments",
    "gateway.v1.CustomerService": "GetCustomer ListCustomers ListPaymentMethods",
    "gateway.v1.DisputeService": "GetDispute ListDisputes",
    "gateway.v1.RoutingService": "ExplainRouting",
    "compliance.v1.DecisionService": "GetDecision ListDecisions",
}
# They change something without an id of the request: what they bring about is the same each time.
CHANGES_WITHOUT_REQUEST_ID = {
    "SyncMerchant",
    "RefreshAccountSnapshot",
    "LoadSanctionsList",
    "SetNoticeAddress",
    "ResendNotice",
}


@pytest.mark.parametrize(("settings", "package"), SERVICES)
def test_every_method_has_a_rule(settings: type[ServiceSettings], package: Any) -> None:
    ruled = {(service, name) for service, rules in settings.rights.items() for name in rules}
    assert ruled == {(service, method.name) for service, method in methods_of(package)}
    for rules in settings.rights.values():
        assert all(rule.roles for rule in rules.values())


@pytest.mark.parametrize(("settings", "package"), SERVICES)
def test_what_changes_something_says_so_and_what(
    settings: type[ServiceSettings], package: Any
) -> None:
    for service, method in methods_of(package):
        rule = settings.rights[service][method.name]
        has_id = "request_id" in method.input_type.fields_by_name
        assert rule.changes == (has_id or method.name in CHANGES_WITHOUT_REQUEST_ID), method.name
        assert bool(rule.about) == rule.changes, method.name
        for path in rule.about.split():
            message = method.input_type
            for name in path.split("."):
                assert name in message.fields_by_name, (method.name, path)
                message = message.fields_by_name[name].message_type


def test_read_only_roles_reach_these_reads_and_nothing_else() -> None:
    def reached(role: Role) -> dict[str, str]:
        found = {}
        for settings, _ in SERVICES:
            for service, rules in settings.rights.items():
                names = sorted(name for name, rule in rules.items() if role in rule.roles)
                assert not any(rules[name].changes for name in names)
                if names:
                    found[service] = " ".join(names)
        return found

    assert {Role.FINANCE, Role.SUPPORT} == READ_ONLY
    assert reached(Role.FINANCE) == READS_OF_FINANCE
    assert reached(Role.SUPPORT) == READS_OF_SUPPORT
    with pytest.raises(AssertionError, match="change nothing"):
        changes("text", Role.CLIENT, Role.SUPPORT)


def test_names_have_roles_without_settings_too() -> None:
    def named(settings: type[ServiceSettings]) -> dict[str, str]:
        return {name: str(one.role) for name, one in settings().callers.items()}

    # Reconciliation only reads.
    staff = {"operator": "operator", "finance": "finance", "reconciliation": "finance"}
    assert named(LedgerSettings) == staff | {"gateway": "service"}
    assert named(ComplianceSettings) == {
        "gateway": "service",
        "operator": "operator",
        "support": "support",
    }
    assert named(GatewaySettings) == staff | {
        "client": "client",
        "support": "support",
        "compliance": "service",
    }


def test_settings_say_who_has_which_role_and_what_it_is_bound_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {
        "shop.example": "client",
        "till-7.shop.example": {"role": "client", "merchants": ["acme", "Fern_2"]},
        "anna.staff.example": {"role": "operator"},
    }
    monkeypatch.setenv("GATEWAY_CLIENT_ROLES", json.dumps(said))
    settings = GatewaySettings()
    # It is the whole table: `client` and the others have no role any more.
    assert settings.callers == {
        "shop.example": Caller("shop.example", Role.CLIENT),
        "till-7.shop.example": Caller(
            "till-7.shop.example", Role.CLIENT, frozenset({"acme", "Fern_2"})
        ),
        "anna.staff.example": Caller("anna.staff.example", Role.OPERATOR),
    }
    (line,) = (line for line in settings.printable() if line.startswith("GATEWAY_CLIENT_ROLES"))
    assert json.loads(line.partition("=")[2]) == said
    monkeypatch.setenv("GATEWAY_CLIENT_ROLES", "{}")
    assert GatewaySettings().callers == {}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"a": "clerk"}, "a: there is no role 'clerk'; there are client, operator"),
        ({"a": "suport"}, "a: there is no role 'suport'; did you mean support"),
        ({"a": ["client"]}, "a: is not a role, or"),
        ({"a": {"merchants": ["m"]}}, "a: is not a role, or"),
        ({"": "client"}, "'' is not a DNS name in lower case"),
        ({"Shop": "client"}, "'Shop' is not a DNS name in lower case"),
        ({"*.shop.example": "client"}, "is not a DNS name"),
        ({"spiffe://a/b": "client"}, "is not a DNS name"),
        ({"shop..example": "client"}, "is not a DNS name"),
        ({"-a": "client"}, "is not a DNS name"),
        ({"n" * 64: "client"}, "is not a DNS name"),
        ({".".join(["n" * 63] * 4): "client"}, "is not a DNS name"),
        ({"a": {"role": "client", "merchant": ["m"]}}, "a: a name has a role and may have merch"),
        ({"a": {"role": "client", "merchants": []}}, "a: merchants is not a list of one or more"),
        ({"a": {"role": "client", "merchants": "m"}}, "a: merchants is not a list of one or more"),
        ({"a": {"role": "client", "merchants": ["m", "m"]}}, "a: merchants has 'm' twice"),
        ({"a": {"role": "client", "merchants": ["m m"]}}, "a: 'm m' cannot be one of merchants"),
        ({"a": {"role": "client", "merchants": ["m" * 65]}}, "cannot be one of merchants"),
        ({"a": {"role": "client", "merchants": [1]}}, "a: 1 cannot be one of merchants"),
    ],
)
def test_names_and_roles_that_cannot_be_meant_are_refused(said: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("*", r"\*")):
        callers(said, MERCHANTS)


def test_the_longest_name_is_taken_and_a_service_without_merchants_binds_to_none() -> None:
    name = ".".join([*["n" * 63] * 3, "n" * 61])
    assert len(name) == MAX_NAME_CHARACTERS
    assert set(callers({name: "client"}, MERCHANTS)) == {name}
    assert callers({"a": {"role": "client"}}, None) == {"a": Caller("a", Role.CLIENT)}
    with pytest.raises(ValueError, match="a: this service cannot keep merchants apart"):
        callers({"a": {"role": "finance", "merchants": ["m"]}}, None)


def test_settings_take_the_place_of_a_rule_method_by_method() -> None:
    given = {ECHO: {"Echo": ["operator"]}}
    table = with_method_roles(ECHO_RIGHTS, given)
    assert table[ECHO]["Echo"] == changes("text", Role.OPERATOR)
    assert table[ECHO]["Count"] == ECHO_RIGHTS[ECHO]["Count"]
    assert with_method_roles(ECHO_RIGHTS, {ECHO: {"Echo": []}})[ECHO]["Echo"].roles == frozenset()
    # What is printed can be set again.
    assert with_method_roles(ECHO_RIGHTS, roles_of_methods(table)) == table


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"echo.v1.EchoServise": {}}, f"no service 'echo.v1.EchoServise'; did you mean {ECHO}"),
        ({"payments": {}}, f"no service 'payments'; there are {ECHO}"),
        ({ECHO: {"Ecco": ["client"]}}, f"no method of {ECHO} 'Ecco'; did you mean Echo"),
        ({ECHO: {"*": ["client"]}}, f"no method of {ECHO}"),
        ({ECHO: {"Echo": ["clients"]}}, f"{ECHO}/Echo: there is no role 'clients'; did you mean"),
        ({ECHO: {"Echo": ["client", "client"]}}, f"{ECHO}/Echo: has client twice"),
        ({ECHO: {"Echo": ["client", "support"]}}, f"{ECHO}/Echo changes something, which support"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        with_method_roles(ECHO_RIGHTS, given)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON like FORM: .* at character 1"),
        ('{"a": {}, "a": {}}', "says 'a' twice"),
        ('{"a": {"b": [], "b": []}}', "says 'b' twice"),
    ],
)
def test_what_is_no_json_or_says_something_twice_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parsed(text, "FORM")


@pytest.mark.parametrize("settings_type", [settings for settings, _ in SERVICES])
def test_the_rules_in_force_are_printed(
    settings_type: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = settings_type().method_roles
    service = min(defaults)
    method = min(defaults[service])
    name = f"{settings_type.service_name.upper()}_METHOD_ROLES"
    monkeypatch.setenv(name, json.dumps({service: {method: ["operator"]}}))
    settings = settings_type()
    (line,) = (line for line in settings.printable() if line.startswith(name))
    shown = json.loads(line.partition("=")[2])
    changed = defaults[service] | {method: ["operator"]}
    assert shown == settings.method_roles == defaults | {service: changed}
    assert settings.rights_in_force[service][method].roles == {Role.OPERATOR}
    monkeypatch.setenv(name, '{"nothing": {}}')
    with pytest.raises(ValidationError, match="there is no service 'nothing'"):
        settings_type()

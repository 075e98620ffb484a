"""Clients that are bound to merchants: what is another's is as what is not there."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from pydantic import SecretStr
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

import gateway.v1
from gateway.__main__ import open_service
from gateway.config import GatewaySettings
from gateway.disputes.store import DISPUTE
from gateway.merchant_scope import SCOPES, Named, Owned
from gateway.merchants.store import MERCHANT
from gateway.payments.store.schema import PAYMENT, ROUTING_DECISION
from gateway.payouts.store import PAYOUT
from runtime.errors import ReceivedError, from_rpc_error
from sandbox.certificates import CertificateFiles, channel_credentials, make_certificates
from sandbox.stripe_twin.twin import Twin
from tests.gateway.payments.shop import create_request
from tests.gateway.running import NOWHERE
from tests.rpcs import methods_of

CALL_SECONDS = 20
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
METHODS = {f"{service}/{method.name}": method for service, method in methods_of(gateway.v1)}
# What requests have to have besides what they lead to.
FIELDS: dict[str, dict[str, Any]] = {
    "UpdateWebhookEndpoint": {"url": "https://shop.example/hooks", "merchant_id": "acme"},
    "CreateWebhookEndpoint": {"url": "https://shop.example/hooks"},
    "ReplayWebhookDelivery": {"delivery_id": 1},
    "SubmitDisputeEvidence": {"evidence": {"customer_name": "Ada"}},
    "CreatePayout": {"amount": {"currency_code": "USD", "minor_units": 100}},
    "CreateOnboardingLink": {
        "kind": "ONBOARDING_LINK_KIND_ONBOARDING",
        "refresh_url": "https://shop.example/again",
        "return_url": "https://shop.example/back",
    },
    "CreateTaxId": {"kind": "eu_vat", "value": "DE123456789"},
    "GetTaxId": {"tax_id_id": "txi_1"},
    "DeleteTaxId": {"tax_id_id": "txi_1"},
}


def scoped(kind: type[Any]) -> Iterator[Any]:
    """The methods with a scope of the kind, and that scope."""
    for service, rules in SCOPES.items():
        for name, scopes in rules.items():
            for scope in scopes:
                if isinstance(scope, kind):
                    yield pytest.param(f"{service}/{name}", scope, id=name)


def test_every_method_has_a_decision_that_fits_its_request() -> None:
    decided = {f"{service}/{name}" for service, rules in SCOPES.items() for name in rules}
    assert decided == set(METHODS)
    for service, rules in SCOPES.items():
        for name, scopes in rules.items():
            fields = METHODS[f"{service}/{name}"].input_type.fields_by_name
            for scope in scopes:
                if isinstance(scope, Named | Owned):
                    assert scope.field.partition(".")[0] in fields, name
            # What names a merchant is asked for it, whatever else is.
            if "merchant_id" in fields and scopes:
                assert any(not isinstance(scope, Owned) for scope in scopes), name
    # Customers, corridors and balances are the platform's, and so is taking merchants in;
    # documents are handed in by compliance, and verifications asked for.
    refused = {name for rules in SCOPES.values() for name, scopes in rules.items() if not scopes}
    customers = {name.partition("/")[2] for name in METHODS if "CustomerService" in name}
    corridors = {name.partition("/")[2] for name in METHODS if "CorridorService" in name}
    verifications = {name.partition("/")[2] for name in METHODS if "VerificationService" in name}
    of_balances = (
        *("BalanceTransaction", "BillingService", "ReportService", "SigmaService"),
        "ForesightService",
    )
    balances = {
        name.partition("/")[2] for name in METHODS if any(word in name for word in of_balances)
    }
    assert refused == customers | corridors | verifications | balances | {
        "AttachFiles",
        "CreateFile",
        "CreateMerchant",
        "ListMerchants",
        "ListOperatorActs",
        # How much routing is allowed, and what it has learnt of all merchants' payments.
        *("EvaluatePolicy", "GetRoutingReport", "ListModels", "PromoteModel", "RollBackModel"),
        "TrainModel",
        "WatchMerchants",
        "WatchPayouts",
    }


@dataclass
class Till:
    """Calls by name, with bare messages."""

    channel: grpc.aio.Channel

    async def call(self, path: str, **fields: Any) -> Any:
        method = METHODS[path]
        message: Any = message_factory.GetMessageClass
        request = message(method.input_type)(**fields)
        if "request_id" in method.input_type.fields_by_name and not request.request_id:
            request.request_id = f"{path.partition('/')[2]}-1"
        streams = method.server_streaming
        rpc: Any = self.channel.unary_stream if streams else self.channel.unary_unary
        answer = rpc(
            f"/{path}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message(method.output_type).FromString,
        )(request, timeout=CALL_SECONDS)
        return await (answer.read() if streams else answer)

    async def refusal(self, path: str, **fields: Any) -> ReceivedError | None:
        try:
            await self.call(path, **fields)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        return None


@dataclass
class Door:
    """A gateway with mutual TLS, and things of two merchants in it."""

    port: int
    certificates: dict[str, CertificateFiles]
    # {"acme": {table: id}, "other": …}
    things: dict[str, dict[str, str]]

    @asynccontextmanager
    async def as_(self, name: str) -> AsyncIterator[Till]:
        credentials = channel_credentials(self.certificates[name])
        async with grpc.aio.secure_channel(f"localhost:{self.port}", credentials) as channel:
            yield Till(channel)


@pytest.fixture
async def door(
    database_url: str, engine: AsyncEngine, twin: Twin, tmp_path: Path
) -> AsyncIterator[Door]:
    certificates = make_certificates(
        tmp_path, datetime.now(UTC), ["gateway", "client", "till", "help"]
    )
    account, own = twin.account(), certificates["gateway"]
    settings = GatewaySettings(
        listen_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        database_url=SecretStr(database_url),
        ledger_address=NOWHERE,
        compliance_address=NOWHERE,
        stripe_api_key=SecretStr(account.secret_key),
        stripe_api_base=twin.url,
        stripe_webhook_secrets=SecretStr(account.webhook_secret),
        drain_seconds=1.0,
        tls_certificate_file=own.certificate,
        tls_key_file=own.key,
        tls_ca_file=own.ca,
        client_roles=json.dumps(
            {
                "client": "client",
                "till": {"role": "client", "merchants": ["acme", "acme-2"]},
                "help": {"role": "support", "merchants": ["acme"]},
            }
        ),
    )
    async with open_service(settings) as server:
        opened = Door(server.port, certificates, {})
        async with opened.as_("client") as client:
            for merchant in ("other", "acme"):
                opened.things[merchant] = await things_of(client, engine, merchant)
        yield opened


async def things_of(client: Till, engine: AsyncEngine, merchant: str) -> dict[str, str]:
    """One of everything of a merchant's; compliance is away, so that its payment waits."""
    made = await client.call(
        "gateway.v1.PaymentService/CreatePayment",
        **fields_of(
            create_request(
                request_id=f"pay-{merchant}",
                merchant_id=merchant,
                unavailable_policy="UNAVAILABLE_POLICY_QUEUE",
            )
        ),
    )
    endpoint = await client.call(
        "gateway.v1.WebhookEndpointService/CreateWebhookEndpoint",
        request_id=f"hook-{merchant}",
        url=f"https://{merchant}.example/hooks",
        merchant_id=merchant,
    )
    letter = merchant[0].upper()
    times = {"create_time": NOW, "update_time": NOW}
    dispute = {
        "id": f"dsp_{letter}",
        "payment_id": made.payment.id,
        "merchant_id": merchant,
        "corridor": "default",
        "stripe_dispute_id": f"du_{letter}",
        "state": "NEEDS_RESPONSE",
        "currency": "EUR",
        "amount_minor": 1,
        "network_cause": "fraudulent",
        "movements": [],
        "look_time": NOW,
        "submission_count": 0,
        "effective_time": NOW,
    }
    payout = {
        "id": f"pyo_{letter}",
        "request_id": f"payout-{merchant}",
        "merchant_id": merchant,
        "account_id": f"acct_{letter}",
        "corridor": "default",
        "state": "PAID",
        "currency": "EUR",
        "amount_minor": 1,
        "statement_descriptor": "",
        "automatic": True,
        "stripe_payout_id": f"po_{letter}",
        "failure_code": "",
        "was_paid": True,
    }
    known = {
        "merchant_id": merchant,
        "corridor": "default",
        "stripe_account_id": f"acct_{letter}",
        "state": "CONNECTED",
        "failure_code": "",
        "create_request_id": f"merchant-{merchant}",
    }
    score = {"approval": 0.9, "technical_failure": 0.0, "incident": 0.0}
    score |= {"value": 0.9, "value_spread": 0.1, "propensity": 1.0}
    routing = {
        "payment_id": made.payment.id,
        "merchant_id": merchant,
        **dict.fromkeys(("corridor", "action"), "default"),
        **dict.fromkeys(("model_version", "policy_hash", "features_hash"), "0"),
        **dict.fromkeys(("region", "network"), "OTHER"),
        "mode": "SHADOW",
        "arm": "RULES",
        "share": 0.0,
        "propensity": 1.0,
        "seed": 1,
        "explored": False,
        "slots": {"own": [], "common": []},
        "scores": [{"corridor": "default", **score}],
        "excluded": [],
        "decide_time": NOW,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(ROUTING_DECISION), routing)
        await connection.execute(insert(DISPUTE), dispute | times)
        await connection.execute(insert(PAYOUT), payout | times)
        await connection.execute(insert(MERCHANT), known | times)
    return {
        "payment_id": made.payment.id,
        "endpoint_id": endpoint.endpoint.id,
        "dispute_id": str(dispute["id"]),
        "payout_id": str(payout["id"]),
    }


def fields_of(message: Any) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def told(error: ReceivedError | None, *ids: str) -> tuple[Any, ...] | None:
    """What a refusal says, but for the id that was asked about."""
    if error is None:
        return None
    text = json.dumps([error.message, dict(error.metadata)])
    for one in ids:
        text = text.replace(one, "ID")
    return error.code, error.reason, text, error.violations


NOT_THERE = {
    "payment_id": "pay_0",
    "endpoint_id": "whe_0",
    "dispute_id": "dsp_0",
    "payout_id": "pyo_0",
}


async def test_another_merchants_things_are_as_those_that_are_not_there(door: Door) -> None:
    async with door.as_("till") as till, door.as_("client") as client:
        for path, scope in (one.values for one in scoped(Owned)):
            name = path.partition("/")[2]
            fields, field = FIELDS.get(name, {}), scope.field
            theirs, missing = door.things["other"][field], NOT_THERE[field]
            refused = await till.refusal(path, **fields, **{field: theirs})
            assert refused is not None, path
            assert refused.code is grpc.StatusCode.NOT_FOUND, (path, refused)
            nothing = await till.refusal(path, **fields, **{field: missing})
            assert told(refused, theirs) == told(nothing, missing), path
            # Who is not bound is told the same of what is not there.
            unbound = await client.refusal(path, **fields, **{field: missing})
            assert told(unbound, missing) == told(nothing, missing), path
            if not METHODS[path].input_type.fields_by_name.get("request_id"):
                own = {field: door.things["acme"][field]}
                answer = await till.refusal(path, **fields, **own)
                assert answer is None or answer.reason != refused.reason, (path, answer)


async def test_only_own_merchants_can_be_named_and_one_must_be(door: Door) -> None:
    async with door.as_("till") as till:
        for path, scope in (one.values for one in scoped(Named)):
            name = path.partition("/")[2]
            fields = dict(FIELDS.get(name, {}))
            fields.pop("merchant_id", None)
            if name == "CreatePayment":
                fields |= fields_of(create_request(request_id="new"))
                fields.pop("merchant_id")
            if name == "UpdateWebhookEndpoint":
                fields["endpoint_id"] = door.things["acme"]["endpoint_id"]

            def of(merchant: str, field: str = scope.field) -> dict[str, Any]:
                return {"owner": {"merchant_id": merchant}} if "." in field else {field: merchant}

            theirs = await till.refusal(path, **fields, **of("other"))
            assert theirs is not None, path
            assert (theirs.code, theirs.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "MERCHANT_NOT_FOUND",
            ), (path, theirs)
            nobody = await till.refusal(path, **fields, **of("nobody"))
            assert told(theirs, "other") == told(nobody, "nobody"), path
            unnamed = await till.refusal(path, **fields)
            assert unnamed is not None, path
            assert unnamed.reason == "INVALID_REQUEST", (path, unnamed)


async def test_lists_and_streams_have_own_things_alone(door: Door) -> None:
    async with door.as_("till") as till, door.as_("help") as help_:
        found = await till.call("gateway.v1.PaymentService/ListPayments", merchant_id="acme")
        assert [payment.id for payment in found.payments] == [door.things["acme"]["payment_id"]]
        watched = {"merchant_id": "acme", "after_sequence": 0}
        for caller in (till, help_):
            first = await caller.call("gateway.v1.PaymentService/WatchPayments", **watched)
            assert first.payment.id == door.things["acme"]["payment_id"]
        # Another's payment is not told of even by its name.
        found = await till.call(
            "gateway.v1.DisputeService/ListDisputes",
            merchant_id="acme",
            payment_id=door.things["other"]["payment_id"],
        )
        assert list(found.disputes) == []
        found = await till.call(
            "gateway.v1.WebhookEndpointService/ListWebhookEndpoints", merchant_id="acme"
        )
        assert [one.id for one in found.endpoints] == [door.things["acme"]["endpoint_id"]]
        assert not (
            await till.call("gateway.v1.PayoutService/ListPayouts", merchant_id="acme-2")
        ).payouts
        # A role's own limits hold for who is bound as well.
        refused = await help_.refusal("gateway.v1.PayoutService/ListPayouts", merchant_id="acme")
        assert refused is not None
        assert refused.reason == "CLIENT_NOT_ALLOWED"


async def test_accounts_lead_to_own_merchants_alone(door: Door, engine: AsyncEngine) -> None:
    get, create = (
        "gateway.v1.MerchantService/GetMerchant",
        "gateway.v1.PaymentService/CreatePayment",
    )
    async with door.as_("till") as till:
        own = await till.call(get, connected_account_id="acct_A")
        assert own.merchant.merchant_id == "acme"
        theirs = await till.refusal(get, connected_account_id="acct_O")
        nobody = await till.refusal(get, connected_account_id="acct_0")
        assert theirs is not None
        assert told(theirs, "acct_O") == told(nobody, "acct_0")
        assert theirs.reason == "MERCHANT_NOT_FOUND"
        # Money goes to no account but its own merchants', directly or by an alternative.
        request = fields_of(create_request(request_id="direct", merchant_id="acme"))
        refused = await till.refusal(create, **request | {"destination_account_id": "acct_O"})
        assert refused is not None
        assert refused.reason == "ACCOUNT_NOT_FOUND"
        assert told(refused, "acct_O") == told(
            await till.refusal(create, **request | {"destination_account_id": "acct_0"}), "acct_0"
        )
    async with engine.connect() as connection:
        ids = select(PAYMENT.c.request_id).where(PAYMENT.c.request_id == "direct")
        assert (await connection.execute(ids)).all() == []


async def test_what_is_no_merchants_is_refused_before_it_is_read(door: Door) -> None:
    async with door.as_("till") as till:
        for path in ("CustomerService/GetCustomer", "MerchantService/ListMerchants"):
            # No message has come, nor will.
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await till.channel.stream_unary(f"/gateway.v1.{path}")()
            error = from_rpc_error(refused.value)
            assert error.reason == "CLIENT_NOT_ALLOWED"
            assert "bound as this client is" in error.message

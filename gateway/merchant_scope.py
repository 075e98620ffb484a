"""Clients that are bound to merchants: what each method leads to, and whose it is.

Every method of the gateway is in `SCOPES`. What is another merchant's answers just as what is not
there, before anything else is looked at. A method that no merchant can be told of is refused to
bound clients: customers, for one, are the platform's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from sqlalchemy import Column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.disputes.errors import dispute_not_found
from gateway.disputes.store import DISPUTE
from gateway.errors import ERRORS
from gateway.merchants.errors import account_not_found, merchant_not_found
from gateway.merchants.store import MERCHANT
from gateway.operations.gate import Gate, absent
from gateway.payments.errors import payment_not_found
from gateway.payments.store.schema import PAYMENT
from gateway.payouts.errors import payout_not_found
from gateway.payouts.store import PAYOUT
from gateway.routing_service.errors import decision_not_found
from gateway.webhooks_out.errors import endpoint_not_found
from gateway.webhooks_out.store import ENDPOINT
from runtime.errors import FieldViolation, ServiceError

IS_REQUIRED = "is required of a client that is bound to merchants"


class Scope(Protocol):
    """What of a request has to be a bound client's own."""

    async def problem(
        self, connection: AsyncConnection, request: Any, merchants: frozenset[str]
    ) -> ServiceError | None:
        """What is answered if it is not."""
        ...


@dataclass(frozen=True)
class Named:
    """The request names the merchant, and has to."""

    field: str = "merchant_id"

    async def problem(
        self, _connection: AsyncConnection, request: Any, merchants: frozenset[str]
    ) -> ServiceError | None:
        merchant_id = request
        for name in self.field.split("."):
            merchant_id = getattr(merchant_id, name)
        if not merchant_id:
            return ERRORS.runtime_error(
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
                f"{self.field} {IS_REQUIRED}",
                violations=[FieldViolation(self.field, IS_REQUIRED)],
            )
        return None if merchant_id in merchants else merchant_not_found(merchant_id)


@dataclass(frozen=True)
class Owned:
    """The request names something that is a merchant's."""

    field: str
    id: Column[Any]
    merchant_id: Column[Any]
    not_found: Callable[[str], ServiceError]

    async def problem(
        self, connection: AsyncConnection, request: Any, merchants: frozenset[str]
    ) -> ServiceError | None:
        named = getattr(request, self.field)
        owners = select(self.merchant_id).where(self.id == named)
        found = set((await connection.execute(owners)).scalars())
        return None if found & merchants else self.not_found(named)


@dataclass(frozen=True)
class GivenMerchant:
    """GetMerchant: by its id or by its connected account."""

    async def problem(
        self, connection: AsyncConnection, request: Any, merchants: frozenset[str]
    ) -> ServiceError | None:
        if request.merchant_id:
            return await Named().problem(connection, request, merchants)
        if await _has_account(connection, request.connected_account_id, merchants):
            return None
        return merchant_not_found(request.merchant_id)


@dataclass(frozen=True)
class Destinations:
    """The connected accounts that a payment's money goes to."""

    async def problem(
        self, connection: AsyncConnection, request: Any, merchants: frozenset[str]
    ) -> ServiceError | None:
        given = [
            request.destination_account_id,
            *(alternative.destination_account_id for alternative in request.alternatives),
        ]
        for account_id in filter(None, given):
            if not await _has_account(connection, account_id, merchants):
                return account_not_found(account_id)
        return None


async def _has_account(
    connection: AsyncConnection, account_id: str, merchants: frozenset[str]
) -> bool:
    holders = select(MERCHANT.c.merchant_id).where(MERCHANT.c.stripe_account_id == account_id)
    return bool(set((await connection.execute(holders)).scalars()) & merchants)


MERCHANT_ID = (Named(),)
TAX_ID = (Named("owner.merchant_id"),)
PAYMENT_ID = (Owned("payment_id", PAYMENT.c.id, PAYMENT.c.merchant_id, payment_not_found),)
ROUTED_PAYMENT_ID = (Owned("payment_id", PAYMENT.c.id, PAYMENT.c.merchant_id, decision_not_found),)
DISPUTE_ID = (Owned("dispute_id", DISPUTE.c.id, DISPUTE.c.merchant_id, dispute_not_found),)
PAYOUT_ID = (Owned("payout_id", PAYOUT.c.id, PAYOUT.c.merchant_id, payout_not_found),)
ENDPOINT_ID = (Owned("endpoint_id", ENDPOINT.c.id, ENDPOINT.c.merchant_id, endpoint_not_found),)
# Nothing of it is one merchant's: refused to bound clients.
REFUSED: Sequence[Scope] = ()

SCOPES: Mapping[str, Mapping[str, Sequence[Scope]]] = {
    "gateway.v1.PaymentService": {
        "CreatePayment": (*MERCHANT_ID, Destinations()),
        "ConfirmPayment": PAYMENT_ID,
        "CapturePayment": PAYMENT_ID,
        "CancelPayment": PAYMENT_ID,
        "RefundPayment": PAYMENT_ID,
        "GetPayment": PAYMENT_ID,
        "ListPayments": MERCHANT_ID,
        "WatchPayments": MERCHANT_ID,
    },
    "gateway.v1.CustomerService": {
        "CreateCustomer": REFUSED,
        "GetCustomer": REFUSED,
        "ListCustomers": REFUSED,
        "UpdateCustomer": REFUSED,
        "DeleteCustomer": REFUSED,
        "SavePaymentMethod": REFUSED,
        "GetPaymentMethodSetup": REFUSED,
        "ListPaymentMethods": REFUSED,
        "SetDefaultPaymentMethod": REFUSED,
        "DetachPaymentMethod": REFUSED,
    },
    "gateway.v1.WebhookEndpointService": {
        "CreateWebhookEndpoint": MERCHANT_ID,
        "GetWebhookEndpoint": ENDPOINT_ID,
        "ListWebhookEndpoints": MERCHANT_ID,
        # It stays with its merchant, or goes to another one of the client's.
        "UpdateWebhookEndpoint": (*MERCHANT_ID, *ENDPOINT_ID),
        "DeleteWebhookEndpoint": ENDPOINT_ID,
        "RotateWebhookSecret": ENDPOINT_ID,
        "ListWebhookDeliveries": ENDPOINT_ID,
        "ReplayWebhookDelivery": ENDPOINT_ID,
        "ReplayWebhookEvents": ENDPOINT_ID,
    },
    "gateway.v1.DisputeService": {
        "GetDispute": DISPUTE_ID,
        "ListDisputes": MERCHANT_ID,
        "SubmitDisputeEvidence": DISPUTE_ID,
        "AcceptDispute": DISPUTE_ID,
    },
    "gateway.v1.PayoutService": {
        "CreatePayout": MERCHANT_ID,
        "CancelPayout": PAYOUT_ID,
        "GetPayout": PAYOUT_ID,
        "ListPayouts": MERCHANT_ID,
        "ListPayoutTransactions": PAYOUT_ID,
        "WatchPayouts": REFUSED,
    },
    "gateway.v1.BalanceTransactionService": {
        "ListBalanceTransactions": REFUSED,
        "WatchBalanceTransactions": REFUSED,
        "ListBalances": REFUSED,
    },
    "gateway.v1.BillingService": {
        "ListInvoices": REFUSED,
        "ListSubscriptions": REFUSED,
        "WatchBilling": REFUSED,
    },
    "gateway.v1.ReportService": {
        "ListReports": REFUSED,
        "ReadReport": REFUSED,
        "ReadReportFile": REFUSED,
    },
    "gateway.v1.SigmaService": {
        "ListSigmaRuns": REFUSED,
        "GetSigmaRun": REFUSED,
        "ReadSigmaFile": REFUSED,
        "WatchSigmaRuns": REFUSED,
    },
    "gateway.v1.RoutingService": {
        "ExplainRouting": ROUTED_PAYMENT_ID,
        "ListModels": REFUSED,
        "TrainModel": REFUSED,
        "PromoteModel": REFUSED,
        "RollBackModel": REFUSED,
        "EvaluatePolicy": REFUSED,
        "GetRoutingReport": REFUSED,
    },
    "gateway.v1.ForesightService": {
        "GetForecast": REFUSED,
        "ListIncidents": REFUSED,
        "WatchIncidents": REFUSED,
        "GetForesightRecord": REFUSED,
    },
    "gateway.v1.MerchantService": {
        # Platforms take merchants in, with accounts that may be anybody's.
        "CreateMerchant": REFUSED,
        "GetMerchant": (GivenMerchant(),),
        "ListMerchants": REFUSED,
        "SyncMerchant": MERCHANT_ID,
        "WatchMerchants": REFUSED,
        "CreateOnboardingLink": MERCHANT_ID,
        # Compliance looks at documents first; it is bound to nobody.
        "CreateFile": REFUSED,
        "AttachFiles": REFUSED,
        "GetTaxSettings": MERCHANT_ID,
        "ListTaxRegistrations": MERCHANT_ID,
        "CreateTaxId": TAX_ID,
        "GetTaxId": TAX_ID,
        "ListTaxIds": TAX_ID,
        "DeleteTaxId": TAX_ID,
    },
    # Whose subjects they are is compliance's to say.
    "gateway.v1.VerificationService": {
        "CreateVerification": REFUSED,
        "CreateVerificationLink": REFUSED,
        "GetVerification": REFUSED,
        "ListVerifications": REFUSED,
        "CancelVerification": REFUSED,
        "RedactVerification": REFUSED,
        "WatchVerifications": REFUSED,
    },
    "gateway.v1.CorridorService": {
        "GetCorridorHealth": REFUSED,
        "SetCorridorMode": REFUSED,
        "ListDeadLetters": REFUSED,
        "ReplayDeadLetter": REFUSED,
    },
    "gateway.v1.OperatorActService": {"ListOperatorActs": REFUSED},
}


class MerchantScope:
    """Keeps bound clients to their merchants; others never come here."""

    def __init__(self, engine: AsyncEngine, gate: Gate) -> None:
        # Each statement by itself: a read needs no transaction around it.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._gate = gate
        self._scopes = {
            f"/{service}/{method}": scopes
            for service, methods in SCOPES.items()
            for method, scopes in methods.items()
        }

    def covers(self, path: str) -> bool:
        """Whether a merchant can be told of the method."""
        return bool(self._scopes.get(path))

    async def check(self, path: str, request: Any, bound_to: frozenset[str]) -> None:
        """Raises what is answered of something that is not there, unless it is one of these
        merchants'; and INVALID_REQUEST where the request has to name one."""
        scopes = self._scopes[path]
        async with self._engine.connect() as connection:
            for scope in scopes:
                problem = await scope.problem(connection, request, bound_to)
                if problem is None:
                    continue
                if problem.code is grpc.StatusCode.NOT_FOUND and isinstance(scope, Owned):
                    problem = absent(self._gate, problem)
                raise problem

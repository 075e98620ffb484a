"""Tax settings, registrations and numbers at Stripe: read through, never stored here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.merchants.commands import AccountFinder, StripeAccount
from gateway.merchants.errors import ERRORS, tax_id_not_found
from gateway.merchants.operations import merchant_operation
from gateway.merchants.tax import tax_id_of, tax_registration_of, tax_settings_of
from gateway.operations.commands import Commands, Refusal, Rule, Start, outcome_of
from gateway.operations.operation import OperationKind
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.errors import call_failed
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

DEFAULT_PAGE_SIZE = 50
# Stripe's limit: https://docs.stripe.com/api/pagination
MAX_PAGE_SIZE = 100


class TaxRecords:
    """What the tax RPCs do. Each raises `ServiceError`."""

    def __init__(
        self,
        stripe_client: StripeClient,
        accounts: AccountFinder,
        commands: Commands,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._accounts = accounts
        self._commands = commands
        self._clock = clock
        self._page_tokens = PageTokens(ERRORS)

    async def settings(self, request: pb.GetTaxSettingsRequest) -> merchant_tax_pb2.TaxSettings:
        """The tax settings of an account."""
        account = await self._accounts.account(request)
        fetch_time = self._clock.now()
        outcome = await self._stripe.accounts.retrieve_tax_settings(
            account.corridor, connected_account=account.stripe_account_id
        )
        return tax_settings_of(_object_of(account.corridor, outcome), fetch_time)

    async def registrations(
        self, request: pb.ListTaxRegistrationsRequest
    ) -> pb.ListTaxRegistrationsResponse:
        """One page of the places where an account collects tax."""
        account = await self._accounts.account(request)
        fetch_time = self._clock.now()
        outcome = await self._stripe.accounts.list_tax_registrations(
            account.corridor,
            {"status": "all", **self._page_of(request)},
            connected_account=account.stripe_account_id,
        )
        listed = _object_of(account.corridor, outcome)
        return pb.ListTaxRegistrationsResponse(
            tax_registrations=[tax_registration_of(item, fetch_time) for item in listed["data"]],
            next_page_token=self._next_page(request, listed),
        )

    async def create_tax_id(self, request: pb.CreateTaxIdRequest) -> merchant_tax_pb2.TaxId:
        """Enters a tax number. The number itself is not kept here."""
        account = await self._accounts.owner(request.owner)
        values: dict[str, Any] = {"type": request.kind, "value": request.value}
        if account.customer_id is None:
            values["owner"] = {"type": "self"}
        params = {"customer_id": account.customer_id, "values": values}
        rule = _rule(OperationKind.CREATE_TAX_ID, request, account, params)
        done = await self._commands.try_once(request, _subject(request), rule, personal=["value"])
        if done.answer is None:
            outcome_of(done)
            raise call_failed(account.corridor, Outcome(OutcomeClass.UNKNOWN))
        answered = merchant_tax_pb2.TaxId.FromString(done.answer)
        if done.outcome is not None and done.outcome.object is not None:
            # What is personal is not kept: the caller who asked first is told all the same.
            fetch_time = answered.fetch_time.ToDatetime(UTC)
            return tax_id_of(done.outcome.object, fetch_time)
        answered.value = request.value
        return answered

    async def tax_id(self, request: pb.GetTaxIdRequest) -> merchant_tax_pb2.TaxId:
        """One tax number."""
        account = await self._accounts.owner(request.owner)
        fetch_time = self._clock.now()
        outcome = await self._stripe.accounts.retrieve_tax_id(
            account.corridor,
            request.tax_id_id,
            customer_id=account.customer_id,
            connected_account=account.stripe_account_id,
        )
        if is_missing(outcome):
            raise tax_id_not_found(request.tax_id_id)
        return tax_id_of(_object_of(account.corridor, outcome), fetch_time)

    async def tax_ids(self, request: pb.ListTaxIdsRequest) -> pb.ListTaxIdsResponse:
        """One page of tax numbers."""
        account = await self._accounts.owner(request.owner)
        fetch_time = self._clock.now()
        outcome = await self._stripe.accounts.list_tax_ids(
            account.corridor,
            self._page_of(request),
            customer_id=account.customer_id,
            connected_account=account.stripe_account_id,
        )
        listed = _object_of(account.corridor, outcome)
        return pb.ListTaxIdsResponse(
            tax_ids=[tax_id_of(item, fetch_time) for item in listed["data"]],
            next_page_token=self._next_page(request, listed),
        )

    async def delete_tax_id(self, request: pb.DeleteTaxIdRequest) -> pb.DeleteTaxIdResponse:
        """Removes a tax number; one that is gone already is no failure."""
        account = await self._accounts.owner(request.owner)
        params = {"customer_id": account.customer_id, "tax_id": request.tax_id_id}
        rule = _rule(OperationKind.DELETE_TAX_ID, request, account, params)
        done = await self._commands.try_once(request, _subject(request), rule)
        if done.answer is None:
            outcome_of(done)
        return pb.DeleteTaxIdResponse()

    def _page_of(self, request: Any) -> dict[str, Any]:
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        position = self._page_tokens.decode(request)
        return {"limit": size, **({"starting_after": position[0]} if position else {})}

    def _next_page(self, request: Any, listed: Mapping[str, Any]) -> str:
        if not listed["has_more"] or not listed["data"]:
            return ""
        return self._page_tokens.encode(request, [listed["data"][-1]["id"]])


def _subject(request: Any) -> str:
    """The merchant whose number it is, or whose customer's; empty for the platform's own."""
    return str(request.owner.merchant_id or request.owner.customer.merchant_id)


def _rule(
    kind: OperationKind, request: Any, account: StripeAccount, params: Mapping[str, Any]
) -> Rule:
    """Asks for it, whatever else is asked for the same owner."""

    async def rule(
        _connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        operation = merchant_operation(
            operation_id,
            kind,
            _subject(request) or f"{account.corridor}.{account.customer_id or ''}",
            account.corridor,
            params,
            now,
            connected_account=account.stripe_account_id or "",
        )
        return Start(_subject(request), operation)

    return rule


def _object_of(corridor: str, outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise call_failed(corridor, outcome)
    return outcome.object

"""Tax settings, registrations and numbers at Stripe: read through, never stored here."""

from collections.abc import Mapping
from typing import Any

from gateway.merchants.commands import AccountFinder
from gateway.merchants.errors import ERRORS, call_failed, tax_id_not_found
from gateway.merchants.requests import RequestBook
from gateway.merchants.tax import tax_id_of, tax_registration_of, tax_settings_of
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Outcome, is_missing
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2
from runtime.clock import Clock
from runtime.paging import PageTokens, clamp_page_size

CREATE_METHOD, DELETE_METHOD = "CreateTaxId", "DeleteTaxId"
DEFAULT_PAGE_SIZE = 50
# Stripe's limit: https://docs.stripe.com/api/pagination
MAX_PAGE_SIZE = 100


class TaxRecords:
    """What the tax RPCs do. Each raises `ServiceError`."""

    def __init__(
        self,
        stripe_client: StripeClient,
        accounts: AccountFinder,
        requests: RequestBook,
        clock: Clock,
    ) -> None:
        self._stripe = stripe_client
        self._accounts = accounts
        self._requests = requests
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
        begun = await self._requests.begin(
            CREATE_METHOD,
            request,
            subject_id=request.owner.merchant_id or request.owner.customer.merchant_id,
            personal_fields=["value"],
        )
        if begun.answer is not None:
            answered = merchant_tax_pb2.TaxId.FromString(begun.answer)
            answered.value = request.value
            return answered
        fetch_time = self._clock.now()
        if not begun.key_is_fresh(fetch_time):
            found = await self._find_tax_id(request)
            if found is not None:
                return found
        params: dict[str, Any] = {"type": request.kind, "value": request.value}
        if account.customer_id is None:
            params["owner"] = {"type": "self"}
        outcome = await self._stripe.accounts.create_tax_id(
            account.corridor,
            params,
            begun.idempotency_key,
            customer_id=account.customer_id,
            connected_account=account.stripe_account_id,
        )
        tax_id = tax_id_of(_object_of(account.corridor, outcome), fetch_time)
        kept = merchant_tax_pb2.TaxId()
        kept.CopyFrom(tax_id)
        for personal in ("value", "verified_name", "verified_address"):
            kept.ClearField(personal)
        await self._requests.answer(request.request_id, kept)
        return tax_id

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
        begun = await self._requests.begin(
            DELETE_METHOD,
            request,
            subject_id=request.owner.merchant_id or request.owner.customer.merchant_id,
        )
        response = pb.DeleteTaxIdResponse()
        if begun.answer is not None:
            return response
        outcome = await self._stripe.accounts.delete_tax_id(
            account.corridor,
            request.tax_id_id,
            customer_id=account.customer_id,
            connected_account=account.stripe_account_id,
        )
        if not outcome.succeeded and not is_missing(outcome):
            raise call_failed(account.corridor, outcome)
        await self._requests.answer(request.request_id, response)
        return response

    async def _find_tax_id(self, request: pb.CreateTaxIdRequest) -> merchant_tax_pb2.TaxId | None:
        """What an old request may have entered: Stripe's key for it may be forgotten."""
        listed = await self.tax_ids(
            pb.ListTaxIdsRequest(owner=request.owner, page_size=MAX_PAGE_SIZE)
        )
        for tax_id in listed.tax_ids:
            if (tax_id.kind, tax_id.value) == (request.kind, request.value):
                return tax_id
        return None

    def _page_of(self, request: Any) -> dict[str, Any]:
        size = clamp_page_size(request.page_size, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        position = self._page_tokens.decode(request)
        return {"limit": size, **({"starting_after": position[0]} if position else {})}

    def _next_page(self, request: Any, listed: Mapping[str, Any]) -> str:
        if not listed["has_more"] or not listed["data"]:
            return ""
        return self._page_tokens.encode(request, [listed["data"][-1]["id"]])


def _object_of(corridor: str, outcome: Outcome) -> Mapping[str, Any]:
    if outcome.object is None:
        raise call_failed(corridor, outcome)
    return outcome.object

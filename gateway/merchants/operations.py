"""What operations on merchants ask of Stripe, and what comes of it: the connected account, links to
onboarding, tax numbers."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.merchants import store
from gateway.merchants.domain import MERCHANT_KEY
from gateway.merchants.store import StoredMerchant
from gateway.merchants.tax import tax_id_of
from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    NOT_PERFORMED,
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
    silence,
)
from gateway.operations.outcomes import (
    after_call,
    gone_is_done,
    gone_or_silence,
    search_span,
    what_was_found,
)
from gateway.operations.requests import MERCHANT_REQUEST, answer
from gateway.payments.domain.stripe_params import encode
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1 import merchant_tax_pb2

WINDOW = timedelta(days=1)
# Who asks for a link wants it now.
LINK_WINDOW = timedelta(minutes=10)
MAX_TAX_IDS = 100
_PREFIX = "merchant."


def kinds(stripe_client: StripeClient) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on merchants."""
    return {
        OperationKind.CREATE_ACCOUNT: AccountCreation(stripe_client),
        OperationKind.CREATE_LINK: LinkCreation(stripe_client),
        OperationKind.CREATE_TAX_ID: TaxIdCreation(stripe_client),
        OperationKind.DELETE_TAX_ID: TaxIdDeletion(stripe_client),
    }


def merchant_operation(
    operation_id: str,
    kind: OperationKind,
    owner: str,
    corridor: str,
    params: Mapping[str, Any],
    now: datetime,
    *,
    connected_account: str = "",
    window: timedelta = WINDOW,
) -> Operation:
    """A new operation. Merchants name themselves: the prefix keeps `owner` from being taken for the
    payment or the payout that another operation is for."""
    return Operation(
        id=operation_id,
        kind=kind,
        subject_id=_PREFIX + owner,
        corridor=corridor,
        connected_account=connected_account,
        params=encode(dict(params)),
        create_time=now,
        next_attempt_time=now,
        deadline=now + window,
    )


class _MerchantKind(PlainKind):
    """What the kinds have in common."""

    def __init__(self, stripe_client: StripeClient) -> None:
        self._stripe = stripe_client


class AccountCreation(_MerchantKind):
    """A new connected account."""

    async def load(self, connection: AsyncConnection, operation: Operation) -> StoredMerchant:
        """The merchant."""
        stored = await store.find(connection, operation.subject_id.removeprefix(_PREFIX))
        assert stored is not None, "an operation has its merchant"
        return stored

    async def lock(self, connection: AsyncConnection, operation: Operation) -> StoredMerchant:
        """The merchant, locked."""
        stored = await store.lock(connection, operation.subject_id.removeprefix(_PREFIX))
        assert stored is not None, "an operation has its merchant"
        return stored

    def known(self, stored: StoredMerchant, _operation: Operation) -> OperationState | None:
        """Whether the merchant has its account."""
        return OperationState.SUCCEEDED if stored.message.connected_account_id else None

    async def send(self, _stored: StoredMerchant, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the account."""
        return await self._stripe.accounts.create_account(
            operation.corridor, json.loads(operation.params), operation.idempotency_key
        )

    async def resolve(self, stored: StoredMerchant, operation: Operation, now: datetime) -> Outcome:
        """Looks for the account by the merchant's id in its metadata."""
        found = await self._stripe.accounts.find_accounts(
            operation.corridor,
            {MERCHANT_KEY: stored.message.merchant_id},
            **search_span(operation),
        )
        return what_was_found(operation, found, now)

    async def apply(
        self,
        connection: AsyncConnection,
        stored: StoredMerchant,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """Connects the merchant, or says why there is no account."""
        after = after_call(operation, reply, context.now, context.jitter)
        merchant_id, now = stored.message.merchant_id, context.now
        if after.state is OperationState.SUCCEEDED:
            account_id = str(made_object(reply)["id"])
            await store.change(
                connection, merchant_id, now, state="CONNECTED", stripe_account_id=account_id
            )
        elif not after.open:
            code = after.failure_code or "rejected"
            await store.change(connection, merchant_id, now, state="FAILED", failure_code=code)
            failed = await store.find(connection, merchant_id)
            assert failed is not None, "merchants are never deleted"
            await answer(connection, MERCHANT_REQUEST, operation.id, failed.message)
        return Applied(after)


class LinkCreation(_MerchantKind):
    """An address for the merchant to go to. It is a secret and not kept: whoever waits gets it."""

    async def send(self, _subject: str, operation: Operation, _resend: bool) -> Outcome:
        """Asks for the link."""
        return await self._stripe.accounts.create_account_link(
            operation.corridor, json.loads(operation.params), operation.idempotency_key
        )

    async def resolve(self, _subject: str, _operation: Operation, _now: datetime) -> Outcome:
        """An address that nobody was told is as good as none."""
        return Outcome(OutcomeClass.REJECTED, failure=Failure(code=NOT_PERFORMED))

    async def apply(
        self,
        _connection: AsyncConnection,
        _subject: str,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """Nothing of it is kept."""
        return Applied(after_call(operation, reply, context.now, context.jitter))


class TaxIdCreation(_MerchantKind):
    """A tax number, which is kept at Stripe alone. The parameters name whose it is beside it."""

    async def send(self, _subject: str, operation: Operation, _resend: bool) -> Outcome:
        """Enters the number."""
        params = json.loads(operation.params)
        return await self._stripe.accounts.create_tax_id(
            operation.corridor,
            params["values"],
            operation.idempotency_key,
            customer_id=params["customer_id"],
            connected_account=operation.connected_account or None,
        )

    async def resolve(self, _subject: str, operation: Operation, now: datetime) -> Outcome:
        """Looks for the number among its owner's."""
        params = json.loads(operation.params)
        wanted = params["values"]
        listed = await self._stripe.accounts.list_tax_ids(
            operation.corridor,
            {"limit": MAX_TAX_IDS},
            customer_id=params["customer_id"],
            connected_account=operation.connected_account or None,
        )
        if listed.object is None:
            return Outcome(OutcomeClass.UNKNOWN, failure=listed.failure)
        for item in listed.object["data"]:
            if (item["type"], item["value"]) == (wanted["type"], wanted["value"]):
                return Outcome(OutcomeClass.SUCCEEDED, object=dict(item))
        return (
            Outcome(OutcomeClass.UNKNOWN) if listed.object["has_more"] else silence(operation, now)
        )

    async def apply(
        self,
        connection: AsyncConnection,
        _subject: str,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The answer, without what is personal."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.state is OperationState.SUCCEEDED:
            kept = merchant_tax_pb2.TaxId()
            kept.CopyFrom(tax_id_of(made_object(reply), context.now))
            for personal in ("value", "verified_name", "verified_address"):
                kept.ClearField(personal)
            await answer(connection, MERCHANT_REQUEST, operation.id, kept)
        return Applied(after)


class TaxIdDeletion(_MerchantKind):
    """A tax number is removed; one that is gone already is no failure."""

    async def send(self, _subject: str, operation: Operation, _resend: bool) -> Outcome:
        """Removes the number. Deleting needs no key: it cannot happen twice."""
        params = json.loads(operation.params)
        return await self._stripe.accounts.delete_tax_id(
            operation.corridor,
            params["tax_id"],
            customer_id=params["customer_id"],
            connected_account=operation.connected_account or None,
        )

    async def complete(self, _subject: str, _operation: Operation, outcome: Outcome) -> Outcome:
        """What is gone is gone."""
        return gone_is_done(outcome)

    async def resolve(self, _subject: str, operation: Operation, now: datetime) -> Outcome:
        """Looks whether it is gone."""
        params = json.loads(operation.params)
        seen = await self._stripe.accounts.retrieve_tax_id(
            operation.corridor,
            params["tax_id"],
            customer_id=params["customer_id"],
            connected_account=operation.connected_account or None,
        )
        return gone_or_silence(operation, seen, now)

    async def apply(
        self,
        connection: AsyncConnection,
        _subject: str,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The answer is empty."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.state is OperationState.SUCCEEDED:
            await answer(connection, MERCHANT_REQUEST, operation.id, pb.DeleteTaxIdResponse())
        return Applied(after)


def made_object(reply: Outcome | GivenUp) -> Mapping[str, Any]:
    """What Stripe answered to an operation that has succeeded."""
    assert isinstance(reply, Outcome), "nothing was given up"
    assert reply.object is not None, "it succeeded"
    return reply.object

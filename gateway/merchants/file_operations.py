"""Operations on merchants' documents: uploading one, and giving it as an answer."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.merchants.files import ContentsInHand
from gateway.merchants.operations import made_object
from gateway.operations.kind import Applied, ApplyContext, Kind, PlainKind
from gateway.operations.operation import (
    NOT_PERFORMED,
    GivenUp,
    Operation,
    OperationKind,
    OperationState,
)
from gateway.operations.outcomes import after_call, search_span, what_was_found
from gateway.operations.requests import MERCHANT_REQUEST, answer
from gateway.stripe_client.client import StripeClient
from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from gateway.v1 import merchant_service_pb2 as pb

# What a worker notes of an upload whose document it does not have, and when it looks again: whoever
# has it asks again in its own time, and is not kept waiting by this.
CONTENT_ELSEWHERE = "CONTENT_ELSEWHERE"
LOOK_AGAIN = timedelta(minutes=15)


def kinds(stripe_client: StripeClient, contents: ContentsInHand) -> Mapping[OperationKind, Kind]:
    """The kinds of operations on documents."""
    return {
        OperationKind.CREATE_FILE: FileCreation(stripe_client, contents),
        OperationKind.ATTACH_FILES: FileAttachment(stripe_client),
    }


class FileCreation(PlainKind):
    """A file at Stripe. Its content is not in the parameters, which are written down."""

    def __init__(self, stripe_client: StripeClient, contents: ContentsInHand) -> None:
        self._stripe = stripe_client
        self._contents = contents

    async def send(self, _subject: str, operation: Operation, _resend: bool) -> Outcome:
        """Uploads it, if its content is at hand."""
        params = json.loads(operation.params)
        content = self._contents.of(operation.id, params["digest"])
        if content is None:
            failure = Failure(code=CONTENT_ELSEWHERE)
            return Outcome(OutcomeClass.NOT_SENT, failure=failure, retry_after=LOOK_AGAIN)
        return await self._stripe.accounts.create_file(
            operation.corridor,
            operation.connected_account,
            params["purpose"],
            params["name"],
            content,
            operation.idempotency_key,
        )

    async def resolve(self, _subject: str, operation: Operation, now: datetime) -> Outcome:
        """Looks for it by its name."""
        params = json.loads(operation.params)
        found = await self._stripe.accounts.find_file(
            operation.corridor,
            operation.connected_account,
            params["purpose"],
            params["name"],
            **search_span(operation),
        )
        return what_was_found(operation, found, now)

    async def apply(
        self,
        connection: AsyncConnection,
        _subject: str,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The answer is its id."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.state is OperationState.SUCCEEDED:
            made = pb.CreateFileResponse(file_id=made_object(reply)["id"])
            await answer(connection, MERCHANT_REQUEST, operation.id, made)
        return Applied(after)


class FileAttachment(PlainKind):
    """Files are given as the answer to a requirement."""

    def __init__(self, stripe_client: StripeClient) -> None:
        self._stripe = stripe_client

    async def send(self, _subject: str, operation: Operation, _resend: bool) -> Outcome:
        """Updates the account, or the person."""
        given = json.loads(operation.params)
        accounts, key = self._stripe.accounts, operation.idempotency_key
        account_id, params = operation.connected_account, given["params"]
        if not given["person_id"]:
            return await accounts.update_account(operation.corridor, account_id, params, key)
        return await accounts.update_person(
            operation.corridor, account_id, given["person_id"], params, key
        )

    async def resolve(self, _subject: str, _operation: Operation, _now: datetime) -> Outcome:
        """Stripe does not show every place where a file may be. The same answer twice is one, so
        that whoever asks may ask anew."""
        return Outcome(OutcomeClass.REJECTED, failure=Failure(code=NOT_PERFORMED))

    async def apply(
        self,
        connection: AsyncConnection,
        _subject: str,
        operation: Operation,
        reply: Outcome | GivenUp,
        context: ApplyContext,
    ) -> Applied:
        """The answer says since when Stripe has them."""
        after = after_call(operation, reply, context.now, context.jitter)
        if after.state is OperationState.SUCCEEDED:
            attached = pb.AttachFilesResponse()
            attached.attach_time.FromDatetime(context.now)
            await answer(connection, MERCHANT_REQUEST, operation.id, attached)
        return Applied(after)

"""What CreateFile and AttachFiles do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.merchants.commands import AccountFinder
from gateway.merchants.files import (
    EXTENSIONS,
    PURPOSES,
    ContentsInHand,
    attachment,
    digest,
    file_name,
)
from gateway.merchants.operations import merchant_operation
from gateway.operations.commands import Commands, Refusal, Rule, Start, outcome_of
from gateway.operations.operation import OperationKind
from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from runtime.beside import beside

# Compared with the request that comes again, but not kept with it.
CONTENT = ("content",)


class Filing:
    """Hands documents on to Stripe. Raises `ServiceError` as error_reason.proto says."""

    def __init__(
        self, accounts: AccountFinder, commands: Commands, contents: ContentsInHand
    ) -> None:
        self._accounts = accounts
        self._commands = commands
        self._contents = contents

    async def create_file(self, request: pb.CreateFileRequest) -> pb.CreateFileResponse:
        """The file's id at Stripe."""
        merchant = await self._accounts.connected(request.merchant_id)
        operation_id = self._commands.operation_id(request)
        digested = await beside(digest, request.content)
        params = {
            "digest": digested,
            "purpose": PURPOSES[request.purpose],
            "name": file_name(operation_id, EXTENSIONS[request.type]),
        }
        rule = _rule(merchant, OperationKind.CREATE_FILE, params)
        with self._contents.holding(operation_id, digested, request.content):
            done = await self._commands.try_once(
                request, merchant.merchant_id, rule, personal=CONTENT
            )
        outcome_of(done)
        return pb.CreateFileResponse.FromString(done.answer or b"")

    async def attach(self, request: pb.AttachFilesRequest) -> pb.AttachFilesResponse:
        """Since when Stripe has them."""
        merchant = await self._accounts.connected(request.merchant_id)
        where = attachment(request)
        assert where is not None, "a request that was checked"
        params = {"person_id": where.person_id, "params": where.params}
        rule = _rule(merchant, OperationKind.ATTACH_FILES, params)
        done = await self._commands.try_once(request, merchant.merchant_id, rule)
        outcome_of(done)
        return pb.AttachFilesResponse.FromString(done.answer or b"")


def _rule(merchant: merchant_pb2.Merchant, kind: OperationKind, params: Mapping[str, Any]) -> Rule:
    async def rule(
        _connection: AsyncConnection, operation_id: str, now: datetime
    ) -> Start | Refusal:
        operation = merchant_operation(
            operation_id,
            kind,
            # Each by itself: documents do not wait for each other.
            f"{merchant.merchant_id}.{operation_id}",
            merchant.corridor,
            params,
            now,
            connected_account=merchant.connected_account_id,
        )
        return Start(merchant.merchant_id, operation)

    return rule

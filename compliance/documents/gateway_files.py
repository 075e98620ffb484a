"""Hands documents on to Stripe, through the gateway: no Stripe key lives here."""

from datetime import datetime

import grpc

from compliance.documents.document import Document, Side
from compliance.wire_time import to_datetime
from gateway.v1 import merchant_service_pb2 as pb
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from runtime.errors import from_rpc_error

# The gateway answers sooner, whatever Stripe does; an upload of 10 MB is in it.
GATEWAY_SECONDS = 60.0
_PURPOSES = {
    "identity_document": pb.FILE_PURPOSE_IDENTITY_DOCUMENT,
    "additional_verification": pb.FILE_PURPOSE_ADDITIONAL_VERIFICATION,
    "account_requirement": pb.FILE_PURPOSE_ACCOUNT_REQUIREMENT,
}
_TYPES = {
    "application/pdf": pb.FILE_TYPE_PDF,
    "image/jpeg": pb.FILE_TYPE_JPEG,
    "image/png": pb.FILE_TYPE_PNG,
}
_REJECTED = "STRIPE_REJECTED"
# The gateway's words for an operation that never happened and never will.
_NEVER_HAPPENED = frozenset({"deadline", "not_performed"})
_FINAL = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND})


class GatewayAwayError(Exception):
    """It may go well later, asked in the same words; `word` says what stood against it."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class NeverHappenedError(Exception):
    """Nothing happened under this request_id, and nothing will: it may be asked under another."""


class NotTakenError(Exception):
    """The gateway or Stripe said no; `code` is its word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class GatewayFiles:
    """The gateway as the way to Stripe."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._merchants = MerchantServiceStub(channel)

    async def upload(self, document: Document, content: bytes) -> str:
        """Stripe's id of the file. Raises the errors of this module."""
        try:
            answer = await self._merchants.CreateFile(
                pb.CreateFileRequest(
                    request_id=document.forward_request_id,
                    merchant_id=await self._merchant_id(document),
                    purpose=_PURPOSES[document.purpose],
                    type=_TYPES[document.content_type],
                    content=content,
                ),
                timeout=GATEWAY_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            raise _meaning_of(error) from error
        return str(answer.file_id)

    async def attach(self, document: Document, back: Document | None) -> datetime:
        """Gives a document as the answer, with its back if there is one; since when Stripe has it,
        by the gateway's clock. Raises the same."""
        is_back = document.side is Side.BACK
        try:
            attached = await self._merchants.AttachFiles(
                pb.AttachFilesRequest(
                    request_id=document.attach_request_id(back.document_id if back else ""),
                    merchant_id=await self._merchant_id(document),
                    field=document.field,
                    person_id=document.person_id,
                    file_id="" if is_back else document.file_id,
                    back_file_id=document.file_id if is_back else back.file_id if back else "",
                ),
                timeout=GATEWAY_SECONDS,
            )
        except grpc.aio.AioRpcError as error:
            raise _meaning_of(error) from error
        return to_datetime(attached.attach_time)

    async def _merchant_id(self, document: Document) -> str:
        found = await self._merchants.GetMerchant(
            pb.GetMerchantRequest(connected_account_id=document.connected_account_id),
            timeout=GATEWAY_SECONDS,
        )
        return str(found.merchant.merchant_id)


def _meaning_of(error: grpc.aio.AioRpcError) -> Exception:
    received = from_rpc_error(error)
    if received.code not in _FINAL or not received.reason:
        return GatewayAwayError(f"GATEWAY_{received.reason or received.code.name}")
    if received.reason != _REJECTED:
        return NotTakenError(received.reason)
    code = received.metadata.get("stripe_code") or received.metadata.get("stripe_type")
    return NeverHappenedError() if code in _NEVER_HAPPENED else NotTakenError(code or _REJECTED)

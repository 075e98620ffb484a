"""Has the gateway make and end sessions at Stripe: no Stripe key lives here."""

from collections.abc import Awaitable
from typing import Any

import grpc

from compliance.errors import gateway_unavailable, verification_refused
from compliance.gateway_feed import Cursor
from compliance.v1 import verification_service_pb2
from compliance.verifications.messages import gateway_request, verification_of
from compliance.verifications.verification import Verification
from gateway.v1 import merchant_service_pb2, verification_pb2
from gateway.v1 import verification_service_pb2 as pb
from gateway.v1.merchant_service_pb2_grpc import MerchantServiceStub
from gateway.v1.verification_service_pb2_grpc import VerificationServiceStub
from runtime.errors import from_rpc_error

# What the gateway decided; anything else may go well a moment later.
_DECIDED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class GatewaySessions:
    """The gateway as the way to Stripe Identity. Raises `DEPENDENCY_UNAVAILABLE` while it is away,
    and `VERIFICATION_REFUSED` where it, or Stripe, says no."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._merchants = MerchantServiceStub(channel)
        self._sessions = VerificationServiceStub(channel)

    async def create(
        self,
        request: verification_service_pb2.CreateVerificationRequest,
        connected_account_id: str,
    ) -> Verification:
        """The verification that a request asks for, of a person of the account if it has one."""
        merchant_id = ""
        if connected_account_id:
            found = await _answered(
                request.subject_id,
                self._merchants.GetMerchant(
                    merchant_service_pb2.GetMerchantRequest(
                        connected_account_id=connected_account_id
                    )
                ),
            )
            merchant_id = found.merchant.merchant_id
        asked = gateway_request(request, merchant_id)
        answer = await _answered(request.subject_id, self._sessions.CreateVerification(asked))
        return verification_of(answer.verification)

    async def link(self, verification: Verification) -> verification_pb2.VerificationLink:
        """Where the person goes; a secret."""
        request = pb.CreateVerificationLinkRequest(verification_id=verification.verification_id)
        answer = await _answered(
            verification.subject_id, self._sessions.CreateVerificationLink(request)
        )
        link: verification_pb2.VerificationLink = answer.link
        return link

    async def cancel(self, request_id: str, verification: Verification) -> Verification:
        """The verification, ended."""
        request = pb.CancelVerificationRequest(
            request_id=request_id, verification_id=verification.verification_id
        )
        answer = await _answered(
            verification.subject_id, self._sessions.CancelVerification(request)
        )
        return verification_of(answer.verification)

    async def redact(self, request_id: str, verification: Verification) -> Verification:
        """The verification, redacted or about to be."""
        request = pb.RedactVerificationRequest(
            request_id=request_id, verification_id=verification.verification_id
        )
        answer = await _answered(
            verification.subject_id, self._sessions.RedactVerification(request)
        )
        return verification_of(answer.verification)

    def watch(self, cursor: Cursor) -> Any:
        """The gateway's feed of verifications after a place in it; a call to read from.

        It waits for a gateway that is away: failures would use up what the channel's other calls
        may still be retried (`retryThrottling`).
        """
        return self._sessions.WatchVerifications(
            pb.WatchVerificationsRequest(epoch=cursor.epoch, after_sequence=cursor.sequence),
            wait_for_ready=True,
        )


async def _answered(subject_id: str, call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() not in _DECIDED:
            raise gateway_unavailable() from error
        received = from_rpc_error(error)
        stripe_code = received.metadata.get("stripe_code", "")
        reason = received.reason or error.code().name
        raise verification_refused(subject_id, reason, stripe_code) from error

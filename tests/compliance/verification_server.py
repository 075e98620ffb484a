"""A gateway that makes verifications: what it is told of them is what it says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc

from gateway.errors import ERRORS
from gateway.v1 import verification_pb2
from gateway.v1 import verification_service_pb2 as pb
from gateway.v1.error_reason_pb2 import ErrorReason
from gateway.v1.verification_service_pb2_grpc import VerificationServiceServicer
from runtime.errors import STATUS_DETAILS_KEY, ServiceError
from runtime.notifier import Notifier

START = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


@dataclass
class FakeVerifications(VerificationServiceServicer):
    """What compliance calls; the rest is not answered."""

    # What was asked for, by request_id, and what became of it, as told last.
    asked: dict[str, pb.CreateVerificationRequest] = field(default_factory=dict)
    made: dict[str, verification_pb2.Verification] = field(default_factory=dict)
    ended: list[tuple[str, str]] = field(default_factory=list)
    # What the feed has told, with the epoch of each, and from where it was asked for.
    feed: list[tuple[int, verification_pb2.Verification]] = field(default_factory=list)
    watches: list[tuple[int, int]] = field(default_factory=list)
    links: int = 0
    error: ServiceError | None = None
    is_down: bool = False
    _news: Notifier = field(default_factory=Notifier)

    def tell(self, verification_id: str, *, epoch: int = 0, **changes: Any) -> None:
        """Something has changed at Stripe; the feed tells."""
        verification = self.made[verification_id]
        for name, value in changes.items():
            if isinstance(value, datetime):
                getattr(verification, name).FromDatetime(value)
            else:
                setattr(verification, name, value)
        self._tell(verification, epoch)

    def _tell(self, verification: verification_pb2.Verification, epoch: int = 0) -> None:
        verification.sequence = len(self.feed) + 1
        copy = verification_pb2.Verification()
        copy.CopyFrom(verification)
        self.feed.append((epoch, copy))
        self._news.notify()

    async def CreateVerification(self, request: pb.CreateVerificationRequest, context: Any) -> Any:
        await self._answerable(context)
        if request.request_id not in self.asked:
            self.asked[request.request_id] = request
            verification_id = f"vfn_{len(self.asked)}"
            verification = verification_pb2.Verification(
                verification_id=verification_id,
                subject_id=request.subject_id,
                corridor=request.corridor or "default",
                type=request.type,
                options=request.options,
                state=verification_pb2.VERIFICATION_STATE_REQUIRES_INPUT,
                stripe_session_id=f"vs_{len(self.asked)}",
            )
            verification.create_time.FromDatetime(START)
            verification.update_time.FromDatetime(START)
            self.made[verification_id] = verification
            self._tell(verification)
        place = list(self.asked).index(request.request_id) + 1
        return pb.CreateVerificationResponse(verification=self.made[f"vfn_{place}"])

    async def CreateVerificationLink(
        self, _request: pb.CreateVerificationLinkRequest, context: Any
    ) -> Any:
        await self._answerable(context)
        self.links += 1
        return pb.CreateVerificationLinkResponse(
            link=verification_pb2.VerificationLink(
                url=f"https://verify.example/{self.links}", client_secret=f"s3cret_{self.links}"
            )
        )

    async def CancelVerification(self, request: pb.CancelVerificationRequest, context: Any) -> Any:
        await self._answerable(context)
        self.ended.append((request.request_id, request.verification_id))
        verification = self.made[request.verification_id]
        if verification.state != verification_pb2.VERIFICATION_STATE_CANCELED:
            verification.state = verification_pb2.VERIFICATION_STATE_CANCELED
            self._tell(verification)
        return pb.CancelVerificationResponse(verification=verification)

    async def RedactVerification(self, request: pb.RedactVerificationRequest, context: Any) -> Any:
        await self._answerable(context)
        self.ended.append((request.request_id, request.verification_id))
        verification = self.made[request.verification_id]
        if not verification.redaction:
            verification.redaction = verification_pb2.VERIFICATION_REDACTION_PROCESSING
            self._tell(verification)
        return pb.RedactVerificationResponse(verification=verification)

    async def WatchVerifications(self, request: pb.WatchVerificationsRequest, context: Any) -> Any:
        self.watches.append((request.epoch, request.after_sequence))
        if request.after_sequence > len(self.feed):
            error = ERRORS.error(
                grpc.StatusCode.OUT_OF_RANGE,
                ErrorReason.ERROR_REASON_CURSOR_OUTDATED,
                "of changes that were lost",
                metadata={"epoch": "0", "after_sequence": "0"},
            )
            await _abort(context, error)
        sequence = request.after_sequence
        while True:
            token = self._news.token()
            for epoch, verification in self.feed[sequence:]:
                sequence += 1
                yield pb.WatchVerificationsResponse(verification=verification, epoch=epoch)
            await Notifier.wait(token, 30)

    async def _answerable(self, context: Any) -> None:
        if self.is_down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the corridor cannot be used")
        if self.error is not None:
            await _abort(context, self.error)


async def _abort(context: Any, error: ServiceError) -> None:
    details = ((STATUS_DETAILS_KEY, error.to_status().SerializeToString()),)
    await context.abort(error.code, error.message, details)

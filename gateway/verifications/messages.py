"""Verifications as callers see them."""

from collections.abc import Mapping
from typing import Any

from gateway.v1 import verification_pb2 as pb
from gateway.verifications.domain import DOCUMENT_TYPES, Verification

_DOCUMENT_TYPES = {word: number for number, word in DOCUMENT_TYPES.items()}


def verification_message(verification: Verification) -> pb.Verification:
    """One verification."""
    message = pb.Verification(
        verification_id=verification.verification_id,
        subject_id=verification.subject_id,
        corridor=verification.corridor,
        type=pb.VerificationType.Value(f"VERIFICATION_TYPE_{verification.type}"),
        options=_options(verification.options),
        state=pb.VerificationState.Value(f"VERIFICATION_STATE_{verification.state}"),
        error_code=verification.error_code,
        failure_code=verification.failure_code,
        stripe_session_id=verification.stripe_session_id,
        sequence=verification.sequence or 0,
    )
    if verification.redaction:
        message.redaction = pb.VerificationRedaction.Value(
            f"VERIFICATION_REDACTION_{verification.redaction}"
        )
    if verification.verify_time is not None:
        message.verify_time.FromDatetime(verification.verify_time)
    message.create_time.FromDatetime(verification.create_time)
    message.update_time.FromDatetime(verification.update_time)
    return message


def _options(options: Mapping[str, Any]) -> pb.VerificationOptions:
    return pb.VerificationOptions(
        require_matching_selfie=options.get("require_matching_selfie", False),
        require_live_capture=options.get("require_live_capture", False),
        require_id_number=options.get("require_id_number", False),
        allowed_types=[
            _DOCUMENT_TYPES[name]
            for name in options.get("allowed_types", ())
            if name in _DOCUMENT_TYPES
        ],
    )

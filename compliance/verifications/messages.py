"""Verifications in the forms of the contracts: the gateway's and ours."""

from compliance.v1 import verification_pb2 as pb
from compliance.v1 import verification_service_pb2 as service_pb
from compliance.verifications.verification import Verification
from compliance.wire_time import to_datetime, to_timestamp
from gateway.v1 import verification_pb2 as gateway_pb
from gateway.v1 import verification_service_pb2 as gateway_service_pb

_TYPE, _STATE, _REDACTION = (f"VERIFICATION_{word}_" for word in ("TYPE", "STATE", "REDACTION"))


def verification_of(said: gateway_pb.Verification) -> Verification:
    """What the gateway said."""
    redaction = gateway_pb.VerificationRedaction.Name(said.redaction).removeprefix(_REDACTION)
    return Verification(
        verification_id=said.verification_id,
        subject_id=said.subject_id,
        type=gateway_pb.VerificationType.Name(said.type).removeprefix(_TYPE),
        state=gateway_pb.VerificationState.Name(said.state).removeprefix(_STATE),
        error_code=said.failure_code or said.error_code,
        redaction=redaction if said.redaction else "",
        with_selfie=said.options.require_matching_selfie,
        stripe_session_id=said.stripe_session_id,
        verify_time=to_datetime(said.verify_time) if said.HasField("verify_time") else None,
        create_time=to_datetime(said.create_time),
        update_time=to_datetime(said.update_time),
        sequence=said.sequence,
    )


def verification_message(verification: Verification) -> pb.Verification:
    """A verification as clients see it."""
    redaction = verification.redaction or "UNSPECIFIED"
    return pb.Verification(
        verification_id=verification.verification_id,
        subject_id=verification.subject_id,
        type=pb.VerificationType.Value(_TYPE + verification.type),
        state=pb.VerificationState.Value(_STATE + verification.state),
        error_code=verification.error_code,
        redaction=pb.VerificationRedaction.Value(_REDACTION + redaction),
        with_selfie=verification.with_selfie,
        stripe_session_id=verification.stripe_session_id,
        verify_time=to_timestamp(verification.verify_time),
        create_time=to_timestamp(verification.create_time),
        update_time=to_timestamp(verification.update_time),
    )


def gateway_request(
    request: service_pb.CreateVerificationRequest, merchant_id: str
) -> gateway_service_pb.CreateVerificationRequest:
    """What the gateway is asked for; `merchant_id` is the gateway's, empty where there is none."""
    asked = gateway_service_pb.CreateVerificationRequest(
        request_id=request.request_id,
        subject_id=request.subject_id,
        corridor=request.corridor,
        type=gateway_pb.VerificationType.Value(pb.VerificationType.Name(request.type)),
        return_url=request.return_url,
        merchant_id=merchant_id,
        person_id=request.person_id,
    )
    if request.HasField("options"):
        options = request.options
        asked.options.CopyFrom(
            gateway_pb.VerificationOptions(
                require_matching_selfie=options.require_matching_selfie,
                require_live_capture=options.require_live_capture,
                require_id_number=options.require_id_number,
                allowed_types=[
                    gateway_pb.VerificationDocumentType.Value(
                        pb.VerificationDocumentType.Name(item)
                    )
                    for item in options.allowed_types
                ],
            )
        )
    return asked


def link_message(link: gateway_pb.VerificationLink) -> pb.VerificationLink:
    """Where the person goes."""
    return pb.VerificationLink(url=link.url, client_secret=link.client_secret)


def state_word(state: "pb.VerificationState.ValueType") -> str:
    """The state of a filter; empty for all."""
    return pb.VerificationState.Name(state).removeprefix(_STATE) if state else ""

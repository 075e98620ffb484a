"""Documents in the form of the contract."""

from compliance.accounts.guidance import Guidance, guide
from compliance.documents.document import Document, Side
from compliance.v1 import document_pb2 as pb
from compliance.v1 import requirement_pb2
from compliance.wire_time import to_timestamp

_STATE, _REFUSAL, _SIDE = "DOCUMENT_STATE_", "DOCUMENT_REFUSAL_", "DOCUMENT_SIDE_"
_UNSPECIFIED = "UNSPECIFIED"


def document_message(document: Document) -> pb.Document:
    return pb.Document(
        document_id=document.document_id,
        merchant_id=document.merchant_id,
        field=document.field,
        person_id=document.person_id,
        side=pb.DocumentSide.Value(_SIDE + (document.side.value or _UNSPECIFIED)),
        with_other_side=document.with_other_side,
        purpose=document.purpose,
        content_type=document.content_type,
        size_bytes=document.size_bytes,
        state=pb.DocumentState.Value(_STATE + document.state.value),
        refusal=pb.DocumentRefusal.Value(_REFUSAL + (document.refusal.value or _UNSPECIFIED)),
        error_codes=document.error_codes,
        error_guidance=[_guidance(guide().error(code)) for code in document.error_codes],
        failure=document.failure,
        create_time=to_timestamp(document.create_time),
        state_time=to_timestamp(document.state_time),
        destroy_time=to_timestamp(document.destroy_time),
        destroyed=document.destroyed,
    )


def state_word(state: pb.DocumentState.ValueType) -> str:
    """The word of the table; empty if none is given."""
    return pb.DocumentState.Name(state).removeprefix(_STATE) if state else ""


def side_word(side: pb.DocumentSide.ValueType, *, has_sides: bool) -> Side:
    """The side; the front of a document with sides if none is given."""
    if not has_sides:
        return Side.WHOLE
    return Side(pb.DocumentSide.Name(side).removeprefix(_SIDE)) if side else Side.FRONT


def _guidance(found: Guidance) -> requirement_pb2.Guidance:
    return requirement_pb2.Guidance(words=found.words, fix=found.fix, known=found.is_known)

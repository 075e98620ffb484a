"""Notices in the form of the contract."""

from compliance.accounts.messages import requirement_message
from compliance.collection.store import Mail, Notice
from compliance.v1 import notice_pb2 as pb
from compliance.v1 import notice_service_pb2 as service_pb
from compliance.wire_time import to_timestamp

_STATE_PREFIX = "NOTICE_MAIL_STATE_"


def notice_message(notice: Notice) -> pb.Notice:
    told = notice.told
    return pb.Notice(
        sequence=notice.sequence,
        kind=pb.NoticeKind.Value(f"NOTICE_KIND_{told.kind.value}"),
        merchant_id=notice.merchant_id,
        requirements=[requirement_message(item) for item in told.requirements],
        act_by_time=to_timestamp(told.act_by_time),
        deadline_time=to_timestamp(told.deadline_time),
        days=told.days,
        record_time=to_timestamp(told.record_time),
    )


def state_word(state: pb.NoticeMailState.ValueType) -> str:
    """The word of the tables; empty if none is given."""
    return pb.NoticeMailState.Name(state).removeprefix(_STATE_PREFIX) if state else ""


def listed_message(notice: Notice, mail: Mail) -> service_pb.ListedNotice:
    return service_pb.ListedNotice(
        notice=notice_message(notice),
        mail_state=pb.NoticeMailState.Value(_STATE_PREFIX + (mail.state or "UNSPECIFIED")),
        attempt_count=mail.attempt_count,
        failure=mail.failure,
    )

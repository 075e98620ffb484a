"""Cases and their events in the form of the contract."""

from collections.abc import Iterable, Mapping

from compliance.cases.case import ReviewCase, needs_two
from compliance.cases.store import CaseEvent
from compliance.checks.findings import Finding
from compliance.checks.messages import reason_message
from compliance.checks.rulings import way_out_of
from compliance.v1 import case_pb2 as pb
from compliance.v1 import decision_pb2
from compliance.wire_time import to_timestamp
from money.v1.money_pb2 import Money

_STATE_PREFIX = "CASE_STATE_"
_EVENT_PREFIX = "CASE_EVENT_KIND_"
_WAY_OUT_PREFIX = "WAY_OUT_"
_KIND_PREFIX = "DECISION_KIND_"


def state_word(value: "pb.CaseState.ValueType") -> str:
    return pb.CaseState.Name(value).removeprefix(_STATE_PREFIX)


def case_message(case: ReviewCase, limits: Mapping[str, int]) -> pb.Case:
    """The case as clients see it; `limits` are those that one person may approve."""
    movement = case.scope.movement
    return pb.Case(
        id=case.case_id,
        state=pb.CaseState.Value(_STATE_PREFIX + case.state),
        kind=decision_pb2.DecisionKind.Value(_KIND_PREFIX + movement.kind),
        reference_id=movement.reference_id,
        merchant_id=movement.merchant_id,
        customer_id=movement.customer_id,
        amount=Money(currency_code=movement.currency_code, minor_units=movement.amount_minor),
        connected_account_id=movement.connected_account_id,
        findings=_findings(case.scope.findings),
        participants=[
            pb.CaseParticipant(
                subject_id=participant.subject_id,
                role=participant.role,
                profile_revision=participant.profile_revision,
            )
            for participant in case.scope.participants
        ],
        revision=case.revision,
        assignee=case.assignee,
        needs_second_approval=needs_two(case.scope, limits),
        first_approver=case.first_approver,
        decision_id=case.decision_id,
        check_time=to_timestamp(case.check_time),
        open_time=to_timestamp(case.open_time),
        expire_time=to_timestamp(case.expire_time),
        close_time=to_timestamp(case.close_time),
        closed_by=case.closed_by,
        close_note=case.close_note,
        corridor=case.corridor,
    )


def event_message(event: CaseEvent) -> pb.CaseEvent:
    """The event as clients see it."""
    return pb.CaseEvent(
        sequence=event.sequence,
        case_id=event.case_id,
        kind=pb.CaseEventKind.Value(_EVENT_PREFIX + event.event),
        revision=event.revision,
        findings=_findings(event.scope.findings) if event.scope else (),
        client=event.client,
        note=event.note,
        record_time=to_timestamp(event.record_time),
    )


def _findings(findings: Iterable[Finding]) -> list[pb.CaseFinding]:
    messages = []
    for finding in findings:
        way_out, method = way_out_of(finding)
        messages.append(
            pb.CaseFinding(
                reason=reason_message(finding),
                way_out=pb.WayOut.Value(_WAY_OUT_PREFIX + way_out),
                method=method,
            )
        )
    return messages

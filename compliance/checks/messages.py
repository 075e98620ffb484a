"""Decisions in the form of the contract."""

from dataclasses import dataclass

from compliance.checks.canonical import loads, time_of
from compliance.checks.decision import DecisionRecord
from compliance.checks.decision_log import Place
from compliance.checks.evidence import Evidence
from compliance.checks.findings import TEXTS, Finding, Verdict
from compliance.v1 import decision_pb2 as pb
from compliance.wire_time import set_duration, set_timestamp
from money.v1.money_pb2 import Money

_DECISION_KIND_PREFIX = "DECISION_KIND_"
_VERDICT_PREFIX = "VERDICT_"
# By the words that records have.
_EVIDENCE_KINDS = {
    name.removeprefix("EVIDENCE_KIND_"): kind for name, kind in pb.EvidenceKind.items()
}
_EVIDENCE_STATES = {
    name.removeprefix("EVIDENCE_STATE_"): state for name, state in pb.EvidenceState.items()
}


@dataclass(frozen=True)
class LoggedDecision:
    """A row of the log."""

    place: Place
    decision_id: str
    record: str
    body: bytes
    kind: str

    @property
    def method(self) -> str:
        """The method that was asked, such as `CheckPayment`."""
        return f"Check{self.kind.capitalize()}"

    def to_message(self) -> pb.Decision:
        """The decision. Raises `ValueError` if this version cannot read its record."""
        return decision_message(loads(self.record, DecisionRecord), self.place)

    def to_unread_message(self) -> pb.Decision:
        """What is known of a decision whose record cannot be read: which one it is, no verdict."""
        return pb.Decision(
            id=self.decision_id,
            sequence=self.place.sequence,
            hash=self.place.hash,
            previous_hash=self.place.previous_hash,
        )


def decision_message(record: DecisionRecord, place: Place) -> pb.Decision:
    """The decision as clients see it."""
    facts = record.facts
    decision = pb.Decision(
        id=record.decision_id,
        sequence=place.sequence,
        kind=pb.DecisionKind.Value(_DECISION_KIND_PREFIX + record.kind),
        request_id=record.request_id,
        reference_id=record.reference_id,
        merchant_id=record.merchant_id,
        customer_id=facts.customer_id,
        amount=Money(currency_code=facts.currency_code, minor_units=facts.amount_minor),
        verdict=pb.Verdict.Value(_VERDICT_PREFIX + record.verdict),
        reasons=[reason_message(finding) for finding in record.findings],
        policy_version=record.policy_version,
        hash=place.hash,
        previous_hash=place.previous_hash,
        case_id="" if facts.ruling is None else facts.ruling.case_id,
    )
    set_timestamp(decision.as_of_time, facts.as_of)
    set_timestamp(decision.record_time, time_of(record.record_time_us))
    for piece in record.evidence:
        _add_evidence(decision, piece)
    return decision


def reason_message(finding: Finding) -> pb.Reason:
    """A finding with its two texts; only the operators' has the detail."""
    internal, merchant = TEXTS[finding.code]
    detail = finding.detail
    if finding.measured:
        detail = f"{detail}: {finding.measured}"
    return pb.Reason(
        code=pb.ReasonCode.Value(f"REASON_CODE_{finding.code.name}"),
        verdict=verdict_enum(finding.verdict),
        subject_id=finding.subject_id,
        internal_text=f"{internal} ({detail})" if detail else internal,
        merchant_text="" if finding.approved else merchant,
        approved=finding.approved,
    )


def verdict_enum(verdict: Verdict) -> "pb.Verdict.ValueType":
    return pb.Verdict.Value(_VERDICT_PREFIX + verdict.name)


def verdict_word(verdict: "pb.Verdict.ValueType") -> str:
    return pb.Verdict.Name(verdict).removeprefix(_VERDICT_PREFIX)


def kind_word(kind: "pb.DecisionKind.ValueType") -> str:
    return pb.DecisionKind.Name(kind).removeprefix(_DECISION_KIND_PREFIX)


def _add_evidence(decision: pb.Decision, piece: Evidence) -> None:
    message = decision.evidence.add(
        kind=_EVIDENCE_KINDS[piece.kind],
        state=_EVIDENCE_STATES[piece.state],
        about=piece.about,
        version=piece.version,
    )
    if piece.observed_time is not None:
        set_timestamp(message.observe_time, piece.observed_time)
        # An age of nothing is an age all the same.
        message.observe_time.SetInParent()
    if piece.age is not None:
        set_duration(message.age, piece.age)
        message.age.SetInParent()

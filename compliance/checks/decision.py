"""A decision: what was asked, what was known, what the rules said. Pure; made once, replayed often.

The record is everything that is hashed. Its verdict follows from its facts and its policy, so
that running the rules again gives the same record bit for bit.
"""

from dataclasses import dataclass
from datetime import datetime

from compliance.checks.canonical import dumps, microseconds
from compliance.checks.earlier_rules import rules_of
from compliance.checks.evidence import Evidence, evidence_of
from compliance.checks.facts import CheckFacts
from compliance.checks.findings import Finding, Verdict
from compliance.checks.policy import Policy
from compliance.checks.rules import RULES_VERSION, evaluate, verdict_of


@dataclass(frozen=True)
class DecisionRecord:
    """What the log keeps of a decision. `kind` and `verdict` are words of the contract's enums."""

    decision_id: str
    kind: str
    request_id: str
    reference_id: str
    merchant_id: str
    verdict: str
    findings: tuple[Finding, ...]
    evidence: tuple[Evidence, ...]
    policy_version: str
    facts: CheckFacts
    record_time_us: int
    # Which rules decided; records of the first ones do not say.
    rules_version: int = 1


def decide(
    facts: CheckFacts,
    policy: Policy,
    *,
    decision_id: str,
    request_id: str,
    reference_id: str,
    record_time: datetime,
) -> DecisionRecord:
    """Runs the rules over the facts."""
    findings = evaluate(facts, policy)
    return DecisionRecord(
        decision_id=decision_id,
        kind=facts.kind.value,
        request_id=request_id,
        reference_id=reference_id,
        merchant_id=facts.merchant_id,
        verdict=verdict_of(findings).name,
        findings=findings,
        evidence=evidence_of(facts, policy),
        policy_version=policy.version,
        facts=facts,
        record_time_us=microseconds(record_time),
        rules_version=RULES_VERSION,
    )


def replay(record: DecisionRecord, policy: Policy) -> tuple[Verdict, tuple[Finding, ...], bool]:
    """What the rules of then say of the stored facts, and whether that is what they said then."""
    findings = evaluate(record.facts, policy, rules_of(record.rules_version))
    verdict = verdict_of(findings)
    again = dumps([verdict.name, findings, evidence_of(record.facts, policy)])
    then = dumps([record.verdict, record.findings, record.evidence])
    return verdict, findings, again == then

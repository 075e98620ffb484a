"""Rows of routing as messages of gateway.v1."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.payments.rendering import stamp
from gateway.routing_service.evaluating import Judged
from gateway.routing_service.record import decision_of, rank_of
from gateway.routing_service.steps import Evidence, Subject
from gateway.v1 import routing_pb2 as pb


def decision_message(row: Any, outcome: Any | None) -> pb.RoutingDecision:
    """A decision, with what became of it if that is known."""
    decision = decision_of(row)
    sent = decision.scores[rank_of(row)]
    best = decision.scores[decision.best]
    rules = decision.scores[0]
    cause = outcome.cause if outcome is not None else "UNSPECIFIED"
    return pb.RoutingDecision(
        payment_id=row.payment_id,
        corridor=row.corridor,
        arm=pb.RoutingArm.Value(f"ROUTING_ARM_{row.arm}"),
        share=row.share,
        propensity=row.propensity,
        routing_corridor=row.action,
        rules_corridor=rules.corridor,
        value_over_rules=sent.value - rules.value,
        method=row.method,
        routing_method=row.action_method,
        explored=row.explored,
        candidates=[
            pb.RoutingCandidate(**score._asdict(), exploration=score is not best)
            for score in decision.scores
        ],
        excluded=[pb.ExcludedCorridor(**each) for each in row.excluded],
        model_version=row.model_version,
        trained_model_version=row.trained_version,
        policy_hash=row.policy_hash,
        features_hash=row.features_hash,
        seed=row.seed,
        region=row.region,
        decide_time=stamp(row.decide_time),
        cause=pb.RoutingCause.Value(f"ROUTING_CAUSE_{cause}"),
        was_unknown=outcome is not None and outcome.was_unknown,
    )


def retry_message(row: Any, cause: str | None) -> pb.RetryTimeDecision:
    """When a payment was to be tried again, with what became of it if that is known."""
    return pb.RetryTimeDecision(
        attempt=row.attempt,
        retry_time=stamp(row.retry_time),
        latest_time=stamp(row.latest_time),
        option=row.option,
        arm=pb.RoutingArm.Value(f"ROUTING_ARM_{row.arm}"),
        share=row.share,
        propensity=row.propensity,
        routing_option=row.action,
        explored=row.explored,
        candidates=[
            pb.RetryTimeCandidate(
                option=score["corridor"],
                approval=score["approval"],
                approval_spread=score["value_spread"],
                propensity=score["propensity"],
            )
            for score in row.scores
        ],
        model_version=row.model_version,
        policy_hash=row.policy_hash,
        features_hash=row.features_hash,
        seed=row.seed,
        region=row.region,
        kind=row.kind,
        decide_time=stamp(row.decide_time),
        cause=pb.RoutingCause.Value(f"ROUTING_CAUSE_{cause or 'UNSPECIFIED'}"),
    )


def retry_line_message(row: Any) -> pb.RetryTimeReportLine:
    """What was chosen of one time, region, kind of decline and arm."""
    return pb.RetryTimeReportLine(
        option=row.option,
        region=row.region,
        kind=row.kind,
        arm=pb.RoutingArm.Value(f"ROUTING_ARM_{row.arm}"),
        decision_count=row.decisions,
        explored_count=row.explored,
        judged_count=row.judged,
        approved_count=row.approved,
    )


def model_message(row: Any, in_force: str, training: Any | None = None) -> pb.RoutingModel:
    """A model, what it was trained on if it was, and whether it is in force."""
    trained = None
    if training is not None:
        trained = training_message(training, is_new=row.version != in_force)
    return pb.RoutingModel(
        version=row.version,
        learned_count=row.learned,
        code_version=row.code_version,
        create_time=stamp(row.create_time),
        in_force=row.version == in_force,
        training=trained,
    )


def training_message(row: Any, *, is_new: bool) -> pb.RoutingTraining:
    """What a model was trained on."""
    told = row.provenance
    held = told["held_out"]
    return pb.RoutingTraining(
        start_time=_moment(told["start_s"]),
        end_time=_moment(told["end_s"]),
        held_out_time=_moment(told["held_from_s"]),
        decision_count=told["decisions"],
        fitted_count=told["fitted"],
        held_out_count=int(held["outcomes"]),
        held_out_approved=held["approved"],
        held_out_expected=held["expected"],
        log_loss=held["log_loss"],
        base_rate_log_loss=held["base_log_loss"],
        online_log_loss=held["online_log_loss"],
        corridors=told["corridors"],
        settings=told["settings"],
        truncated=row.truncated,
        client=row.client,
        candidate=is_new and not row.promoted,
    )


def _moment(seconds: float) -> Any:
    return stamp(datetime.fromtimestamp(seconds, UTC))


def figures_message(figures: Mapping[str, Any]) -> pb.RoutingFigures:
    """What a step is, or was, decided by."""
    return pb.RoutingFigures(
        rules_outcome_count=figures["rules_outcomes"],
        rules_success=figures["rules_success"],
        routed_outcome_count=figures["routed_outcomes"],
        routed_success=figures["routed_success"],
        difference_low=figures["difference_low"],
        difference_high=figures["difference_high"],
        learned_count=figures["learned"],
    )


def evidence_message(evidence: Evidence) -> pb.RoutingFigures:
    """The same of what is known now."""
    return figures_message(evidence.figures)


def subject_of(number: int) -> Subject:
    """What a request is about: where payments are charged unless it says otherwise."""
    name = pb.RoutingSubject.Name(pb.RoutingSubject.ValueType(number))
    known = name.removeprefix("ROUTING_SUBJECT_")
    return Subject(known) if known != "UNSPECIFIED" else Subject.CORRIDOR


def evaluation_message(
    judged: Judged, model_version: str, judgement_number: int
) -> pb.PolicyEvaluation:
    """What a candidate would have been worth; without figures if too little is there for any."""
    answer, found = judged.answer, judged.answer["evaluation"]
    message = pb.PolicyEvaluation(
        accepted=not answer["refusals"],
        refusals=[
            pb.PolicyRefusal(
                reason=pb.PolicyRefusalReason.Value(f"POLICY_REFUSAL_REASON_{reason}"),
                sentence=sentence,
            )
            for reason, sentence in answer["refusals"]
        ],
        unjudged_count=judged.unjudged,
        other_features_count=answer["other_features"],
        truncated=judged.truncated,
        model_version=model_version,
        judgement_number=judgement_number,
    )
    if found is None:
        return message
    support = found["support"]
    message.MergeFrom(
        pb.PolicyEvaluation(
            decision_count=support["decisions"],
            customer_count=support["customers"],
            first_time=stamp(datetime.fromtimestamp(found["first_s"], UTC)),
            last_time=stamp(datetime.fromtimestamp(found["last_s"], UTC)),
            confidence=found["confidence"],
            logged=_estimate(found["logged"]),
            inverse_propensity=_estimate(found["ips"]),
            self_normalized=_estimate(found["snips"]),
            doubly_robust=_estimate(found["dr"]),
            gain=_estimate(found["gain"]),
            expected=found["direct"],
            support=pb.PolicySupport(
                effective_decision_count=support["effective_decisions"],
                effective_customer_count=support["effective_customers"],
                carrying_count=support["carrying"],
                max_weight=support["max_weight"],
                max_weight_share=support["max_weight_share"],
                lost_share=support["lost_share"],
                unseen_share=support["unseen_share"],
                unseen_corridors=support["unseen"],
                mean_weight=support["mean_weight"],
            ),
            detectable_gain=answer["detectable_gain"],
            decisions_needed=answer["decisions_needed"],
            power_sentence=answer["power_sentence"],
        )
    )
    return message


def _estimate(found: Mapping[str, Any]) -> pb.PolicyEstimate:
    low, high = found["interval"]
    return pb.PolicyEstimate(
        value=found["value"], low=low, high=high, standard_error=found["error"]
    )


def change_message(row: Any) -> pb.RoutingStepChange:
    """A step that was taken."""
    return pb.RoutingStepChange(
        step=pb.RoutingStep.Value(f"ROUTING_STEP_{row.step}"),
        model_version=row.model_version,
        client=row.client,
        reason=row.reason,
        figures=figures_message(row.evidence),
        step_time=stamp(row.step_time),
        subject=pb.RoutingSubject.Value(f"ROUTING_SUBJECT_{row.subject}"),
        judgement_number=row.judgement_number,
        override_reason=row.override_reason,
    )


def line_message(row: Any) -> pb.RoutingReportLine:
    """What was decided of one corridor, region and arm."""
    return pb.RoutingReportLine(
        corridor=row.corridor,
        region=row.region,
        arm=pb.RoutingArm.Value(f"ROUTING_ARM_{row.arm}"),
        decision_count=row.decisions,
        explored_count=row.explored,
        judged_count=row.judged,
        approved_count=row.approved,
        failed_count=row.failed,
        unknown_count=row.unknown,
    )

"""What callers of RoutingService are told."""

from collections.abc import Mapping
from typing import Any

import grpc

from gateway.errors import ERRORS
from gateway.routing_service.judgements import JudgementProblem
from gateway.routing_service.steps import Mode, Step
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.errors import ServiceError

_NOT_JUDGED = {
    JudgementProblem.MISSING: "EvaluatePolicy has not judged this model",
    JudgementProblem.REFUSED: "EvaluatePolicy refuses this model",
    JudgementProblem.OUTDATED: "EvaluatePolicy has judged this model by decisions of too long ago",
    JudgementProblem.OTHER_TERMS: "EvaluatePolicy has judged this model by other terms",
}


def decision_not_found(payment_id: str) -> ServiceError:
    """Routing has decided nothing about it."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_ROUTING_DECISION_NOT_FOUND,
        "routing has decided nothing about this payment",
        metadata={"payment_id": payment_id},
    )


def model_not_found(version: str) -> ServiceError:
    """No such model is kept."""
    return ERRORS.error(
        grpc.StatusCode.NOT_FOUND,
        ErrorReason.ERROR_REASON_ROUTING_MODEL_NOT_FOUND,
        "no such model",
        metadata={"model_version": version},
    )


def step_invalid(mode: Mode, step: Step, present: Step) -> ServiceError:
    """It is not the next step, or there are none."""
    why = (
        f"the step above {present} is another one"
        if mode is Mode.STAGED
        else "steps count with GATEWAY_ROUTING=staged only"
    )
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ROUTING_STEP_INVALID,
        why,
        metadata={"mode": mode.value, "step": step.value, "present_step": present.value},
    )


def not_judged(problem: JudgementProblem, step: Step, model: str, refusals: str) -> ServiceError:
    """No verdict that a step may rest on accepts the model, and nobody said why to do without."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ROUTING_NOT_JUDGED,
        _NOT_JUDGED[problem],
        metadata={
            "problem": problem.value,
            "step": step.value,
            "model_version": model,
            "refusals": refusals,
        },
    )


def evidence_thin(problem: str, present: Step, figures: Mapping[str, Any]) -> ServiceError:
    """Not enough was shown."""
    shown = {name: str(value) for name, value in figures.items()}
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ROUTING_EVIDENCE_THIN,
        problem,
        metadata={"present_step": present.value, **shown},
    )


def model_damaged(version: str) -> ServiceError:
    """Its bytes are not those that it is named by."""
    return ERRORS.error(
        grpc.StatusCode.DATA_LOSS,
        ErrorReason.ERROR_REASON_ROUTING_MODEL_DAMAGED,
        "the bytes that are kept are not those of this model",
        metadata={"model_version": version},
    )


def training_refused(problem: str, sentence: str) -> ServiceError:
    """No model comes of the window."""
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ROUTING_TRAINING_REFUSED,
        sentence,
        metadata={"problem": problem},
    )


def candidate_not_in_force(mode: Mode, step: Step, present: Step) -> ServiceError:
    """What live payments show is of another model."""
    return _candidate_invalid(
        mode,
        step,
        present,
        "the model is not in force, and what live payments show is of another one: it begins at"
        " SHADOW, to which RollBackModel goes back",
    )


def candidate_unreadable(mode: Mode, step: Step, present: Step, why: str) -> ServiceError:
    """It is of a release with other features."""
    return _candidate_invalid(mode, step, present, f"this release cannot use the model: {why}")


def _candidate_invalid(mode: Mode, step: Step, present: Step, why: str) -> ServiceError:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_ROUTING_STEP_INVALID,
        why,
        metadata={"mode": mode.value, "step": step.value, "present_step": present.value},
    )

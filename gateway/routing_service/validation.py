"""What requests of RoutingService have to be like; `gateway.validation` merges the rules."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from gateway.payments.api.validation import MAX_PAYMENT_ID_BYTES, PAYMENT_ID
from gateway.routing.evaluation import MAX_LOOKS
from gateway.routing_service.decision_feed import DEFAULT_DECISIONS, MAX_DECISIONS
from gateway.routing_service.store import KEEP_DECISIONS
from gateway.stripe_client.validation import MAX_REASON_BYTES
from gateway.v1 import routing_pb2
from gateway.v1 import routing_service_pb2 as pb
from runtime.rule import Rule
from runtime.rules import (
    PAGE,
    REQUEST_ID,
    boolean,
    check,
    enum,
    integer,
    message,
    one_of,
    text,
    timestamp,
)

VERSION = re.compile(r"[0-9a-f]{64}")
VERSION_BYTES = 64

_REASON = text("reason", required=True, max_bytes=MAX_REASON_BYTES)


def _window_problem(request: Any) -> str | None:
    """What is wrong with both times of a window together."""
    if not (request.HasField("start_time") and request.HasField("end_time")):
        return None
    start, end = request.start_time, request.end_time
    if (end.seconds, end.nanos) <= (start.seconds, start.nanos):
        return "is not after start_time"
    return None


def _training_problem(request: Any) -> str | None:
    """What is wrong with both times of a window that a model is trained on."""
    if problem := _window_problem(request):
        return problem
    start, end = request.start_time, request.end_time
    whole, rest = end.seconds - start.seconds, end.nanos - start.nanos
    if (whole, rest) > (KEEP_DECISIONS.total_seconds(), 0):
        return f"is more than {KEEP_DECISIONS.days} days after start_time"
    return None


RULES: Mapping[type[Message], Sequence[Rule]] = {
    pb.ExplainRoutingRequest: [
        text("payment_id", required=True, max_bytes=MAX_PAYMENT_ID_BYTES, pattern=PAYMENT_ID)
    ],
    pb.ListModelsRequest: [*PAGE, boolean("trained_only")],
    pb.TrainModelRequest: [
        REQUEST_ID,
        timestamp("start_time", required=True),
        timestamp("end_time", required=True),
        check("end_time", _training_problem),
    ],
    pb.PromoteModelRequest: [
        REQUEST_ID,
        text("model_version", required=True, max_bytes=VERSION_BYTES, pattern=VERSION),
        enum("step", required=True),
        _REASON,
        text("override_reason", max_bytes=MAX_REASON_BYTES),
        enum("subject", default=routing_pb2.ROUTING_SUBJECT_CORRIDOR),
    ],
    pb.RollBackModelRequest: [
        REQUEST_ID,
        text("model_version", max_bytes=VERSION_BYTES, pattern=VERSION),
        _REASON,
        enum("subject"),
    ],
    routing_pb2.RecordedRouting: [],
    routing_pb2.OperatorsOrder: [],
    pb.EvaluatePolicyRequest: [
        one_of("candidate"),
        text("model_version", max_bytes=VERSION_BYTES, pattern=VERSION),
        message("recorded_routing"),
        message("operators_order"),
        timestamp("start_time"),
        timestamp("end_time"),
        check("end_time", _window_problem),
        integer("max_decisions", minimum=0, maximum=MAX_DECISIONS, default=DEFAULT_DECISIONS),
        integer("looks", minimum=0, maximum=MAX_LOOKS, default=1),
        enum("subject", default=routing_pb2.ROUTING_SUBJECT_CORRIDOR),
    ],
    pb.GetRoutingReportRequest: [timestamp("start_time")],
}

"""OperatorActService of reconciliation."""

from reconciliation.errors import ERRORS
from reconciliation.v1 import operator_act_service_pb2, operator_act_service_pb2_grpc
from runtime.act_messages import ActLister
from runtime.acts import ActLog
from runtime.server import RegisteredService, registered


class OperatorActService(ActLister, operator_act_service_pb2_grpc.OperatorActServiceServicer):
    """Shows who did it."""


def open_operator_acts(acts: ActLog) -> RegisteredService:
    """The service over the acts on its database."""
    servicer = OperatorActService(acts, ERRORS, operator_act_service_pb2)
    return registered(operator_act_service_pb2, operator_act_service_pb2_grpc, servicer)

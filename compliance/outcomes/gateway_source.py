"""How payments end, by the gateway's services. Nothing personal is kept of them."""

from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from compliance.outcomes.outcome import (
    COUNTED,
    NO_CHARGEBACK,
    Change,
    DisputeOutcome,
    Place,
    day_of,
)
from compliance.wire_time import to_datetime
from gateway.v1 import dispute_pb2, dispute_service_pb2
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.dispute_service_pb2_grpc import DisputeServiceStub
from gateway.v1.payment_service_pb2_grpc import PaymentServiceStub

# A payment has one dispute, seldom two; with more than these the newest count.
MAX_DISPUTES = 100
_STATE_PREFIX = "DISPUTE_STATE_"
_TRANSITIONS = sorted(COUNTED)


class GatewayOutcomes:
    """The gateway as a source of how payments end."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._payments = PaymentServiceStub(channel)
        self._disputes = DisputeServiceStub(channel)

    @property
    def is_connected(self) -> bool:
        """Whether the gateway can be reached, as far as is known."""
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    def watch(self, place: Place) -> Any:
        """The gateway's feed of changed payments after a place in it; a call to read from.

        It waits for a gateway that is away, as the feed of merchants does. A gateway of before it
        could be asked for some changes only tells of all.
        """
        return self._payments.WatchPayments(
            pb.WatchPaymentsRequest(
                epoch=place.epoch, after_sequence=place.sequence, transitions=_TRANSITIONS
            ),
            wait_for_ready=True,
        )

    async def disputes_of(self, payment_id: str) -> list[DisputeOutcome]:
        """The disputes of a payment as they are now. Raises `grpc.aio.AioRpcError`."""
        answer = await self._disputes.ListDisputes(
            dispute_service_pb2.ListDisputesRequest(payment_id=payment_id, page_size=MAX_DISPUTES)
        )
        return [dispute_outcome(dispute) for dispute in answer.disputes]


def place_of(response: pb.WatchPaymentsResponse) -> Place:
    """Where in the feed a change is."""
    return Place(response.epoch, response.sequence)


def changes_of(responses: Iterable[pb.WatchPaymentsResponse]) -> Iterator[Change]:
    """What a feed has told; what the gateway could not read has no amount and is left out."""
    for response in responses:
        payment = response.payment
        if response.transition not in COUNTED or not payment.HasField("amount"):
            continue
        yield Change(
            place=place_of(response),
            payment_id=payment.id,
            merchant_id=payment.merchant_id,
            currency_code=payment.amount.currency_code,
            captured_minor=payment.amount_captured.minor_units,
            refunded_minor=payment.amount_refunded.minor_units,
            record_time=to_datetime(response.record_time),
            transition=response.transition,
        )


def dispute_outcome(dispute: dispute_pb2.Dispute) -> DisputeOutcome:
    """How a dispute counts; one in a state that is not known here is a chargeback."""
    known = dispute_pb2.DisputeState.values()
    state = dispute.state
    name = dispute_pb2.DisputeState.Name(state) if state in known else ""
    return DisputeOutcome(
        dispute_id=dispute.id,
        payment_id=dispute.payment_id,
        merchant_id=dispute.merchant_id,
        currency_code=dispute.amount.currency_code,
        day=day_of(to_datetime(dispute.effective_time)),
        amount_minor=dispute.amount.minor_units,
        is_chargeback=name.removeprefix(_STATE_PREFIX) not in NO_CHARGEBACK,
    )

"""A gateway with the Stripe twin, for verifications."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.v1 import verification_pb2
from gateway.v1 import verification_service_pb2 as pb
from gateway.v1.verification_service_pb2_grpc import VerificationServiceStub
from sandbox.stripe_twin.twin import Twin
from tests.gateway.running import RunningGateway
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop

DOCUMENT = verification_pb2.VERIFICATION_TYPE_DOCUMENT


@pytest.fixture
def verifications(gateway: RunningGateway) -> Any:
    """A stub of VerificationService."""
    return VerificationServiceStub(gateway.channel)


@pytest.fixture
async def dashboard(twin: Twin) -> AsyncIterator[Shop]:
    """Somebody who uses Stripe besides the engine."""
    async with open_shop(twin, twin.account().secret_key) as opened:
        yield opened


def new_verification(request_id: str = "v-1", **changes: Any) -> pb.CreateVerificationRequest:
    """A request for a check of ada's document."""
    values: dict[str, Any] = {"request_id": request_id, "subject_id": "ada", "type": DOCUMENT}
    return pb.CreateVerificationRequest(**(values | changes))


async def created(verifications: Any, request_id: str = "v-1", **changes: Any) -> Any:
    """A verification that was asked for."""
    answer = await verifications.CreateVerification(new_verification(request_id, **changes))
    return answer.verification


async def stands(verifications: Any, verification_id: str) -> Any:
    """The verification as the gateway has it."""
    request = pb.GetVerificationRequest(verification_id=verification_id)
    return (await verifications.GetVerification(request)).verification

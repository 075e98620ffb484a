"""A payment waits for its customer to be verified, and goes on: gateway, compliance, the twin."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc

from compliance.config import BUNDLED_SDN_FILE
from compliance.v1 import verification_pb2
from compliance.v1 import verification_service_pb2 as pb
from gateway.v1.payment_pb2 import PaymentState
from runtime.clock import SystemClock
from sandbox.addresses import at, free_port
from sandbox.polling import poll
from sandbox.stripe_twin.twin import Twin
from tests.compliance.guard import running_guard, verdict
from tests.compliance.test_verifications import request, wants_verified
from tests.gateway.payments.shop import Shop
from tests.gateway.running import running_gateway
from tests.plugin import NewDatabase

YEAR = timedelta(days=365)


async def test_a_payment_waits_until_its_customer_is_verified(
    service_database: NewDatabase, twin: Twin
) -> None:
    # Time has to pass by itself, as it does for webhooks.
    clock: Any = SystemClock()
    gateway_address = at(free_port())
    async with (
        running_guard(
            service_database("compliance"),
            clock,
            Path(BUNDLED_SDN_FILE).parent,
            gateway_address=gateway_address,
        ) as guard,
        running_gateway(
            service_database("gateway"),
            twin,
            listen_address=gateway_address,
            compliance_address=at(guard.port),
            compliance_timeout_seconds=20.0,
        ) as gateway,
    ):
        merchant, customer = await guard.merchant(account=None), await guard.customer()
        await wants_verified(guard, max_age=YEAR)
        shop = Shop(gateway.channel)
        payment = await shop.create(merchant_id=merchant, customer_id=customer)
        assert payment.state == PaymentState.PAYMENT_STATE_IN_REVIEW

        async def asked() -> pb.CreateVerificationResponse | None:
            # Compliance was there first: it may still take the gateway for away.
            try:
                made: pb.CreateVerificationResponse = await guard.verifications.CreateVerification(
                    request(customer)
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    return None
                raise
            return made

        made = await poll(asked, lambda answer: answer is not None)
        assert made is not None
        session_id = made.verification.stripe_session_id
        _, session = twin.state.locate("identity.verification_session", session_id)
        assert made.link.url == session["url"]
        twin.finish_verification(session_id, "document_unverified_other")
        # The person is sent there once more, by a new link.
        again = await guard.verifications.CreateVerificationLink(
            pb.CreateVerificationLinkRequest(verification_id=made.verification.verification_id)
        )
        assert again.link.url != made.link.url
        twin.finish_verification(session_id)

        # Stripe tells by a webhook, compliance closes the case, and the gateway follows that.
        await poll(
            lambda: shop.get(payment.id),
            lambda seen: seen.state == PaymentState.PAYMENT_STATE_SUCCEEDED,
        )
        [charge] = twin.books()["default"]["charges"]
        assert charge["paid"]

        redacted = await guard.verifications.RedactVerification(
            pb.RedactVerificationRequest(
                request_id="d-1", verification_id=made.verification.verification_id
            )
        )
        assert redacted.verification.redaction == (
            verification_pb2.VERIFICATION_REDACTION_PROCESSING
        )
        assert session["redaction"] == {"status": "processing"}
        assert verdict(await guard.check(merchant, customer_id=customer)) == "REVIEW"

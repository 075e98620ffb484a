"""A client that saves its customer's card first, and then charges what is saved."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.v1 import customer_pb2 as customer
from gateway.v1 import customer_service_pb2 as pb
from gateway.v1.payment_pb2 import PaymentMethod
from tests.chaos.plan import PlannedPayment

# Where a customer comes back to after 3-D Secure.
RETURN_URL = "https://shop.example/back"
REQUESTS = (
    *(pb.CreateCustomerRequest, pb.SavePaymentMethodRequest, pb.GetPaymentMethodSetupRequest),
)


async def save_card(
    planned: PlannedPayment,
    customer_id: str,
    ask: Callable[[Any], Awaitable[Any]],
    authenticate: Callable[[str], Awaitable[None]],
) -> PaymentMethod | None:
    """The saved card; None if the client had no patience, or if the bank did not let it be saved.

    `ask` sends a request until it is answered, `authenticate` takes the id of a setup to the bank.
    """
    where: dict[str, Any] = {"customer_id": customer_id, "corridor": planned.corridor}
    made = await ask(pb.CreateCustomerRequest(request_id=f"{planned.request_id}.customer", **where))
    if made is None or made.customer.state != customer.CUSTOMER_STATE_ACTIVE:
        return None
    answer = await ask(
        pb.SavePaymentMethodRequest(
            request_id=f"{planned.request_id}.save",
            payment_method_id=f"pm_card_{planned.card}",
            return_url=RETURN_URL,
            **where,
        )
    )
    if answer is None:
        return None
    if answer.setup.state == customer.PAYMENT_METHOD_SETUP_STATE_REQUIRES_ACTION:
        await authenticate(answer.setup.id)
        answer = await ask(pb.GetPaymentMethodSetupRequest(setup_id=answer.setup.id, **where))
    if answer is None or answer.setup.state != customer.PAYMENT_METHOD_SETUP_STATE_SUCCEEDED:
        return None
    return PaymentMethod(
        token=answer.setup.payment_method_id, stripe_customer_id=made.customer.stripe_customer_id
    )

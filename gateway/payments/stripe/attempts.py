"""What Stripe's charges say of the attempts on a PaymentIntent: each makes one at most."""

from gateway.stripe_client.client import StripeClient


async def has_several_charges(
    stripe_client: StripeClient, corridor: str, payment_intent_id: str
) -> bool | None:
    """Whether more than one attempt has asked for the money; None if Stripe does not say."""
    params = {"payment_intent": payment_intent_id, "limit": 2}
    outcome = await stripe_client.list_charges(corridor, params)
    return len(outcome.object["data"]) > 1 if outcome.object is not None else None

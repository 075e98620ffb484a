"""A gateway with the Stripe twin, for merchants."""

from gateway.v1 import merchant_service_pb2 as pb


def new_merchant(request_id: str = "create-1", **changes: object) -> pb.CreateMerchantRequest:
    """A request for a company in Germany."""
    values: dict[str, object] = {
        "request_id": request_id,
        "merchant_id": "shop-1",
        "country_code": "DE",
        "dashboard": pb.MERCHANT_DASHBOARD_EXPRESS,
        "business_type": pb.MERCHANT_BUSINESS_TYPE_COMPANY,
        "requested_capabilities": ["card_payments", "transfers"],
        "email": "owner@example.com",
        "business_name": "Blumen Meier",
        "metadata": {"tier": "gold"},
    }
    return pb.CreateMerchantRequest(**(values | changes))  # type: ignore[arg-type]

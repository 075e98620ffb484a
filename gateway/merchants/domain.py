"""From our requests to Stripe's parameters. Pure."""

from typing import Any

from gateway.ids import RequestMetadata
from gateway.v1 import merchant_service_pb2 as pb

MERCHANT_KEY = "gateway_merchant_id"
BUSINESS_TYPES = {
    pb.MERCHANT_BUSINESS_TYPE_INDIVIDUAL: "individual",
    pb.MERCHANT_BUSINESS_TYPE_COMPANY: "company",
    pb.MERCHANT_BUSINESS_TYPE_NON_PROFIT: "non_profit",
    pb.MERCHANT_BUSINESS_TYPE_GOVERNMENT_ENTITY: "government_entity",
}
# Who pays fees and losses and who collects requirements follows from the dashboard:
# https://docs.stripe.com/connect/accounts-v2/connected-account-configuration
CONTROLLERS: dict[int, dict[str, Any]] = {
    pb.MERCHANT_DASHBOARD_EXPRESS: {
        "stripe_dashboard": {"type": "express"},
        "fees": {"payer": "application"},
        "losses": {"payments": "application"},
        "requirement_collection": "stripe",
    },
    pb.MERCHANT_DASHBOARD_FULL: {
        "stripe_dashboard": {"type": "full"},
        "fees": {"payer": "account"},
        "losses": {"payments": "stripe"},
        "requirement_collection": "stripe",
    },
    pb.MERCHANT_DASHBOARD_NONE: {
        "stripe_dashboard": {"type": "none"},
        "fees": {"payer": "application"},
        "losses": {"payments": "application"},
        "requirement_collection": "application",
    },
}
LINK_TYPES = {
    pb.ONBOARDING_LINK_KIND_ONBOARDING: "account_onboarding",
    pb.ONBOARDING_LINK_KIND_UPDATE: "account_update",
}


def account_params(
    request: pb.CreateMerchantRequest, merchant_id: str, carried: RequestMetadata
) -> dict[str, Any]:
    """For `POST /v1/accounts`. The merchant's id and the request go along, so that the account can
    be found, and known again by a gateway that has lost it."""
    params: dict[str, Any] = {
        "controller": CONTROLLERS[request.dashboard],
        "country": request.country_code,
        "capabilities": {
            name: {"requested": True} for name in sorted(set(request.requested_capabilities))
        },
        "metadata": {
            **dict(request.metadata),
            **carried.as_metadata(),
            MERCHANT_KEY: merchant_id,
        },
    }
    if request.business_type:
        params["business_type"] = BUSINESS_TYPES[request.business_type]
    if request.email:
        params["email"] = request.email
    if request.business_name:
        params["business_profile"] = {"name": request.business_name}
    return params


def account_link_params(
    request: pb.CreateOnboardingLinkRequest, stripe_account_id: str
) -> dict[str, Any]:
    """For `POST /v1/account_links`. Stripe leaves future requirements out unless asked:
    https://docs.stripe.com/api/account_links/create#create_account_link-collection_options
    """
    everything = not request.currently_due_only
    future = everything or request.with_future_requirements
    return {
        "account": stripe_account_id,
        "type": LINK_TYPES[request.kind],
        "refresh_url": request.refresh_url,
        "return_url": request.return_url,
        "collection_options": {
            "fields": "eventually_due" if everything else "currently_due",
            "future_requirements": "include" if future else "omit",
        },
    }

"""Products and prices, as far as subscriptions need them: https://docs.stripe.com/api/prices."""

from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.errors import check_choice, invalid_request
from sandbox.stripe_twin.store import JsonObject

INTERVALS = frozenset({"day", "week", "month", "year"})
MAX_INTERVAL_COUNT = 12


def create_product(call: Call) -> JsonObject:
    """POST /v1/products."""
    now = call.account.now()
    product: JsonObject = {
        "id": call.account.new_id("prod"),
        "object": "product",
        "active": call.params.get("active", True),
        "created": now,
        "default_price": None,
        "description": call.params.get("description"),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": call.params["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": now,
        "url": None,
    }
    merge_metadata(product, call.params.get("metadata"))
    call.objects("product").add(product)
    call.emit("product.created", product)
    return product


def retrieve_product(call: Call) -> JsonObject:
    """GET /v1/products/{id}."""
    return call.objects("product").get(call.path["id"])


def list_products(call: Call) -> JsonObject:
    """GET /v1/products by active and created."""
    active = call.params.get("active")
    return call.objects("product").page(
        "/v1/products", call.params, lambda item: active in (None, item["active"])
    )


def create_price(call: Call) -> JsonObject:
    """POST /v1/prices: so much a unit, once or each period."""
    params = call.params
    if "product" not in params or "unit_amount" not in params:
        raise invalid_request("The twin's prices have a `product` and a `unit_amount`.")
    call.objects("product").get(params["product"], "product", 400)
    if params["unit_amount"] < 0:
        raise invalid_request("This value must be greater than or equal to 0.", param="unit_amount")
    recurring = params.get("recurring")
    if recurring is not None:
        check_choice(recurring, "interval", INTERVALS)
        count = recurring.get("interval_count", 1)
        if not 1 <= count <= MAX_INTERVAL_COUNT:
            raise invalid_request(
                f"interval_count has to be 1 to {MAX_INTERVAL_COUNT}.",
                param="recurring[interval_count]",
            )
        recurring = {
            "interval": recurring["interval"],
            "interval_count": count,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        }
    price: JsonObject = {
        "id": call.account.new_id("price"),
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": call.account.now(),
        "currency": params["currency"].lower(),
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": {},
        "nickname": params.get("nickname"),
        "product": params["product"],
        "recurring": recurring,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": params["unit_amount"],
    }
    merge_metadata(price, params.get("metadata"))
    call.objects("price").add(price)
    call.emit("price.created", price)
    return price


def retrieve_price(call: Call) -> JsonObject:
    """GET /v1/prices/{id}."""
    return call.objects("price").get(call.path["id"])


def list_prices(call: Call) -> JsonObject:
    """GET /v1/prices by product, active and created."""
    wanted = {name: call.params[name] for name in ("product", "active") if name in call.params}
    return call.objects("price").page(
        "/v1/prices",
        call.params,
        lambda item: all(item[name] == value for name, value in wanted.items()),
    )

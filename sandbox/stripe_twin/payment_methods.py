"""Payment methods: cards and bank accounts, kept for a customer or used once."""

from typing import Any

from sandbox.stripe_twin.accounts import CardState, Origin, TwinAccount
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.cards import (
    CARDS_BY_NUMBER,
    INCORRECT_NUMBER,
    Decline,
    TestCard,
    card_for_token,
)
from sandbox.stripe_twin.errors import DOC_URL, ApiError, invalid_request
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.test_accounts import (
    ACCOUNTS_BY_NUMBER,
    ACCOUNTS_BY_TOKEN,
    BANK_DEBITS,
    VERIFIED_BY_MICRODEPOSITS,
)

_EXPIRY_MONTH = 8
_EXPIRY_YEARS_AHEAD = 1
_SECONDS_PER_YEAR = 31_556_952
_EPOCH_YEAR = 1970


def create_payment_method(call: Call) -> JsonObject:
    """POST /v1/payment_methods."""
    method = new_payment_method(call.account, call.params)
    call.objects("payment_method").add(method)
    return method


def retrieve_payment_method(call: Call) -> JsonObject:
    """GET /v1/payment_methods/{id}; a `pm_card_*` token makes a new one, as at Stripe."""
    return resolve_payment_method(call.account, call.path["id"], param="payment_method", status=404)


def attach_payment_method(call: Call) -> JsonObject:
    """POST /v1/payment_methods/{id}/attach."""
    customer = call.objects("customer").get(call.params["customer"], "customer", 400)
    method = resolve_payment_method(call.account, call.path["id"], "payment_method", 404)
    ensure_attachable(call.account, method, customer["id"])
    method["customer"] = customer["id"]
    call.emit("payment_method.attached", method)
    return method


def detach_payment_method(call: Call) -> JsonObject:
    """POST /v1/payment_methods/{id}/detach; a detached method cannot be used again."""
    method = call.objects("payment_method").get(call.path["id"], "payment_method")
    if method["customer"] is None:
        raise invalid_request(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    detach(call.account, method, call.origin)
    return method


def list_payment_methods(call: Call) -> JsonObject:
    """GET /v1/payment_methods by customer, type and allow_redisplay: those that are attached."""
    return page_of_methods(call, "/v1/payment_methods", call.params.get("customer"))


def update_payment_method(call: Call) -> JsonObject:
    """POST /v1/payment_methods/{id}: expiry, billing details, metadata; if it is attached."""
    method = call.objects("payment_method").get(call.path["id"], "payment_method")
    if method["customer"] is None:
        raise invalid_request(
            "You must save this PaymentMethod to a customer before you can update it."
        )
    previous: JsonObject = {}
    for part in ("billing_details", "card"):
        if isinstance(call.params.get(part), dict):
            previous[part] = method[part]
            method[part] = {**method[part], **call.params[part]}
    if "allow_redisplay" in call.params:
        previous["allow_redisplay"] = method["allow_redisplay"]
        method["allow_redisplay"] = call.params["allow_redisplay"]
    if "metadata" in call.params:
        previous["metadata"] = method["metadata"]
        merge_metadata(method, call.params["metadata"])
    call.emit("payment_method.updated", method, previous)
    return method


def page_of_methods(call: Call, url: str, customer: str | None) -> JsonObject:
    """A list answer of the attached payment methods, of one customer if it is given."""
    kind, shown = call.params.get("type"), call.params.get("allow_redisplay")
    return call.objects("payment_method").page(
        url,
        call.params,
        lambda method: (
            method["customer"] is not None
            and customer in (None, method["customer"])
            and kind in (None, method["type"])
            and shown in (None, method["allow_redisplay"])
        ),
    )


def resolve_payment_method(
    account: TwinAccount, identifier: str, param: str, status: int
) -> JsonObject:
    """The payment method of this id; for a test token like `pm_card_visa`, a new one."""
    found = account.objects("payment_method").find(identifier)
    if found is not None:
        return found
    bank_account = ACCOUNTS_BY_TOKEN.get(identifier)
    if bank_account is not None:
        return account.objects("payment_method").add(_bank_method(account, bank_account))
    card = card_for_token(identifier)
    if card is None or not identifier.startswith("pm_"):
        return account.objects("payment_method").get(identifier, param, status)
    return account.objects("payment_method").add(_card_method(account, card))


def chosen_method(account: TwinAccount, params: dict[str, Any]) -> JsonObject | None:
    """The payment method that a request names or brings along; None if it does neither."""
    if "payment_method_data" in params:
        method = new_payment_method(account, params["payment_method_data"])
        return account.objects("payment_method").add(method)
    if "payment_method" in params:
        return resolve_payment_method(account, params["payment_method"], "payment_method", 400)
    return None


def new_payment_method(account: TwinAccount, params: dict[str, Any]) -> JsonObject:
    """A payment method from a test number or test token. Raises ApiError."""
    kind = params.get("type", "card")
    if kind in BANK_DEBITS:
        return _new_bank_method(account, kind, params)
    if kind != "card":
        message = "The twin models cards and bank debits only."
        raise invalid_request(message, param="type", stored=False)
    details: dict[str, Any] = params.get("card", {})
    card = card_for_token(details["token"]) if "token" in details else None
    if "number" in details:
        card = CARDS_BY_NUMBER.get(details["number"].replace(" ", ""))
        if card is None:
            raise card_failure(INCORRECT_NUMBER, None)
    if card is None:
        message = "Missing required param: card."
        raise invalid_request(message, code="parameter_missing", param="card")
    method = _card_method(account, card)
    method["card"].update(
        {key: details[key] for key in ("exp_month", "exp_year") if key in details}
    )
    return _described(method, params)


def ensure_attachable(account: TwinAccount, method: JsonObject, customer: str) -> None:
    """Raises ApiError if the payment method cannot be kept for this customer."""
    state = account.cards[method["id"]]
    if state.card.decline is not None and not state.card.attachable:
        raise card_failure(state.card.decline, method)
    if method["customer"] not in (None, customer):
        raise invalid_request(
            "The payment method you provided has already been attached to a customer."
        )
    if state.used and method["customer"] is None:
        raise _used_up()


def detach(account: TwinAccount, method: JsonObject, origin: Origin) -> None:
    """Takes a payment method from its customer; it can never be used again."""
    previous = {"customer": method["customer"]}
    method["customer"] = None
    account.cards[method["id"]].used = True
    account.emit("payment_method.detached", method, origin, previous)


def ensure_usable(account: TwinAccount, method: JsonObject, customer: str | None) -> None:
    """Raises ApiError if the payment method may not pay for this customer, or not again."""
    if method["customer"] is None:
        if account.cards[method["id"]].used:
            raise _used_up()
        return
    if method["customer"] != customer:
        raise invalid_request(
            f"The PaymentMethod {method['id']} belongs to the Customer {method['customer']}. "
            "Include that Customer in the `customer` parameter of the PaymentIntent.",
            param="payment_method",
        )


def card_failure(decline: Decline, method: JsonObject | None, **more: Any) -> ApiError:
    """402 `card_error`; `more` are members such as `charge` and `payment_intent`."""
    error = {**error_members(decline), **more}
    if method is not None:
        error["payment_method"] = method
    return ApiError(402, error)


def error_members(decline: Decline) -> JsonObject:
    """The members of a card error that say why."""
    error: JsonObject = {
        "code": decline.code,
        "doc_url": DOC_URL + decline.code.replace("_", "-"),
        "message": decline.message,
        "type": "card_error",
    }
    if decline.decline_code is not None:
        error["decline_code"] = decline.decline_code
    for name in ("advice_code", "network_advice_code", "network_decline_code"):
        value = getattr(decline, name)
        if value is not None:
            error[name] = value
    if decline.param is not None:
        error["param"] = decline.param
    return error


def attach_for_future(
    account: TwinAccount, method: JsonObject, customer: str, origin: Origin
) -> None:
    """What `setup_future_usage` does once a payment succeeded."""
    account.cards[method["id"]].set_up = True
    if method["customer"] is None:
        method["customer"] = customer
        account.emit("payment_method.attached", method, origin)


def _used_up() -> ApiError:
    return invalid_request(
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
        "attachment, shared with a connected account without Customer attachment, or was "
        "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
        "times, you must attach it to a Customer first.",
        param="payment_method",
    )


def _described(method: JsonObject, params: dict[str, Any]) -> JsonObject:
    method["metadata"] = params.get("metadata", {})
    billing = params.get("billing_details", {})
    method["billing_details"].update(billing if isinstance(billing, dict) else {})
    return method


def _new_bank_method(account: TwinAccount, kind: str, params: dict[str, Any]) -> JsonObject:
    details: dict[str, Any] = params.get(kind, {})
    number = str(details.get("iban") or details.get("account_number") or "")
    bank_account = ACCOUNTS_BY_NUMBER.get((kind, number.replace(" ", "")))
    if bank_account is None:
        raise invalid_request(
            f"The twin knows Stripe's test accounts only; this is none of {kind}.",
            code="account_number_invalid",
            param=kind,
        )
    billing = params.get("billing_details", {})
    if not (isinstance(billing, dict) and billing.get("name")):
        param = "billing_details[name]"
        raise invalid_request(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    method = _described(_bank_method(account, bank_account), params)
    account.cards[method["id"]].verified = kind not in VERIFIED_BY_MICRODEPOSITS
    return method


def _bank_method(account: TwinAccount, bank_account: TestCard) -> JsonObject:
    names = {
        "us_bank_account": ("account_holder_type", "account_type", "bank_name", "routing_number"),
        "sepa_debit": ("bank_code", "branch_code", "country"),
        "bacs_debit": ("sort_code",),
        "au_becs_debit": ("bsb_number",),
        "acss_debit": ("bank_name", "institution_number", "transit_number"),
    }
    method = _card_method(account, bank_account)
    del method["card"]
    method["type"] = bank_account.kind
    method[bank_account.kind] = {
        **{name: _BANK_DETAILS[name] for name in names[bank_account.kind]},
        "fingerprint": f"twin{bank_account.number[-12:]}",
        "last4": bank_account.last4,
    }
    return method


_BANK_DETAILS = {
    "account_holder_type": "individual",
    "account_type": "checking",
    "bank_code": "19043",
    "bank_name": "STRIPE TEST BANK",
    "branch_code": "",
    "bsb_number": "000000",
    "country": "AT",
    "institution_number": "000",
    "routing_number": "110000000",
    "sort_code": "108800",
    "transit_number": "11000",
}


def _card_method(account: TwinAccount, card: TestCard) -> JsonObject:
    now = account.now()
    method_id = account.new_id("pm")
    account.cards[method_id] = CardState(card)
    return {
        "id": method_id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": {
                "city": None,
                "country": None,
                "line1": None,
                "line2": None,
                "postal_code": None,
                "state": None,
            },
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "card": {
            "brand": card.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "unchecked",
            },
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": _EXPIRY_MONTH,
            "exp_year": _EPOCH_YEAR + now // _SECONDS_PER_YEAR + _EXPIRY_YEARS_AHEAD,
            "fingerprint": f"twin{card.number[-12:]}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": card.authentication != "never"},
            "wallet": None,
        },
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }

"""Stripe Tax: settings and registrations, tax ids and their verification, rates.

Tax ids of some types are verified against a government's register, later than the answer; the
documented test values decide how that ends: https://docs.stripe.com/billing/customer/tax-ids.
One standard rate per country applies, where the account is registered.
"""

from dataclasses import dataclass
from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.errors import check_choice, invalid_request
from sandbox.stripe_twin.store import JsonObject

_STATUSES = frozenset({"active", "all", "expired", "scheduled"})


def retrieve_settings(call: Call) -> JsonObject:
    """GET /v1/tax/settings."""
    return _settings(call.account)


def update_settings(call: Call) -> JsonObject:
    """POST /v1/tax/settings; active as soon as there is a head office."""
    settings = _settings(call.account)
    names = ("defaults", "head_office")
    previous: JsonObject = {name: settings[name] for name in names if name in call.params}
    if "defaults" in call.params:
        settings["defaults"] = {**settings["defaults"], **call.params["defaults"]}
    if "head_office" in call.params:
        settings["head_office"] = {"address": _address(call.params["head_office"]["address"])}
        settings["status"] = "active"
        settings["status_details"] = {"active": {}}
    call.emit("tax.settings.updated", settings, previous)
    return settings


def create_registration(call: Call) -> JsonObject:
    """POST /v1/tax/registrations."""
    params = call.params
    now = call.account.now()
    active_from = now if params["active_from"] == "now" else params["active_from"]
    registration: JsonObject = {
        "id": call.account.new_id("taxreg"),
        "object": "tax.registration",
        "active_from": active_from,
        "country": params["country"],
        "country_options": params["country_options"],
        "created": now,
        "expires_at": params.get("expires_at"),
        "livemode": False,
        "status": "",
    }
    _check_period(registration)
    call.objects("tax.registration").add(registration)
    return _current(call.account, registration)


def retrieve_registration(call: Call) -> JsonObject:
    """GET /v1/tax/registrations/{id}."""
    registration = call.objects("tax.registration").get(call.path["id"])
    return _current(call.account, registration)


def update_registration(call: Call) -> JsonObject:
    """POST /v1/tax/registrations/{id}: when it begins and ends."""
    registration = call.objects("tax.registration").get(call.path["id"])
    changed = {**registration}
    for name in ("active_from", "expires_at"):
        if name in call.params:
            value: Any = call.params[name]
            changed[name] = {"now": call.account.now(), "": None}.get(value, value)
    _check_period(changed)
    registration.update(changed)
    return _current(call.account, registration)


def list_registrations(call: Call) -> JsonObject:
    """GET /v1/tax/registrations by status."""
    check_choice(call.params, "status", _STATUSES)
    wanted = call.params.get("status", "all")
    return call.objects("tax.registration").page(
        "/v1/tax/registrations",
        call.params,
        lambda item: wanted in ("all", _current(call.account, item)["status"]),
    )


def active_countries(account: TwinAccount) -> set[str]:
    """The countries where the account collects tax now."""
    return {
        item["country"]
        for item in account.objects("tax.registration")
        if _current(account, item)["status"] == "active"
    }


def _settings(account: TwinAccount) -> JsonObject:
    if not account.tax_settings:
        account.tax_settings = {
            "object": "tax.settings",
            "defaults": {"provider": "stripe", "tax_behavior": None, "tax_code": None},
            "head_office": None,
            "livemode": False,
            "status": "pending",
            "status_details": {"pending": {"missing_fields": ["head_office"]}},
        }
    return account.tax_settings


def _address(given: dict[str, Any]) -> JsonObject:
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {name: given.get(name) for name in names}


def _check_period(registration: JsonObject) -> None:
    ends = registration["expires_at"]
    if ends is not None and ends <= registration["active_from"]:
        raise invalid_request("expires_at must be after active_from.", param="expires_at")


def _current(account: TwinAccount, registration: JsonObject) -> JsonObject:
    """The registration with the status of this moment."""
    now = account.now()
    expires_at = registration["expires_at"]
    if expires_at is not None and expires_at <= now:
        registration["status"] = "expired"
    else:
        registration["status"] = "scheduled" if registration["active_from"] > now else "active"
    return registration


VERIFIED_TYPES = frozenset({"au_abn", "eu_vat", "gb_vat"})
# The digits at the end of a test value, and how its verification ends; any other is unverified.
_VERIFIED_DIGITS = "000000000"
_PENDING_DIGITS = "222222222"
_COUNTRIES = {"au_abn": "AU", "gb_vat": "GB", "us_ein": "US", "ch_vat": "CH", "in_gst": "IN"}


def create_customer_tax_id(call: Call) -> JsonObject:
    """POST /v1/customers/{customer}/tax_ids."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    return _create(call, customer["id"])


def create_tax_id(call: Call) -> JsonObject:
    """POST /v1/tax_ids: of the account itself, or of a customer as `owner`."""
    owner = call.params.get("owner", {"type": "self"})
    if owner["type"] == "customer":
        customer = call.objects("customer").get(owner["customer"], "owner[customer]", 400)
        return _create(call, customer["id"])
    if owner["type"] != "self":
        raise invalid_request("The twin models the owners `self` and `customer`.", param="owner")
    return _create(call, None)


def retrieve_tax_id(call: Call) -> JsonObject:
    """GET /v1/tax_ids/{id} and GET /v1/customers/{customer}/tax_ids/{id}."""
    return call.objects("tax_id").get(call.path["id"])


def list_customer_tax_ids(call: Call) -> JsonObject:
    """GET /v1/customers/{customer}/tax_ids."""
    customer = call.objects("customer").get(call.path["customer"], "customer")
    return call.objects("tax_id").page(
        f"/v1/customers/{customer['id']}/tax_ids",
        call.params,
        lambda item: item["customer"] == customer["id"],
    )


def list_tax_ids(call: Call) -> JsonObject:
    """GET /v1/tax_ids: the account's own, or those of `owner[customer]`."""
    customer = call.params.get("owner", {}).get("customer")
    return call.objects("tax_id").page(
        "/v1/tax_ids", call.params, lambda item: item["customer"] == customer
    )


def delete_tax_id(call: Call) -> JsonObject:
    """DELETE of a tax id."""
    item = call.objects("tax_id").get(call.path["id"])
    call.objects("tax_id").remove(item["id"])
    if item["customer"] is not None:
        call.emit("customer.tax_id.deleted", item)
    return {"id": item["id"], "object": "tax_id", "deleted": True}


def set_verification(
    account: TwinAccount,
    item: JsonObject,
    status: str,
    verified_name: str | None = None,
    verified_address: str | None = None,
) -> None:
    """What the register said; announces it by `customer.tax_id.updated`."""
    previous = {"verification": item["verification"]}
    item["verification"] = {
        "status": status,
        "verified_address": verified_address,
        "verified_name": verified_name,
    }
    if item["customer"] is not None:
        account.emit("customer.tax_id.updated", item, previous=previous)


def _create(call: Call, customer_id: str | None) -> JsonObject:
    kind, value = call.params["type"], call.params["value"]
    verified = kind in VERIFIED_TYPES
    pending = {"status": "pending", "verified_address": None, "verified_name": None}
    item: JsonObject = {
        "id": call.account.new_id("txi"),
        "object": "tax_id",
        "country": value[:2] if kind == "eu_vat" else _COUNTRIES.get(kind, kind[:2].upper()),
        "created": call.account.now(),
        "customer": customer_id,
        "customer_account": None,
        "livemode": False,
        "owner": {"type": "self"}
        if customer_id is None
        else {"customer": customer_id, "type": "customer"},
        "type": kind,
        "value": value,
        "verification": pending if verified else None,
    }
    call.objects("tax_id").add(item)
    if customer_id is not None:
        call.emit("customer.tax_id.created", item)
    if verified and not value.endswith(_PENDING_DIGITS):
        _verify_later(call.account, item)
    return item


def _verify_later(account: TwinAccount, item: JsonObject) -> None:
    passed = item["value"].endswith(_VERIFIED_DIGITS)

    def verify() -> None:
        if account.objects("tax_id").find(item["id"]) is None:
            return
        status = "verified" if passed else "unverified"
        name = "Test Business" if passed else None
        set_verification(account, item, status, name)

    shared = account.shared
    shared.clock.after(shared.settings.tax_verification_seconds, verify)


# Standard rates in basis points, as the tax authorities publish them. The United States have
# none: the twin takes California's.
RATES: dict[str, tuple[str, int]] = {
    "AU": ("gst", 1_000),
    "CA": ("gst", 500),
    "CH": ("vat", 810),
    "DE": ("vat", 1_900),
    "ES": ("vat", 2_100),
    "FR": ("vat", 2_000),
    "GB": ("vat", 2_000),
    "IE": ("vat", 2_300),
    "IT": ("vat", 2_200),
    "JP": ("jct", 1_000),
    "NL": ("vat", 2_100),
    "NZ": ("gst", 1_500),
    "SG": ("gst", 900),
    "US": ("sales_tax", 725),
}
BASIS_POINTS = 10_000
_BUSINESS_IDS = frozenset({"au_abn", "eu_vat", "gb_vat", "nz_gst"})


@dataclass(frozen=True, slots=True)
class TaxRate:
    """The tax that applies to a customer, and why."""

    country: str
    state: str | None
    tax_type: str
    points: int
    reason: str

    @classmethod
    def applying(cls, account: TwinAccount, details: JsonObject) -> "TaxRate":
        """The rate at the customer's place; none without a registration there."""
        address = details["address"] or {}
        country = address.get("country", account.country)
        state = address.get("state")
        tax_type, points = RATES.get(country, ("vat", 0))
        override = details["taxability_override"]
        business = any(item["type"] in _BUSINESS_IDS for item in details["tax_ids"])
        if override == "customer_exempt":
            return cls(country, state, tax_type, 0, "customer_exempt")
        if override == "reverse_charge" or (business and country != account.country):
            return cls(country, state, tax_type, 0, "reverse_charge")
        if country not in active_countries(account):
            return cls(country, state, tax_type, 0, "not_collecting")
        return cls(country, state, tax_type, points, "standard_rated")

    def tax_on(self, amount: int, behavior: str) -> int:
        """The tax on an amount, or in it, its share rounded half up."""
        if behavior == "inclusive":
            base = BASIS_POINTS + self.points
            return (2 * amount * self.points + base) // (2 * base)
        return (2 * amount * self.points + BASIS_POINTS) // (2 * BASIS_POINTS)

    def percentage(self) -> str:
        """The rate as Stripe writes it, e.g. `7.25`."""
        whole, rest = divmod(self.points, 100)
        return f"{whole}.{rest:02}".rstrip("0").rstrip(".")

    def breakdown(self, amount: int, tax: int, behavior: str) -> list[JsonObject]:
        """Of one line item or the shipping cost."""
        name = {"sales_tax": "Sales Tax", "jct": "JCT"}.get(self.tax_type, self.tax_type.upper())
        return [
            {
                "amount": tax,
                "jurisdiction": {
                    "country": self.country,
                    "display_name": self.country,
                    "level": "country",
                    "state": None,
                },
                "sourcing": "destination",
                "tax_rate_details": {
                    "display_name": name,
                    "percentage_decimal": self.percentage(),
                    "tax_type": self.tax_type,
                }
                if self.points
                else None,
                "taxability_reason": self.reason,
                "taxable_amount": self._taxable(amount, tax, behavior),
            }
        ]

    def summary(self, parts: list[JsonObject], *, inclusive: bool) -> JsonObject:
        """Of the whole calculation, exclusive or inclusive parts."""
        behavior = "inclusive" if inclusive else "exclusive"
        chosen = [part for part in parts if part["tax_behavior"] == behavior]
        return {
            "amount": sum(part["amount_tax"] for part in chosen),
            "inclusive": inclusive,
            "tax_rate_details": {
                "country": self.country,
                "flat_amount": None,
                "percentage_decimal": self.percentage(),
                "rate_type": "percentage" if self.points else None,
                "state": self.state,
                "tax_type": self.tax_type if self.points else None,
            },
            "taxability_reason": self.reason,
            "taxable_amount": sum(
                self._taxable(part["amount"], part["amount_tax"], behavior) for part in chosen
            ),
        }

    def _taxable(self, amount: int, tax: int, behavior: str) -> int:
        if not self.points:
            return 0
        return amount - tax if behavior == "inclusive" else amount

"""The tax that applies at a place: one standard rate per country, where one is registered."""

from dataclasses import dataclass

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.tax import active_countries

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

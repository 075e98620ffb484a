"""What a test does to cards and balances that no merchant and no card holder could."""

from pydantic import BaseModel, ConfigDict, Field

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.cards import DECLINES
from sandbox.stripe_twin.store import JsonObject


class LooseEntry(BaseModel):
    """A balance transaction that no API call causes, of any type, known to Stripe or not.

    `amount` is positive for money that comes; `net` will be `amount` minus `fee`.
    """

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=100)
    amount: int
    currency: str = Field(default="usd", pattern="^[a-z]{3}$")
    fee: int = 0
    description: str | None = None
    source: str | None = None
    reporting_category: str | None = None
    available_at_once: bool = True


class CardWish(BaseModel):
    """How a card answers from now on: with a decline code of `cards.DECLINES`, or None as new.

    `times` is how often it declines before it is as new; None for good.
    """

    model_config = ConfigDict(extra="forbid")

    decline: str | None
    times: int | None = Field(default=None, ge=1)


def record_loose(account: TwinAccount, entry: LooseEntry) -> JsonObject:
    """Books the entry."""
    fees = (FeePart(entry.fee, "stripe_fee", entry.description or entry.type),)
    return account.books.record(
        kind=entry.type,
        source=entry.source,
        amount=entry.amount,
        currency=entry.currency,
        now=account.now(),
        description=entry.description,
        fees=fees if entry.fee else (),
        available_at_once=entry.available_at_once,
        reporting_category=entry.reporting_category,
    )


def steer_card(account: TwinAccount, method: JsonObject, wish: CardWish) -> None:
    """Makes a card decline, or as it was. Raises ValueError for an unknown decline code."""
    state = account.cards[method["id"]]
    if wish.decline is not None and wish.decline not in DECLINES:
        raise ValueError(f"no decline {wish.decline}; there are {', '.join(sorted(DECLINES))}")
    state.steered_decline = None if wish.decline is None else DECLINES[wish.decline]
    state.declines_left = wish.times

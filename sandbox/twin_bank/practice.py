"""How a bank goes about the payouts that come to an account: what it does by its own rules."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.twin_bank.business_days import Calendar

# The entry description of an ACH credit: Nacha's rules give it ten characters.
ACH_DESCRIPTOR_CHARS = 10
MAX_BUSINESS_DAYS_LATE = 10
Positive = Annotated[int, Field(ge=1)]


class Practice(BaseModel):
    """What a bank does with payouts; amounts are minor units.

    `merges` books all that come on a day as one credit, which shows its parts if `itemizes`, in
    formats that can. `splits_above` books a larger one as two credits. `descriptor_chars` is where
    descriptors are cut, 10 at US banks; without `shows_traces` no reference gets through.
    `fee_taken_off` is kept from each credit before it is booked, unless it would eat it up;
    `fee_charged` is a line of its own for each credit. `business_days_late` is how long a payout
    takes from its arrival date.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    calendar: Calendar = Calendar.TARGET
    business_days_late: int = Field(default=0, ge=0, le=MAX_BUSINESS_DAYS_LATE)
    merges: bool = False
    itemizes: bool = False
    splits_above: Positive | None = None
    descriptor_chars: Positive | None = None
    shows_traces: bool = True
    fee_taken_off: int = Field(default=0, ge=0)
    fee_charged: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.itemizes and not self.merges:
            raise ValueError("itemizes: only merged credits have parts")
        if self.merges and self.splits_above is not None:
            raise ValueError("splits_above: what is merged is not split")
        return self

"""Which payouts are parts of one that Stripe split because it was above what its rail takes. Pure.

Stripe makes several payouts on one day that land on one day, and lists all that they contain in one
of them, the primary one: https://support.stripe.com/questions/automatic-payout-splitting. It does
not say which of them belong together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidOut:
    """One payout of a run, by Stripe's id, and the sum of what Stripe lists in it."""

    id: str
    amount_minor: int
    content_minor: int
    content_count: int


def primaries(run: Sequence[PaidOut]) -> Mapping[str, str]:
    """The primary payout of each part. `run` is all that Stripe made on one day for one bank, in
    one currency, to arrive on one day.

    Parts have no content; the primary is the only one whose content is not its own amount. Where
    that is none or several, nothing is guessed.
    """
    parts = [one.id for one in run if not one.content_count]
    above = [one.id for one in run if one.content_count and one.content_minor != one.amount_minor]
    if len(above) != 1:
        return {}
    return dict.fromkeys(parts, above[0])

"""How little a page at Stripe has to ask for: pure.

Stripe's page asks for what is currently due, and on request for what is eventually due and for
future requirements: https://docs.stripe.com/api/account_links/create
"""

from collections.abc import Sequence
from enum import IntEnum

from compliance.accounts.requirements import CURRENTLY_DUE, PENDING_VERIFICATION, Requirement


class Collection(IntEnum):
    """LinkCollection of the contract; the order is how much is asked for."""

    CURRENTLY_DUE = 1
    WITH_ANNOUNCED = 2
    EVENTUALLY_DUE = 3


def minimal_collection(
    requirements: Sequence[Requirement],
) -> tuple[Collection, tuple[Requirement, ...]] | None:
    """The least that answers everything with a date, and what that is.

    What is eventually due is asked for only where nothing else is: it may never be wanted. None if
    nothing is left to the merchant.
    """
    due = tuple(item for item in requirements if item.severity >= CURRENTLY_DUE)
    announced = tuple(item for item in requirements if item.future)
    if announced:
        return Collection.WITH_ANNOUNCED, due + announced
    if due:
        return Collection.CURRENTLY_DUE, due
    later = tuple(item for item in requirements if item.severity < PENDING_VERIFICATION)
    return (Collection.EVENTUALLY_DUE, later) if later else None

"""Tax ids: format and checksum by python-stdnum, names compared, values never kept.

The online checks of python-stdnum are not used: they ignore timeouts, and Stripe asks the
registries itself. Stripe's types: https://docs.stripe.com/billing/customer/tax-ids
"""

import importlib
from functools import cache
from typing import Any

from compliance.accounts.tax_id_types import CHECKERS, NOT_JUDGED
from compliance.screening.names import normalise
from compliance.screening.scoring import compare_names

VISIBLE_CHARACTERS = 4
# From this likeness on a registry's name and ours are the same name.
SAME_NAME = 0.85


def tax_id_format(kind: str, value: str, verification: str = "UNSPECIFIED") -> str:
    """`VALID`, `INVALID`, or `UNSPECIFIED` where nobody can say.

    `verification` is the registry's word. What it verified is never `INVALID`: a checker of ours
    that says so does not know all the numbers there are. Types without a checker, and types that
    are newer than this code, are not judged.
    """
    checkers = CHECKERS.get(kind, NOT_JUDGED)
    if any(_checker(module).is_valid(value) for module in checkers):
        return "VALID"
    return "INVALID" if checkers and verification != "VERIFIED" else "UNSPECIFIED"


def mask(value: str) -> str:
    """All but the last characters as "*"; a value that short is hidden whole."""
    if len(value) <= 2 * VISIBLE_CHARACTERS:
        return "*" * len(value)
    return "*" * (len(value) - VISIBLE_CHARACTERS) + value[-VISIBLE_CHARACTERS:]


def names_agree(verified_name: str, legal_name: str, *, is_person: bool) -> bool:
    """Whether a registry's name is the merchant's; True where there is nothing to compare."""
    if not verified_name or not legal_name:
        return True
    first = normalise(verified_name, is_person=is_person)
    second = normalise(legal_name, is_person=is_person)
    return compare_names(first, second)[0] >= SAME_NAME


@cache
def _checker(module: str) -> Any:
    return importlib.import_module(f"stdnum.{module}")

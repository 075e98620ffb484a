"""What must not be in texts that go to Stripe and stay there: card numbers and secret keys. Pure.

Stripe asks to keep both out of metadata and descriptions, and of square brackets in the keys of
metadata, which it refuses: https://docs.stripe.com/metadata,
https://docs.stripe.com/keys-best-practices. Nothing here quotes what it found.
"""

import re
from collections.abc import Mapping

# Secret and restricted keys, of an account or an organisation, and the secrets of webhooks.
_SECRET = re.compile(r"(?<![A-Za-z0-9])(?:(?:sk|rk)_(?:live|test)_|sk_org_|whsec_)[A-Za-z0-9]")
# Groups of digits, as people and systems write card numbers.
_RUN = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){13,}(?![0-9])")
_GROUP = re.compile(r"[0-9]+")
MIN_CARD_DIGITS, MAX_CARD_DIGITS = 14, 19
# First digits and lengths of the networks that Stripe takes, from ISO/IEC 7812 as
# https://docs.stripe.com/testing#cards shows them. Together with the check digit they keep order
# numbers out: of all numbers of sixteen digits three in a hundred look like a card.
_CARD = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}"  # American Express; above: Mastercard
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12}"  # Discover
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}(?:[0-9]{2})?"  # Diners Club
    r"|35[0-9]{14}"  # JCB
    r"|(?:62|81)[0-9]{14,17}"  # UnionPay
    r"|(?:5018|5020|5038|5893|6304|6759|676[1-3])[0-9]{12}"  # Maestro
)


def holds_card_number(text: str) -> bool:
    """Whether a text has what looks like a card number: a network's first digits and length, and
    a right check digit, with or without spaces or hyphens between groups."""
    return any(_has_card(_GROUP.findall(run.group())) for run in _RUN.finditer(text))


def holds_secret(text: str) -> bool:
    """Whether a text has a secret key of Stripe's."""
    return _SECRET.search(text) is not None


def problem_with_text(text: str) -> str | None:
    """What is wrong with a text that goes to Stripe; None when nothing is."""
    if holds_secret(text):
        return "holds a secret key"
    if holds_card_number(text):
        return "holds what looks like a card number"
    return None


def problem_with_metadata(metadata: Mapping[str, str]) -> str | None:
    """What is wrong with metadata that goes to Stripe; None when nothing is."""
    for key, value in metadata.items():
        if "[" in key or "]" in key:
            return "has a key with a square bracket"
        for text in (key, value):
            if (problem := problem_with_text(text)) is not None:
                return problem
    return None


def _has_card(groups: list[str]) -> bool:
    """Whether neighbouring groups of digits together are a card number."""
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > MAX_CARD_DIGITS:
                break
            if len(digits) >= MIN_CARD_DIGITS and _CARD.fullmatch(digits) and _luhn(digits):
                return True
    return False


def _luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0

"""Whole numbers in JSON for whoever reads it.

JavaScript, and jq before 1.7, read every number as a double and round what is beyond 2^53 without a
word. RFC 7493, section 2.2, says to write such numbers as strings:
https://www.rfc-editor.org/rfc/rfc7493#section-2.2
"""

MAX_EXACT = 2**53 - 1


def exact(number: int) -> int | str:
    """The number as it is, or as a string of its digits where a double could not hold it."""
    return number if -MAX_EXACT <= number <= MAX_EXACT else str(number)

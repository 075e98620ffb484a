"""The lines of a BAI2 file before the library reads them: their order and the form of their fields.

The library expects a file that is whole and reads numbers as Python does. What is not so is refused
here, where its line is known. Records as in BAI's Cash Management Balance Reporting, version 2.
"""

import re
from typing import NamedTuple

from reconciliation.statements.model import Limits
from reconciliation.statements.refusal import FieldError, Reason

CONTINUATION = "88"
# What may follow a record, with its continuations; a file begins with 01 and ends after 99.
_NEXT = {
    "": {"01"},
    "01": {"02"},
    "02": {"03"},
    "03": {"16", "49"},
    "16": {"16", "49"},
    "49": {"03", "98"},
    "98": {"02", "99"},
    "99": set(),
}


class FieldForm(NamedTuple):
    """A field of a record: how many commas are before it, its name, form, and that in words."""

    at: int
    name: str
    form: re.Pattern[str]
    expected: str


_DATE = re.compile(r"[0-9]{6}")
_UNSIGNED = re.compile(r"[0-9]{1,19}")
_SIGNED = re.compile(r"[+-]?[0-9]{1,24}")
_COUNT = re.compile(r"[0-9]{1,9}")
_DAY, _NUMBER = "a date as 261130", "a whole number"
_FORMS = {
    "01": (
        FieldForm(3, "creation date", _DATE, _DAY),
        FieldForm(8, "version", re.compile("2"), "version 2"),
    ),
    "02": (
        FieldForm(3, "group status", re.compile("1"), "status 1, an update,"),
        FieldForm(4, "as-of date", _DATE, _DAY),
        FieldForm(6, "currency", re.compile("([A-Z]{3})?"), "a currency or nothing"),
        FieldForm(7, "as-of-date modifier", re.compile("[1-4]?"), "1 to 4 or nothing"),
    ),
    "03": (
        FieldForm(1, "account", re.compile(".*[^ ].*"), "an account"),
        FieldForm(2, "currency", re.compile("([A-Z]{3})?"), "a currency or nothing"),
    ),
    "16": (
        FieldForm(1, "type code", re.compile("[0-9]{3}"), "a code of three digits"),
        FieldForm(2, "amount", _UNSIGNED, "an amount in minor units, without sign or mark,"),
        FieldForm(3, "funds type", re.compile("[012ZSVD]?"), "one of 0, 1, 2, S, V, D and Z"),
    ),
    "49": (
        FieldForm(1, "control total", _SIGNED, "an amount in minor units"),
        FieldForm(2, "number of records", _COUNT, _NUMBER),
    ),
    "98": (
        FieldForm(1, "control total", _SIGNED, "an amount in minor units"),
        FieldForm(2, "number of accounts", _COUNT, _NUMBER),
        FieldForm(3, "number of records", _COUNT, _NUMBER),
    ),
    "99": (
        FieldForm(1, "control total", _SIGNED, "an amount in minor units"),
        FieldForm(2, "number of groups", _COUNT, _NUMBER),
        FieldForm(3, "number of records", _COUNT, _NUMBER),
    ),
}
# A record of fixed fields may be cut into continuations; then the library alone looks at the rest.
_CUT = re.compile(r",?/$")


def checked_lines(text: str, limits: Limits) -> list[str]:
    """The lines of a file with its records in order. Raises FieldError with the line."""
    lines = []
    last = ""
    accounts = transactions = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if len(line) > limits.max_line_chars:
            raise _too_large(number, f"lines of at most {limits.max_line_chars} characters")
        code = line[:2]
        if line[2:3] != "," or (code != CONTINUATION and code not in _FORMS):
            raise FieldError(Reason.UNREADABLE, "", "a record as 16,… was expected", number)
        if code == CONTINUATION:
            if not last:
                raise FieldError(Reason.UNREADABLE, code, "a file header was expected", number)
        else:
            if code not in _NEXT[last]:
                expected = " or ".join(sorted(_NEXT[last])) or "nothing more"
                raise FieldError(Reason.MISSING, code, f"{expected} was expected here", number)
            _check_fields(code, line, number)
            accounts += code == "03"
            transactions += code == "16"
            last = code
        if accounts > limits.max_statements:
            raise _too_large(number, f"at most {limits.max_statements} accounts")
        if transactions > limits.max_entries:
            raise _too_large(number, f"at most {limits.max_entries} entries")
        lines.append(line)
    if _NEXT[last]:
        expected = " or ".join(sorted(_NEXT[last]))
        raise FieldError(Reason.MISSING, expected, "the record was expected at the end")
    return lines


def _check_fields(code: str, line: str, number: int) -> None:
    fields = _CUT.sub("", line).split(",") if line.endswith("/") else line.split(",")
    for form in _FORMS[code]:
        if form.at >= len(fields) and line.endswith("/") and _is_optional(form):
            continue
        if form.at >= len(fields):
            raise FieldError(
                Reason.MISSING, f"{code} {form.name}", f"{form.expected} was expected", number
            )
        if not form.form.fullmatch(fields[form.at].strip()):
            raise FieldError(
                Reason.INVALID, f"{code} {form.name}", f"{form.expected} was expected", number
            )


def _is_optional(form: FieldForm) -> bool:
    return form.form.fullmatch("") is not None


def _too_large(number: int, expected: str) -> FieldError:
    return FieldError(Reason.TOO_LARGE, "", f"{expected} were expected", number)

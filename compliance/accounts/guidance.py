"""What Stripe's requirement fields and codes mean in plain words, and what exactly mends them.

Data with source and date. Stripe adds fields and codes without notice: what is not known has a
default that says so and sends the merchant to Stripe's own page, which knows.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compliance.data_lines import DATA, DataError, data_lines

CODES = DATA / "requirement_codes.tsv"
FIELDS = DATA / "requirement_fields.tsv"
CODE_COLUMNS = ("kind", "code", "words", "fix", "read on", "source")
FIELD_COLUMNS = ("field", "words", "fix", "read on", "source")
ERROR, DISABLED = "error", "disabled"

# The first part of a field, and whom it is about.
_PEOPLE = {
    "authorizers": "the authorizer",
    "directors": "the director",
    "executives": "the executive",
    "individual": "the merchant",
    "legal_guardian": "the legal guardian",
    "owners": "the owner",
    "representative": "the representative",
}
_PERSON_ID = "person_"
_ANY_PERSON = "@person"
_BELOW = ".*"
_STARTS_WITH = "interv_"
# A bank account or card, by its id.
_EXTERNAL_IDS, _EXTERNAL = ("ba_", "card_"), "external_account"

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SOURCE = re.compile(r"https://[!-~]+")
_HOSTED = "Open Stripe's page, which says what to hand in."


@dataclass(frozen=True)
class Guidance:
    """What is meant, what to do, and whether that is known or the default."""

    words: str
    fix: str
    is_known: bool = True


class Guide:
    """The guidance of a release's data."""

    def __init__(self, codes: Path = CODES, fields: Path = FIELDS) -> None:
        """Raises `DataError` for a line that cannot be used."""
        self._codes = _read_codes(codes)
        self._fields = _read_fields(fields)

    def field(self, field: str) -> Guidance:
        """What Stripe asks for by a field."""
        found = self._find(field)
        if found is None:
            return Guidance(f'Stripe asks for "{field}".', _HOSTED, is_known=False)
        return found

    def error(self, code: str) -> Guidance:
        """Why Stripe asks for a field again."""
        default = Guidance(f'Stripe refused what was handed in: "{code}".', _HOSTED, is_known=False)
        return self._codes.get((ERROR, code), default)

    def disabled(self, reason: str) -> Guidance:
        """Why Stripe has stopped an account or a capability."""
        default = Guidance(f'Stripe has stopped it: "{reason}".', _HOSTED, is_known=False)
        return self._codes.get((DISABLED, reason), default)

    def _find(self, field: str) -> Guidance | None:
        who = _who(field)
        field = general_name(field)
        found = self._fields.get(field)
        shorter = field
        while found is None and shorter:
            found = self._fields.get(shorter + _BELOW)
            shorter = shorter.rpartition(".")[0]
        if found is None or not who:
            return found
        words = found.words.format(who=f"{who[0].upper()}{who[1:]}'s", who_plain=who)
        return Guidance(words, found.fix)


def general_name(field: str) -> str:
    """A field as the data names it, with "@person" for whichever person it is about."""
    if _who(field):
        _, _, below = field.partition(".")
        return f"{_ANY_PERSON}.{below}" if below else _ANY_PERSON
    if field.startswith(_EXTERNAL_IDS):
        _, _, below = field.partition(".")
        return f"{_EXTERNAL}.{below}" if below else _EXTERNAL
    return f"{_STARTS_WITH}*" if field.startswith(_STARTS_WITH) else field


def names_a_role(field: str) -> bool:
    """Whether a field is about a person whom it does not name: the representative, an owner."""
    first = field.partition(".")[0]
    return first in _PEOPLE and first != "individual"


def is_about_another(field: str, person_id: str) -> bool:
    """Whether a field names a person by an id that is another one."""
    first = field.partition(".")[0]
    return bool(person_id) and first.startswith(_PERSON_ID) and first != person_id


def _who(field: str) -> str:
    first = field.partition(".")[0]
    return _PEOPLE.get(first, "the person" if first.startswith(_PERSON_ID) else "")


@cache
def guide() -> Guide:
    """The release's own, read once."""
    return Guide()


def _read_codes(path: Path) -> dict[tuple[str, str], Guidance]:
    found: dict[tuple[str, str], Guidance] = {}
    for where, (kind, code, words, fix, read_on, source) in data_lines(path, CODE_COLUMNS):
        if kind not in (ERROR, DISABLED):
            raise DataError(f"{where}: {kind!r} is no kind")
        if (kind, code) in found:
            raise DataError(f"{where}: {code} is there twice")
        found[kind, code] = _guidance(where, code, words, fix, read_on, source)
    return found


def _read_fields(path: Path) -> dict[str, Guidance]:
    found: dict[str, Guidance] = {}
    for where, (field, words, fix, read_on, source) in data_lines(path, FIELD_COLUMNS):
        if field in found:
            raise DataError(f"{where}: {field} is there twice")
        found[field] = _guidance(where, field, words, fix, read_on, source)
        try:
            words.format(who="", who_plain="")
        except (LookupError, ValueError) as error:
            raise DataError(f"{where}: {words!r} names somebody else than who") from error
    return found


def _guidance(where: str, name: str, words: str, fix: str, read_on: str, source: str) -> Guidance:
    if not name or not words.endswith(".") or not fix.endswith("."):
        raise DataError(f"{where}: a name, words or a fix are missing, or are no sentence")
    if not _DATE.fullmatch(read_on) or not _SOURCE.fullmatch(source):
        raise DataError(f"{where}: {read_on!r} from {source!r} is no date and https address")
    return Guidance(words, fix)

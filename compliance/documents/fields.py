"""Which of Stripe's requirement fields a document answers, and what its file is uploaded for.

Data with source and date. What is not in it is answered by no document, as far as is known here.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compliance.accounts.guidance import general_name
from compliance.data_lines import DATA, DataError, data_lines

FIELDS = DATA / "document_fields.tsv"
COLUMNS = ("field", "purpose", "sides", "read on", "source")
# https://docs.stripe.com/file-upload: the same three for each of the purposes.
TAKEN_TYPES = ("application/pdf", "image/jpeg", "image/png")
PURPOSES = frozenset({"identity_document", "additional_verification", "account_requirement"})
# AccountUpdateParamsIndividual of Stripe's SDK has no documents, which those of a person have.
_INDIVIDUALS_DOCUMENTS = "individual.documents."
_SIDES = {"sides": True, "whole": False}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class DocumentField:
    """What has to be known to hand in a document for a field."""

    purpose: str
    has_sides: bool


def document_field(field: str) -> DocumentField | None:
    """What a field asks for; None if no document answers it."""
    if field.startswith(_INDIVIDUALS_DOCUMENTS):
        return None
    return _of_release().get(general_name(field))


def read_fields(path: Path) -> dict[str, DocumentField]:
    """The fields of a file, by their general names. Raises `DataError`."""
    found: dict[str, DocumentField] = {}
    for where, (field, purpose, sides, read_on, source) in data_lines(path, COLUMNS):
        if field in found:
            raise DataError(f"{where}: {field} is there twice")
        if purpose not in PURPOSES or sides not in _SIDES:
            raise DataError(f"{where}: {purpose!r} or {sides!r} is not known")
        if not _DATE.fullmatch(read_on) or not source.startswith("https://"):
            raise DataError(f"{where}: no date, or no source")
        found[field] = DocumentField(purpose, _SIDES[sides])
    return found


@cache
def _of_release() -> dict[str, DocumentField]:
    return read_fields(FIELDS)

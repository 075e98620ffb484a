"""Field :86: of MT940 and MT942: free text, or one of two forms that banks have made of it.

German banks write `166?00SEPA?20EREF+…?32NAME`, others `/EREF/…/ORDP//NAME/…/REMI/…`. Both are
lines of 65 characters cut anywhere, so that pieces are put together again without anything between.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERED = re.compile(r"([0-9]{3})\?")
_SUBFIELD = re.compile(r"\?([0-9]{2})")
_REMITTANCE = frozenset([*range(20, 30), *range(60, 64)])
_NAME = (32, 33)
_BOOKING_TEXT = 0
# What may stand at the beginning of a piece of remittance (DFÜ agreement, annex 3).
_MARK = re.compile(
    r"(EREF|KREF|MREF|CRED|DEBT|COAM|OAMT|SVWZ|ABWA|ABWE|IBAN|BIC|PURP)\+(.*)", re.DOTALL
)
# Code words between slashes, as SWIFT's and the Dutch banks' guides have them.
_CODE = re.compile(
    r"/(EREF|CREF|IREF|PREF|KREF|MARF|CSID|ISDT|RTRN|TRTP|IBAN|BIC|ORDP|BENM|NAME|ADDR|CNTP|REMI"
    r"|PURP|ULTC|ULTD|ULTB|EXCH|CHGS|CHGS1|CHGS2|OCMT|TRCD|SVCL|CDTRREFTP|CDTRREF)/"
)


@dataclass(frozen=True, slots=True)
class Information:
    """What :86: says of an entry; texts are empty where it says nothing of the kind."""

    end_to_end_id: str = ""
    remittance: str = ""
    counterparty: str = ""
    transaction_code: str = ""
    booking_text: str = ""


def read_information(lines: Sequence[str]) -> Information:
    """Tells the forms apart by how they begin; what is neither is text for people."""
    joined = "".join(lines)
    if _NUMBERED.match(joined):
        return _numbered(joined)
    if _CODE.match(joined):
        return _coded(joined)
    return Information(remittance="\n".join(lines).strip())


def _numbered(text: str) -> Information:
    code, rest = text[:3], text[3:]
    pieces = _SUBFIELD.split(rest)
    subfields = [(int(pieces[at]), pieces[at + 1]) for at in range(1, len(pieces), 2)]
    plain: list[str] = []
    marked: dict[str, str] = {}
    mark = ""
    for number, value in subfields:
        if number not in _REMITTANCE:
            continue
        found = _MARK.fullmatch(value)
        if found:
            mark = found[1]
            marked[mark] = marked.get(mark, "") + found[2]
        elif mark:
            marked[mark] += value
        else:
            plain.append(value)
    return Information(
        end_to_end_id=marked.get("EREF", "").strip(),
        remittance=("".join(plain) + marked.get("SVWZ", "")).strip(),
        counterparty="".join(value for number, value in subfields if number in _NAME).strip(),
        transaction_code=code,
        booking_text="".join(v for number, v in subfields if number == _BOOKING_TEXT).strip(),
    )


def _coded(text: str) -> Information:
    pieces = _CODE.split(text)
    words: dict[str, str] = {}
    for at in range(1, len(pieces), 2):
        # The first of a word counts: later ones are of other parties.
        words.setdefault(pieces[at], pieces[at + 1].strip("/"))
    name = words.get("NAME", "")
    if not name and "CNTP" in words:
        # Account, BIC, name, place.
        name = [*words["CNTP"].split("/"), "", ""][2]
    remittance = words.get("REMI", "")
    return Information(
        end_to_end_id=words.get("EREF", "").strip(),
        remittance=remittance.removeprefix("USTD//").strip(),
        counterparty=name.strip(),
        transaction_code=words.get("TRCD", words.get("TRTP", "")).strip(),
    )

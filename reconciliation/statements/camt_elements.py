"""Elements of camt messages: found by their names, each once, and read as amounts, dates and codes.

Names are those of ISO 20022 (camt.052, .053 and .054, versions 001.02 to 001.13). What a version
has and no field of ours needs is passed over; what is read is read in the form of any version.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from xml.etree.ElementTree import Element

from money.currencies import EXPONENTS
from reconciliation.statements.amounts import exponent_of, iso_date, iso_day_of_time, minor_units
from reconciliation.statements.model import Direction
from reconciliation.statements.refusal import FieldError, Reason

# As ISO 20022's Number has them.
MAX_NUMBER_DIGITS = 18
_DIRECTIONS = {"CRDT": Direction.CREDIT, "DBIT": Direction.DEBIT}
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Tags(dict[str, str]):
    """ElementTree's names of elements in a namespace: `tags["Amt"]` is `{namespace}Amt`."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self._prefix = f"{{{namespace}}}"

    def __missing__(self, name: str) -> str:
        tag = self[name] = self._prefix + name
        return tag

    def name(self, element: Element) -> str:
        """The element's name, empty if it is of another namespace."""
        tag = element.tag
        return tag[len(self._prefix) :] if tag.startswith(self._prefix) else ""

    def find(self, element: Element | None, *path: str) -> Element | None:
        """The element at the end of a path."""
        for name in path:
            if element is None:
                return None
            element = element.find(self[name])
        return element

    def text(self, element: Element | None, *path: str) -> str:
        """What stands in the element at the end of a path, without space around."""
        found = self.find(element, *path)
        return "" if found is None else (found.text or "").strip()

    def leaf(self, element: Element, name: str) -> str:
        """The text of a child, without space around; empty if there is none."""
        text = element.findtext(self[name])
        return text.strip() if text else ""

    def required(self, element: Element, name: str) -> Element:
        """A child that has to be there."""
        found = element.find(self[name])
        if found is None:
            raise _missing(name)
        return found

    def check_once(self, element: Element, names: Iterable[str]) -> None:
        """Raises FieldError if one of these children is there twice: which of them would count?"""
        tags = [child.tag for child in element]
        if len(set(tags)) == len(tags):
            return
        for name in names:
            if tags.count(self[name]) > 1:
                raise FieldError(Reason.REPEATED, name, "the element was expected once")

    def amount(self, element: Element, currency: str) -> int:
        """Amt: unsigned, in the account's currency, in minor units."""
        found = element.find(self["Amt"])
        if found is None:
            raise _missing("Amt")
        code = found.get("Ccy")
        if code != currency:
            if code is None:
                raise FieldError(Reason.MISSING, "Amt/@Ccy", "the currency was expected")
            exponent_of(code, "Amt/@Ccy")
            raise FieldError(
                Reason.CURRENCY, "Amt/@Ccy", f"the account's currency {currency} was expected"
            )
        return minor_units((found.text or "").strip(), EXPONENTS[currency], "Amt")

    def direction(self, element: Element) -> Direction:
        """CdtDbtInd: what was done to the account, of reversals too."""
        found = _DIRECTIONS.get(self.leaf(element, "CdtDbtInd"))
        if found is None:
            self.required(element, "CdtDbtInd")
            raise FieldError(Reason.INVALID, "CdtDbtInd", "CRDT or DBIT was expected")
        return found

    def boolean(self, element: Element, name: str) -> bool:
        """True or false as XML has them; false if the child is not there."""
        child = element.find(self[name])
        if child is None:
            return False
        found = _BOOLEANS.get((child.text or "").strip())
        if found is None:
            raise FieldError(Reason.INVALID, name, "true or false was expected")
        return found

    def day(self, element: Element, name: str) -> date | None:
        """Of a child: Dt, or the day of DtTm at the bank. None if the child is not there.

        Raises FieldError unless the child has one of the two.
        """
        child = element.find(self[name])
        if child is None:
            return None
        day, time = child.find(self["Dt"]), child.find(self["DtTm"])
        if day is not None and time is None:
            return iso_date((day.text or "").strip(), f"{name}/Dt")
        if time is not None and day is None:
            return iso_day_of_time((time.text or "").strip(), f"{name}/DtTm")
        reason = Reason.MISSING if day is None else Reason.REPEATED
        raise FieldError(reason, name, "either Dt or DtTm was expected")


def _missing(name: str) -> FieldError:
    return FieldError(Reason.MISSING, name, "the element was expected")


def texts_sha256(element: Element) -> bytes:
    """The hash of all texts within an element, in their order, each without space around.

    A statement that is printed with other white space is the same.
    """
    texts = filter(None, map(str.strip, element.itertext()))
    return hashlib.sha256("\0".join(texts).encode()).digest()


def whole_number(text: str, field: str) -> int | None:
    """A number of up to `MAX_NUMBER_DIGITS` digits; None where the bank gives none."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS):
        raise FieldError(Reason.INVALID, field, "a whole number was expected")
    return int(text)

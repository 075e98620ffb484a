"""TxsSummry of a camt statement: numbers and sums of the bank, compared with its entries."""

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from reconciliation.statements.amounts import exponent_of, minor_units
from reconciliation.statements.camt_elements import Tags, whole_number
from reconciliation.statements.model import Direction, Entry, EntryStatus
from reconciliation.statements.refusal import FieldError, Reason

_ON_THE_ACCOUNT = (EntryStatus.BOOKED, EntryStatus.REPORTED)


class SummaryCheck:
    """Compares a summary with entries. Banks sum either all entries or those that are booked."""

    def __init__(self, tags: Tags, currency: str) -> None:
        self._tags = tags
        self._currency = currency

    def check(self, summary: Element | None, entries: Sequence[Entry]) -> None:
        """Raises FieldError for the first number or sum that is neither of all nor of booked."""
        if summary is None:
            return
        booked = [entry for entry in entries if entry.status in _ON_THE_ACCOUNT]
        for name, direction in (
            ("TtlNtries", None),
            ("TtlCdtNtries", Direction.CREDIT),
            ("TtlDbtNtries", Direction.DEBIT),
        ):
            total = summary.find(self._tags[name])
            if total is not None:
                choices = [_of_direction(chosen, direction) for chosen in (entries, booked)]
                self._check_total(total, f"TxsSummry/{name}", choices)

    def _check_total(self, total: Element, field: str, choices: list[list[Entry]]) -> None:
        number = whole_number(self._tags.text(total, "NbOfNtries"), f"{field}/NbOfNtries")
        counts = [len(chosen) for chosen in choices]
        if number is not None and number not in counts:
            raise FieldError(
                Reason.TOTALS, f"{field}/NbOfNtries", f"{counts[0]} entries were expected"
            )
        if total.find(self._tags["Sum"]) is not None:
            found = self._minor(self._tags.text(total, "Sum"), f"{field}/Sum")
            sums = [sum(abs(entry.amount_minor) for entry in chosen) for chosen in choices]
            _check(found, sums, f"{field}/Sum", "sum")
        self._check_net(total, field, choices)

    def _check_net(self, total: Element, field: str, choices: list[list[Entry]]) -> None:
        """TtlNetNtry with its indicator since version 001.03, TtlNetNtryAmt beside one before."""
        tags = self._tags
        inner = total.find(tags["TtlNetNtry"])
        amount = total.find(tags["TtlNetNtryAmt"]) if inner is None else tags.required(inner, "Amt")
        if amount is None:
            return
        name = f"{field}/{'TtlNetNtryAmt' if inner is None else 'TtlNetNtry'}"
        unsigned = self._minor(tags.text(amount), name)
        is_credit = tags.direction(total if inner is None else inner) is Direction.CREDIT
        nets = [sum(entry.amount_minor for entry in chosen) for chosen in choices]
        _check(unsigned if is_credit else -unsigned, nets, name, "net")

    def _minor(self, text: str, field: str) -> int:
        return minor_units(text, exponent_of(self._currency, field), field)


def _check(found: int, choices: list[int], field: str, what: str) -> None:
    if found not in choices:
        raise FieldError(
            Reason.TOTALS,
            field,
            f"the {what} of the entries was expected; it differs by {found - choices[0]}"
            " minor units",
        )


def _of_direction(entries: Iterable[Entry], direction: Direction | None) -> list[Entry]:
    return [entry for entry in entries if direction in (None, entry.direction)]

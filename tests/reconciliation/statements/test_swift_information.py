"""The forms of :86:."""

import pytest

from reconciliation.statements.swift_information import Information, read_information


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], Information()),
        (["Any text", "in two lines "], Information(remittance="Any text\nin two lines")),
        # Three digits alone are no form of their own.
        (["123 Main Street?"], Information(remittance="123 Main Street?")),
        (
            [
                "166?00TRANSFER?109310?20EREF+E-1?21KREF+NONREF?22SVWZ+First and?23 second?30BANK",
                "DEFF?31DE02?32Jane ?33Doe",
            ],
            Information("E-1", "First and second", "Jane Doe", "166", "TRANSFER"),
        ),
        (
            ["020?20plain ?21text?60 and more"],
            Information("", "plain text and more", "", "020", ""),
        ),
        (
            ["177?20EREF+LONG-?21REFERENCE?22SVWZ+STRIPE PAYOUT"],
            Information("LONG-REFERENCE", "STRIPE PAYOUT", "", "177", ""),
        ),
        (
            ["/EREF/E-1//ORDP//NAME/Jane Doe/REMI/USTD//STRIPE pay", "out/ISDT/2026-11-30/"],
            Information("E-1", "STRIPE payout", "Jane Doe", "", ""),
        ),
        (
            ["/TRTP/SEPA/CNTP/NL00BANK/BANKNL2A/Jane Doe/Town//REMI/x"],
            Information("", "x", "Jane Doe", "SEPA", ""),
        ),
        (["/CNTP/NL00BANK/"], Information()),
        (["/OTHER/text"], Information(remittance="/OTHER/text")),
    ],
)
def test_forms(lines: list[str], expected: Information) -> None:
    assert read_information(lines) == expected

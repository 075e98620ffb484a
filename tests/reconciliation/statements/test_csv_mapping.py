"""Mappings of CSV: what contradicts itself is refused when it is declared."""

import json
from dataclasses import asdict, replace

import pytest

from reconciliation.statements.csv_mapping import (
    Columns,
    CsvMapping,
    MappingError,
    Order,
    Sign,
    mapping_of,
)
from tests.reconciliation.statements.refusing import MAPPING

SIGNED = CsvMapping(
    name="signed",
    encoding="utf-8",
    columns=Columns(booking_date="Date", amount="Amount"),
    date_format="%Y-%m-%d",
    decimal_mark=".",
    sign=Sign.SIGNED,
    order=Order.OLDEST_FIRST,
)


def document(mapping: CsvMapping) -> dict[str, object]:
    return {**asdict(mapping), "sign": mapping.sign.value, "order": mapping.order.value}


@pytest.mark.parametrize("mapping", [SIGNED, MAPPING], ids=lambda mapping: mapping.name)
def test_a_mapping_is_a_document(mapping: CsvMapping) -> None:
    assert mapping_of(json.dumps(document(mapping))) == mapping


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 65}, "name"),
        ({"encoding": "no such"}, "encoding"),
        ({"encoding": "base64"}, "encoding"),
        ({"columns": Columns(booking_date="", amount="Amount")}, "columns.booking_date"),
        ({"columns": Columns(booking_date="Date")}, "columns"),
        ({"columns": Columns(booking_date="Date", amount="Date")}, "columns"),
        ({"columns": Columns(booking_date="Date", amount="A", credit="C")}, "columns"),
        ({"sign": Sign.TWO_COLUMNS}, "columns"),
        ({"sign": Sign.INDICATOR}, "columns"),
        ({"credit_words": ("C",), "debit_words": ("D",)}, "credit_words, debit_words"),
        ({"date_format": "%Y-%m"}, "date_format"),
        ({"date_format": "%d %b %Y"}, "date_format"),
        ({"date_format": "%Y-%y-%d"}, "date_format"),
        ({"decimal_mark": "'"}, "decimal_mark"),
        ({"thousands_mark": "."}, "thousands_mark"),
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": "a"}, "delimiter"),
        ({"quote": ","}, "quote"),
        ({"heading_row": 0}, "heading_row"),
        ({"heading_row": 101}, "heading_row"),
        ({"footer_rows": -1}, "footer_rows"),
        ({"footer_rows": 101}, "footer_rows"),
    ],
)
def test_what_contradicts_itself(changes: dict[str, object], place: str) -> None:
    with pytest.raises(MappingError) as caught:
        replace(SIGNED, **changes)  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{place}: ")


def test_words_for_both_sides_are_needed_and_none_for_both() -> None:
    columns = Columns(booking_date="Date", amount="Amount", indicator="Side")
    for credit, debit in (((), ()), (("C",), ()), (("C",), ("C",))):
        with pytest.raises(MappingError, match="credit_words"):
            replace(
                SIGNED, columns=columns, sign=Sign.INDICATOR, credit_words=credit, debit_words=debit
            )


@pytest.mark.parametrize("limit", [1, 100])
def test_edges(limit: int) -> None:
    assert replace(SIGNED, heading_row=limit, footer_rows=limit, name="n" * 64)


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("sign", "guess", "sign"),
        ("heading_row", "1", "heading_row"),
        ("heading_row", True, "heading_row"),
        ("name", 5, "name"),
        ("other", 5, "other"),
        ("columns", {"booking_date": "Date", "price": "x"}, "columns.price"),
        ("columns", {"amount": "x"}, "columns.booking_date"),
        ("decimal_mark", "x", "decimal_mark"),
    ],
)
def test_documents_that_are_none(key: str, value: object, place: str) -> None:
    with pytest.raises(MappingError) as caught:
        mapping_of(json.dumps({**document(SIGNED), key: value}))
    assert str(caught.value).startswith(f"{place}: ")


def test_a_document_without_what_has_to_be_declared() -> None:
    for key in ("name", "encoding", "columns", "date_format", "decimal_mark", "sign", "order"):
        left = {name: value for name, value in document(SIGNED).items() if name != key}
        with pytest.raises(MappingError) as caught:
            mapping_of(json.dumps(left))
        assert str(caught.value).startswith(f"{key}: ")
    with pytest.raises(MappingError, match="mapping: "):
        mapping_of("no JSON")

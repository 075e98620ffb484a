"""Tax ids: formats, masks, names."""

import importlib

import pytest

from compliance.accounts.tax_ids import _MODULES, mask, names_agree, tax_id_format


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("eu_vat", "DE136695976", "VALID"),
        ("eu_vat", "DE 136.695.976", "VALID"),
        ("eu_vat", "DE136695977", "INVALID"),
        ("eu_vat", "XX136695976", "INVALID"),
        ("eu_vat", "", "INVALID"),
        ("gb_vat", "GB980780684", "VALID"),
        ("gb_vat", "GB802311781", "INVALID"),
        ("ch_vat", "CHE-107.787.577 IVA", "VALID"),
        ("us_ein", "91-1144442", "VALID"),
        ("us_ein", "07-1144442", "INVALID"),
        ("au_abn", "83 914 571 673", "VALID"),
        ("br_cnpj", "16.727.230/0001-97", "VALID"),
        ("zz_unknown", "anything", "UNSPECIFIED"),
    ],
)
def test_formats_and_checksums(kind: str, value: str, expected: str) -> None:
    assert tax_id_format(kind, value) == expected


@pytest.mark.parametrize("kind", sorted(_MODULES))
def test_every_type_has_a_check_that_stands_anything(kind: str) -> None:
    assert importlib.import_module(f"stdnum.{_MODULES[kind]}")
    for value in ("", "0", "☃" * 10, "x" * 500, "\x00"):
        assert tax_id_format(kind, value) == "INVALID"


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("DE136695976", "*******5976"),
        ("123456789", "*****6789"),
        ("12345678", "********"),
        ("", ""),
    ],
)
def test_masks(value: str, masked: str) -> None:
    assert mask(value) == masked


@pytest.mark.parametrize(
    ("verified", "legal", "is_person", "expected"),
    [
        ("ZENTRAVE HANDEL GMBH", "Zentrave Handel", False, True),
        ("Doe Jane Mary", "Jane Doe", True, True),
        ("SOMEBODY ELSE", "Zentrave Handel", False, False),
        ("", "Zentrave Handel", False, True),
        ("Zentrave Handel", "", False, True),
        # What a company drops of its name, a person keeps, in either of the two.
        ("Zentrave Ltd", "Zentrave", False, True),
        ("Zentrave Ltd", "Zentrave", True, False),
        ("Zentrave", "Zentrave Ltd", True, False),
    ],
)
def test_names(verified: str, legal: str, is_person: bool, expected: bool) -> None:
    assert names_agree(verified, legal, is_person=is_person) is expected

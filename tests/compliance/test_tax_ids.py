"""Tax ids: formats, masks, names."""

from typing import get_args

import pytest
import stripe

from compliance.accounts.tax_id_types import CHECKERS
from compliance.accounts.tax_ids import mask, names_agree, tax_id_format


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
        ("il_vat", "516179158", "INVALID"),
        ("il_vat", "039337424", "INVALID"),
    ],
)
def test_formats_and_checksums(kind: str, value: str, expected: str) -> None:
    assert tax_id_format(kind, value) == expected


def test_every_type_of_the_sdk_is_decided() -> None:
    listed = get_args(get_args(stripe.TaxId.__annotations__["type"])[0])
    assert len(listed) > 100
    assert sorted(CHECKERS) == sorted(listed)


JUDGED = sorted(kind for kind in CHECKERS if CHECKERS[kind])
# Numbers from the documentation of python-stdnum 2.2, and of the authorities that it names. Where
# persons and companies have different numbers under one type there is one of each.
KNOWN_GOOD = """
    ad_nrt      U-132950-X
    al_tin      J91402501L
    ar_cuit     20-05536168-2
    au_abn      83914571673
    au_acn      004085616
    az_tin      1401555071
    br_cnpj     16.727.230/0001-97 | 12ABC34501DE35
    br_cpf      390.533.447-05
    by_tin      200988541 | MA1953684
    ca_bn       123026635
    ca_gst_hst  123026635RT0001
    ch_uid      CHE-100.155.212
    ch_vat      CHE-107.787.577 IVA
    cl_tin      76.086.428-5
    cn_tin      91110000600037341L | 360426199101010071
    co_nit      213.123.432-1
    cr_tin      3-101-999999 | 3-0455-0175 | 155812994816
    cz_dic      CZ25123891 | CZ7103192745
    de_stn      181/815/08155
    do_rcn      1-01-85004-3 | 001-1391820-5
    ec_ruc      1792060346001
    eg_tin      100531385
    es_cif      B64717838 | 54362315K | X5253868R
    eu_oss_vat  EU372022452
    eu_vat      DE136695976 | BE0697449992 | FR61954506077 | EL094259216 | XI980780684
    fo_vat      623857
    fr_siren    404833048
    fr_siret    73282932000074
    fr_spi      3023217600053
    gb_vat      GB980780684
    gn_nif      693770885
    hr_oib      33392005961
    id_npwp     01.312.166.0-091.000 | 016090524017000
    il_vat      516179157 | 039337423
    in_gst      27AAPFU0939F1ZV
    is_kt       450401-3150 | 120174-3399
    is_vat      00621
    it_cf       RCCMNL83S18D969H | 00743110157
    jp_cn       5835678256246
    ke_pin      P051365947M
    kr_brn      116-82-00276
    li_uid      CHE100155212
    me_pib      02655284
    mk_vat      MK4057009501106
    mx_rfc      GODE561231GR8 | MAB9307148T4
    mz_nuit     400339910
    no_vat      995525828MVA
    nz_gst      49-098-576
    pe_ruc      20512333797
    pl_nip      8567346215
    pt_nif      501964843
    py_ruc      80028061-0
    ro_tin      18547290 | 1630615123457
    rs_pib      101134702
    ru_inn      1234567894 | 123456789047
    sg_uen      197401143C
    si_tin      50223054
    sn_ninea    30672212G2
    sv_nit      0614-050707-104-8
    th_vat      0994000617721 | 1234545678781
    tr_tin      4540536920 | 17291716060
    tw_vat      00501503
    us_ein      91-1144442
    uy_ruc      211003420017
    ve_rif      V-11470283-4
    vn_tin      0100233488 | 0314409058-002
"""
GOOD = {
    kind: numbers.split(" | ")
    for kind, numbers in (line.split(maxsplit=1) for line in KNOWN_GOOD.strip().splitlines())
}


def test_every_type_that_is_judged_has_a_number_known_to_be_good() -> None:
    assert sorted(GOOD) == JUDGED


@pytest.mark.parametrize(
    ("kind", "value"), [(kind, value) for kind in GOOD for value in GOOD[kind]]
)
def test_good_numbers_are_valid(kind: str, value: str) -> None:
    assert tax_id_format(kind, value) == "VALID"


@pytest.mark.parametrize("kind", JUDGED)
def test_every_checker_stands_anything(kind: str) -> None:
    for value in ("", "-", "☃" * 10, "x" * 500, "\x00"):
        assert tax_id_format(kind, value) == "INVALID"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        # Every one of them was called invalid once.
        ("za_vat", "4540103080"),
        ("za_vat", "4000000007"),
        ("ua_vat", "123456789"),
        ("ua_vat", "123456789012"),
        ("ua_vat", "1234567890"),
        *((kind, "anything") for kind in CHECKERS if not CHECKERS[kind]),
        ("zz_newer_than_this", "anything"),
    ],
)
def test_what_has_no_checker_is_not_judged(kind: str, value: str) -> None:
    for verification in ("UNSPECIFIED", "PENDING", "VERIFIED", "UNVERIFIED", "UNAVAILABLE"):
        assert tax_id_format(kind, value, verification) == "UNSPECIFIED"


@pytest.mark.parametrize("kind", JUDGED)
def test_what_the_registry_verified_is_never_invalid(kind: str) -> None:
    assert tax_id_format(kind, "not a number", "VERIFIED") == "UNSPECIFIED"
    assert tax_id_format(kind, GOOD[kind][0], "VERIFIED") == "VALID"
    for verification in ("UNSPECIFIED", "PENDING", "UNVERIFIED", "UNAVAILABLE"):
        assert tax_id_format(kind, "not a number", verification) == "INVALID"


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

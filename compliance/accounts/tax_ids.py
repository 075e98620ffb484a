"""Tax ids: format and checksum by python-stdnum, names compared, values never kept.

The online checks of python-stdnum are not used: they ignore timeouts, and Stripe asks the
registries itself. Stripe's types: https://docs.stripe.com/billing/customer/tax-ids
"""

import importlib
from functools import cache
from typing import Any

from compliance.screening.names import normalise
from compliance.screening.scoring import compare_names

VISIBLE_CHARACTERS = 4
# From this likeness on a registry's name and ours are the same name.
SAME_NAME = 0.85

_MODULES = {
    "ar_cuit": "ar.cuit",
    "au_abn": "au.abn",
    "br_cnpj": "br.cnpj",
    "br_cpf": "br.cpf",
    "ca_bn": "ca.bn",
    "ch_uid": "ch.uid",
    "ch_vat": "ch.vat",
    "cl_tin": "cl.rut",
    "co_nit": "co.nit",
    "de_stn": "de.stnr",
    "ec_ruc": "ec.ruc",
    "eg_tin": "eg.tn",
    "es_cif": "es.cif",
    "eu_oss_vat": "eu.oss",
    "eu_vat": "eu.vat",
    "gb_vat": "gb.vat",
    "id_npwp": "id.npwp",
    "il_vat": "il.hp",
    "in_gst": "in_.gstin",
    "is_vat": "is_.vsk",
    "jp_cn": "jp.cn",
    "ke_pin": "ke.pin",
    "kr_brn": "kr.brn",
    "li_uid": "ch.uid",
    "mx_rfc": "mx.rfc",
    "no_vat": "no.mva",
    "nz_gst": "nz.ird",
    "pe_ruc": "pe.ruc",
    "rs_pib": "rs.pib",
    "ru_inn": "ru.inn",
    "sg_uen": "sg.uen",
    "th_vat": "th.tin",
    "tr_tin": "tr.vkn",
    "ua_vat": "ua.edrpou",
    "us_ein": "us.ein",
    "uy_ruc": "uy.rut",
    "vn_tin": "vn.mst",
    "za_vat": "za.tin",
}


def tax_id_format(kind: str, value: str) -> str:
    """`VALID`, `INVALID`, or `UNSPECIFIED` for a type that we cannot check."""
    module = _MODULES.get(kind)
    if module is None:
        return "UNSPECIFIED"
    return "VALID" if _validator(module).is_valid(value) else "INVALID"


def mask(value: str) -> str:
    """All but the last characters as "*"; a value that short is hidden whole."""
    if len(value) <= 2 * VISIBLE_CHARACTERS:
        return "*" * len(value)
    return "*" * (len(value) - VISIBLE_CHARACTERS) + value[-VISIBLE_CHARACTERS:]


def names_agree(verified_name: str, legal_name: str, *, is_person: bool) -> bool:
    """Whether a registry's name is the merchant's; True where there is nothing to compare."""
    if not verified_name or not legal_name:
        return True
    first = normalise(verified_name, is_person=is_person)
    second = normalise(legal_name, is_person=is_person)
    return compare_names(first, second)[0] >= SAME_NAME


@cache
def _validator(module: str) -> Any:
    return importlib.import_module(f"stdnum.{module}")

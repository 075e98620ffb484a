"""Regions of countries, as routing knows them: coarse, and OTHER for one that is not listed."""

from collections.abc import Mapping

from gateway.routing.features import OTHER

_COUNTRIES = {
    # The European Economic Area, and what banks there treat alike.
    "EU": "AD AT BE BG CH CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MC MT NL NO PL PT "
    "RO SE SI SK SM VA",
    "UK": "GB GG GI IM JE",
    "US": "US PR VI GU",
    "CA": "CA",
    "LATAM": "AG AI AR AW BB BM BO BR BS BZ CL CO CR CU DM DO EC GD GT GY HN HT JM KN KY LC MX NI "
    "PA PE PY SR SV TC TT UY VC VE VG",
    "APAC": "AU BD BN BT CN FJ HK ID IN JP KH KR LA LK MM MN MO MV MY NP NZ PG PH SG TH TL TW VN",
    "MEA": "AE AO BF BH BI BJ BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW IL IQ JO KE KM "
    "KW LB LR LS LY MA MG ML MR MU MW MZ NA NE NG OM PS QA RW SA SC SD SL SN SO SS ST SZ TD TG TN "
    "TR TZ UG YE ZA ZM ZW",
}
REGIONS: Mapping[str, str] = {
    country: region for region, listed in _COUNTRIES.items() for country in listed.split()
}


def region_of(country: str) -> str:
    """The region of an ISO 3166-1 alpha-2 code; OTHER if it is not known."""
    return REGIONS.get(country, OTHER)

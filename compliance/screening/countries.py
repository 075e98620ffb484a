"""Country codes to the English names that lists write."""

from functools import cache

from compliance.data_lines import DATA, data_lines
from compliance.screening.names import fold


@cache
def _codes_by_name() -> dict[str, str]:
    codes: dict[str, str] = {}
    for _, (code, *names) in data_lines(DATA / "countries.tsv"):
        codes.update({fold(name): code for name in names})
    return codes


def country_code(text: str) -> str:
    """ISO 3166-1 alpha-2 code of a country as a list writes it: by name, or as such a code in upper
    case. Empty if it is none we know."""
    if text in _known_codes():
        return text
    return _codes_by_name().get(fold(text), "")


@cache
def _known_codes() -> frozenset[str]:
    return frozenset(_codes_by_name().values())

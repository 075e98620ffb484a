"""Country codes to the English names that lists write."""

from functools import cache
from pathlib import Path

from compliance.screening.names import fold

_TABLE = Path(__file__).parent.parent / "data" / "countries.tsv"


@cache
def _codes_by_name() -> dict[str, str]:
    codes: dict[str, str] = {}
    for line in _TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, *names = line.split("\t")
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

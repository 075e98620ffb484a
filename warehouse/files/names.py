"""What tables and columns of files are called. Pure, and without memory: the same title or heading
has the same name in every warehouse, and two that differ never share one.

A name that is plain, and not taken, stays. All else is made plain, cut, and gets eight digits of
its hash. Names of a file's columns never begin with `_`, as the warehouse's own columns do.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

SIGMA, REPORT = "sigma", "report"
# PostgreSQL cuts names after 63 bytes. The longest here has a kind, this and ten more.
MAX_PLAIN_CHARACTERS = 45
HASH_DIGITS = 8
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
# What ends like a name that has a hash is not plain: it could be another's.
_HASHED = re.compile(rf".*_[0-9a-f]{{{HASH_DIGITS}}}")
_REPORT_TYPE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*(?:\.[a-z0-9]+(?:_[a-z0-9]+)*)*")
# Tables and views of the warehouse's own, and columns that PostgreSQL or DuckDB has in every table.
TAKEN = frozenset(
    {
        *("sigma_run", "sigma_run_version", "sigma_run_history"),
        *("sigma_file", "sigma_file_version", "report_file", "report_file_version"),
        *("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "rowid"),
    }
)
_OTHER = re.compile(r"[^a-z0-9]+")


def table_of(kind: str, title: str) -> str:
    """The table of a query's title or a report's type. Types have dots, which are `__` here."""
    is_type = kind == REPORT and _REPORT_TYPE.fullmatch(title) is not None
    text = title.replace(".", "__") if is_type else title
    if (kind == REPORT and not is_type) or f"{kind}_{text}" in TAKEN:
        return f"{kind}_{_hashed(text, title)}"
    return f"{kind}_{_name(text, title)}"


def columns_of(headings: Sequence[str]) -> list[str]:
    """The columns of a file; headings may come several times."""
    seen: Counter[str] = Counter()
    names = []
    for heading in headings:
        seen[heading] += 1
        times = seen[heading]
        names.append(
            _name(heading, heading) if times == 1 else _hashed(heading, f"{heading}\0{times}")
        )
    return names


def _name(text: str, told: str) -> str:
    is_plain = (
        len(text) <= MAX_PLAIN_CHARACTERS
        and _PLAIN.fullmatch(text) is not None
        and _HASHED.fullmatch(text) is None
        and text not in TAKEN
    )
    return text if is_plain else _hashed(text, told)


def _hashed(text: str, told: str) -> str:
    digits = hashlib.sha256(told.encode()).hexdigest()[:HASH_DIGITS]
    plain = _OTHER.sub("_", text.lower())[:MAX_PLAIN_CHARACTERS].strip("_")
    if not plain:
        plain = "x"
    elif not plain[0].isalpha():
        plain = f"x{plain}"[:MAX_PLAIN_CHARACTERS]
    return f"{plain}_{digits}"

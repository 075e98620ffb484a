"""What finance goes by: read from a file, checked, used when periods are closed and breaks
adjusted."""

import re
import tomllib
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from money.currencies import CURRENCIES
from reconciliation.adjusting.adjustment import AdjustmentRules, pattern_problem
from reconciliation.alerting.alert import AlertRules

BUNDLED_FINANCE = Path(__file__).parent / "data" / "finance.toml"
MAX_AFTER = timedelta(days=31)

_SPAN = re.compile(r"(\d{1,4}) (min|h|d)")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class FinanceError(ValueError):
    """The file cannot be used; the message names it, the place and what is wrong."""


@dataclass(frozen=True)
class FinancePolicy:
    """All of it, in one version."""

    version: str
    close_after: timedelta
    """How long after its end a period may be closed at the earliest."""
    adjustments: AdjustmentRules
    alerts: AlertRules


def read_finance(path: Path = BUNDLED_FINANCE) -> FinancePolicy:
    """The policy of a file. Raises `FinanceError`."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FinanceError(f"{path.name}: cannot be read as TOML: {error}") from error
    _exactly(path.name, given, {"version", "closing", "adjustments", "alerts"})
    if not isinstance(given["version"], str) or not given["version"]:
        raise FinanceError(f"{path.name} version: is not a text")
    closing = _exactly(f"{path.name} [closing]", given["closing"], {"after"})
    return FinancePolicy(
        version=given["version"],
        close_after=_span(f"{path.name} [closing] after", closing["after"]),
        adjustments=_adjustments(f"{path.name} [adjustments]", given["adjustments"]),
        alerts=_alerts(f"{path.name} [alerts]", given["alerts"]),
    )


def _alerts(where: str, given: Any) -> AlertRules:
    table = _exactly(where, given, {"digest_at", "at_once_over"})
    read = _TIME.fullmatch(table["digest_at"]) if isinstance(table["digest_at"], str) else None
    if read is None:
        raise FinanceError(f"{where} digest_at: is not a time such as 07:00")
    over = _amounts(f"{where} at_once_over", table["at_once_over"])
    return AlertRules(time(int(read[1]), int(read[2])), over)


def _adjustments(where: str, given: Any) -> AdjustmentRules:
    table = _exactly(where, given, {"accounts", "four_eyes_over"})
    accounts = table["accounts"]
    if not isinstance(accounts, list) or not all(isinstance(each, str) for each in accounts):
        raise FinanceError(f"{where} accounts: is not a list of texts")
    for pattern in accounts:
        if (problem := pattern_problem(pattern)) is not None:
            raise FinanceError(f"{where} accounts: {pattern} {problem}")
    return AdjustmentRules(
        tuple(accounts), _amounts(f"{where} four_eyes_over", table["four_eyes_over"])
    )


def _amounts(where: str, given: Any) -> dict[str, int]:
    if not isinstance(given, dict):
        raise FinanceError(f"{where}: is not a table")
    for code, amount in given.items():
        if code not in CURRENCIES:
            raise FinanceError(f"{where}: {code} is no currency")
        if type(amount) is not int or amount < 0:
            raise FinanceError(f"{where} {code}: is not minor units of 0 or more")
    return given


def _span(where: str, given: Any) -> timedelta:
    read = _SPAN.fullmatch(given) if isinstance(given, str) else None
    if read is None:
        raise FinanceError(f"{where}: is not a number of min, h or d")
    span = int(read[1]) * _UNITS[read[2]]
    if span > MAX_AFTER:
        raise FinanceError(f"{where}: is more than {MAX_AFTER.days} d")
    return span


def _exactly(where: str, table: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise FinanceError(f"{where}: is not a table")
    if unknown := sorted(set(table) - names):
        raise FinanceError(f"{where}: does not know {', '.join(unknown)}")
    if missing := sorted(names - set(table)):
        raise FinanceError(f"{where}: lacks {', '.join(missing)}")
    return table

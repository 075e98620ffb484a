"""A corridor's memory as JSON, whole and exact, so that a restart forgets nothing.

Floats keep their bits. What cannot be read, or is of another form, is a `StateError`: then the
corridor begins anew, which is safe and slow.
"""

import json
from dataclasses import asdict, fields
from typing import Any, TypeVar

from gateway.foresight.alarm import Alarm
from gateway.foresight.forecast import Corridor
from gateway.foresight.reading import Smoothed, State
from gateway.foresight.signals import Minute
from gateway.foresight.steps import PartSteps
from gateway.foresight.usual import ROWS, SIGNALS, Usual

FORM = "foresight-state/1"
# 192 rows of 14 numbers of at most some twenty characters, and little else.
MAX_BYTES = 128 * 1024
MAX_WINDOW = 60

T = TypeVar("T")


class StateError(ValueError):
    """A state that cannot be read; says why."""


def write_corridor(corridor: Corridor, alarm: Alarm) -> str:
    """The text of a corridor's memory and alarm."""
    text = json.dumps(
        {
            "form": FORM,
            "signals": SIGNALS,
            "state": asdict(corridor.state),
            "steps": [asdict(part) for part in corridor.steps],
            "alarm": asdict(alarm),
        },
        separators=(",", ":"),
        allow_nan=False,
    )
    assert len(text) <= MAX_BYTES, f"a corridor's memory is bounded, this has {len(text)} bytes"
    return text


def read_corridor(text: str) -> tuple[Corridor, Alarm]:
    """What `write_corridor` wrote; raises `StateError` for anything else."""
    if len(text) > MAX_BYTES:
        raise StateError(f"more than {MAX_BYTES} characters")
    try:
        told = json.loads(text, parse_constant=_refuse)
        _check_form(told)
        return (
            Corridor(
                _state(told["state"]), _three([_known(PartSteps, one) for one in told["steps"]])
            ),
            _known(Alarm, told["alarm"]),
        )
    except StateError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StateError(f"not a corridor's memory: {error!r}") from error


def _check_form(told: dict[str, Any]) -> None:
    if told["form"] != FORM or tuple(told["signals"]) != SIGNALS:
        raise StateError(f"not of the form {FORM}, or of other signals")


def _state(told: dict[str, Any]) -> State:
    usual = _known(Usual, told["usual"])
    if len(usual.visits) != ROWS or len(usual.rows) != ROWS:
        raise StateError(f"{len(usual.rows)} rows of what is usual, not {ROWS}")
    numbers = [usual.stray, tuple(told["fast"]), tuple(told["slow"])]
    numbers += [row for row in (*usual.rows, usual.level) if row is not None]
    if any(len(row) != len(SIGNALS) for row in numbers):
        raise StateError(f"a row that has not {len(SIGNALS)} numbers")
    if not all(isinstance(value, float | int) for row in numbers for value in row):
        raise StateError("a row with something else than numbers")
    if min(usual.stray) <= 0:
        raise StateError("a signal that never strays")
    if len(told["window"]) > MAX_WINDOW:
        raise StateError(f"a window of more than {MAX_WINDOW} minutes")
    window = tuple(_known(Minute, one) for one in told["window"])
    parts = _three([_known(Smoothed, one) for one in told["parts"]])
    return _known(State, {**told, "usual": usual, "window": window, "parts": parts})


def _three(parts: list[Any]) -> tuple[Any, ...]:
    if len(parts) != 3:
        raise StateError(f"{len(parts)} parts of the objective, not 3")
    return tuple(parts)


def _known(kind: type[T], told: dict[str, Any]) -> T:
    """A dataclass from its fields, no more and no less; lists are tuples in it."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if names != told.keys():
        raise StateError(f"{kind.__name__} has other fields: {sorted(names ^ told.keys())}")
    return kind(**{name: _tupled(value) for name, value in told.items()})


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _refuse(constant: str) -> float:
    raise StateError(f"{constant} is no number")

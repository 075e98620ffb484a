"""What was told of an incident, as JSON that is kept."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.foresight.actions import Bounds, Posture
from gateway.foresight.incident import IncidentChange, Telling


def write_telling(telling: Telling) -> dict[str, Any]:
    """The JSON of what was told."""
    return {
        "change": telling.change.value,
        "minute": telling.minute,
        "foreseen": dict(telling.foreseen),
        "posture": asdict(telling.posture),
        "bounds": asdict(telling.bounds),
    }


def read_telling(told: Mapping[str, Any]) -> Telling:
    """What `write_telling` wrote."""
    posture, bounds = told["posture"], told["bounds"]
    return Telling(
        change=IncidentChange(told["change"]),
        minute=told["minute"],
        foreseen=told["foreseen"],
        # Named one by one: a later release may have written more.
        posture=Posture(posture["discount"], posture["concurrency"], posture["incident"]),
        bounds=Bounds(
            most_discount=bounds["most_discount"],
            least_concurrency=bounds["least_concurrency"],
            probe_every_minutes=bounds["probe_every_minutes"],
            incidents=bounds["incidents"],
        ),
    )

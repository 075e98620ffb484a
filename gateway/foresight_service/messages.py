"""Forecasts, incidents and records as messages of gateway.v1."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.foresight.incident import Incident
from gateway.foresight.model import HORIZONS
from gateway.foresight.objective import Part
from gateway.foresight.record import Figures
from gateway.foresight_service.board import Held
from gateway.foresight_service.foreseeing import end_of
from gateway.payments.rendering import stamp
from gateway.v1 import foresight_pb2 as pb

PARTS = {
    Part.LATENCY.value: pb.OBJECTIVE_PART_LATENCY,
    Part.FAILURES.value: pb.OBJECTIVE_PART_FAILURES,
    Part.WEBHOOKS.value: pb.OBJECTIVE_PART_WEBHOOKS,
}


def forecast_message(told: Mapping[str, Any], minute: int) -> pb.CorridorForecast:
    """A forecast from the form that it is kept in (`told_of`), and the minute that it is of."""
    as_of = end_of(minute)
    to_breach: float | None = told.get("minutes_to_breach")
    return pb.CorridorForecast(
        as_of_time=stamp(as_of),
        probabilities=[
            pb.BreachProbability(minutes=minutes, probability=probability)
            for minutes, probability in zip(HORIZONS, told["probabilities"], strict=True)
        ],
        expected_breach_time=stamp(
            None if to_breach is None else as_of + timedelta(minutes=to_breach)
        ),
        part=PARTS.get(told.get("part", ""), pb.OBJECTIVE_PART_UNSPECIFIED),
        broken=_parts(told["broken"]),
        stepped=_parts(told["stepped"]),
        signals=[pb.ForecastSignal(**signal) for signal in told["signals"]],
    )


def treatment_message(
    held: Held, now: datetime, probe_every_minutes: int | None
) -> pb.CorridorTreatment | None:
    """How a corridor is treated now; None if as usual."""
    posture = held.at(now)
    if now >= held.until:
        return None
    return pb.CorridorTreatment(
        discount=posture.discount,
        concurrency_share=posture.concurrency,
        probe_every_minutes=probe_every_minutes or 0,
        hold_time=stamp(held.until),
    )


def incident_message(corridor: str, incident: Incident) -> pb.Incident:
    """An incident as it stands."""
    return pb.Incident(
        id=f"{corridor}-{incident.raise_minute}",
        corridor=corridor,
        state=pb.IncidentState.Value(f"INCIDENT_STATE_{incident.state}"),
        raise_time=stamp(end_of(incident.raise_minute)),
        foreseen=forecast_message(incident.foreseen, incident.raise_minute),
        acted=incident.acted,
        breach_time=_end_of(incident.breach_minute),
        lead_minutes=incident.lead_minutes or 0,
        end_time=_end_of(incident.end_minute),
    )


def record_message(figures: Figures) -> pb.ForesightRecord:
    """What came of alarms."""
    return pb.ForesightRecord(
        minutes_watched=figures.minutes_watched,
        alarms=figures.alarms,
        breaches=figures.breaches,
        warned=figures.warned,
        late=figures.late,
        missed=figures.missed,
        false_alarms=figures.false,
        abandoned=figures.abandoned,
        open=figures.open,
        median_lead_minutes=figures.median_lead_minutes,
        warned_share=figures.warned_share,
        right_share=figures.right_share,
        false_alarms_a_week=figures.false_a_week,
        random_warned_share=figures.random_warned,
        random_right_share=figures.random_right,
    )


def _parts(names: Sequence[str]) -> "list[pb.ObjectivePart.ValueType]":
    return [PARTS[name] for name in names if name in PARTS]


def _end_of(minute: int | None) -> Any:
    return stamp(None if minute is None else end_of(minute))

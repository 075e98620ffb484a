"""Forecasts, incidents and records as messages of gateway.v1."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from gateway.foresight.actions import NEUTRAL
from gateway.foresight.incident import Incident, Telling
from gateway.foresight.model import HORIZONS
from gateway.foresight.objective import Part
from gateway.foresight.record import Figures
from gateway.foresight_service.board import Held
from gateway.foresight_service.foreseeing import HOLD, end_of
from gateway.foresight_service.store import incident_of
from gateway.payments.rendering import stamp
from gateway.v1 import foresight_pb2 as pb
from gateway.v1 import foresight_service_pb2 as service_pb

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
    posture = held.posture
    if not held.holds(now):
        return None
    return pb.CorridorTreatment(
        discount=posture.discount,
        concurrency_share=posture.concurrency,
        probe_every_minutes=probe_every_minutes or 0,
        hold_time=stamp(held.until),
    )


def incident_id(corridor: str, raise_minute: int) -> str:
    """The id of the alarm of a corridor that was raised in a minute."""
    return f"{corridor}-{raise_minute}"


def change_message(row: Row[Any], epoch: int) -> service_pb.WatchIncidentsResponse:
    """A change of the feed."""
    return service_pb.WatchIncidentsResponse(
        incident=incident_message(row.corridor, incident_of(row)),
        epoch=epoch,
        sequence=row.sequence,
        record_time=stamp(row.record_time),
    )


def incident_message(corridor: str, incident: Incident) -> pb.Incident:
    """An incident as it stands."""
    return pb.Incident(
        id=incident_id(corridor, incident.raise_minute),
        corridor=corridor,
        state=pb.IncidentState.Value(f"INCIDENT_STATE_{incident.state}"),
        raise_time=stamp(end_of(incident.raise_minute)),
        foreseen=forecast_message(incident.foreseen, incident.raise_minute),
        acted=incident.acted,
        breach_time=_end_of(incident.breach_minute),
        lead_minutes=incident.lead_minutes or 0,
        end_time=_end_of(incident.end_minute),
        change=_change_of(incident),
        latest=_latest(incident.telling),
        treatment=_treatment(incident, incident.telling),
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


def _change_of(incident: Incident) -> "pb.IncidentChange.ValueType":
    if incident.telling is None:
        return pb.INCIDENT_CHANGE_UNSPECIFIED
    return pb.IncidentChange.Value(f"INCIDENT_CHANGE_{incident.telling.change}")


def _latest(telling: Telling | None) -> pb.CorridorForecast | None:
    if telling is None or not telling.foreseen:
        return None
    return forecast_message(telling.foreseen, telling.minute)


def _treatment(incident: Incident, telling: Telling | None) -> pb.IncidentTreatment | None:
    """What was done with the last change. Of one that was never acted upon nothing is undone."""
    if telling is None:
        return None
    bounds, is_treated = telling.bounds, incident.acted and incident.state.is_open
    posture = telling.posture if is_treated else NEUTRAL
    undo_time = end_of(telling.minute) + (HOLD if is_treated else timedelta(0))
    return pb.IncidentTreatment(
        discount=posture.discount,
        concurrency_share=posture.concurrency,
        probe_every_minutes=(bounds.probe_every_minutes or 0) if is_treated else 0,
        most_discount=bounds.most_discount,
        least_concurrency_share=bounds.least_concurrency,
        undo_time=stamp(undo_time) if incident.acted else None,
    )


def _parts(names: Sequence[str]) -> "list[pb.ObjectivePart.ValueType]":
    return [PARTS[name] for name in names if name in PARTS]


def _end_of(minute: int | None) -> Any:
    return stamp(None if minute is None else end_of(minute))

"""Forecasts of freezes, from snapshots and decisions."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.refreshing import SnapshotRefresher
from compliance.config import ComplianceSettings
from compliance.data_lines import DataError
from compliance.forecast.forecasting import Forecasting
from compliance.forecast.service import FreezeForecastService
from compliance.forecast.stripe_figures import THRESHOLDS, read_thresholds
from compliance.forecast.volumes import CheckedVolumes
from compliance.part import Part
from compliance.v1 import freeze_forecast_service_pb2, freeze_forecast_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered
from runtime.startup import StartupError


@dataclass(frozen=True, kw_only=True)
class OpenForecasts(Part):
    """What others need of forecasts."""

    forecasting: Forecasting


def open_forecasts(
    settings: ComplianceSettings, engine: AsyncEngine, refresher: SnapshotRefresher, clock: Clock
) -> OpenForecasts:
    """Reads Stripe's figures, and the operator's if any; a broken line stops the start."""
    own = settings.volume_thresholds_file
    try:
        thresholds = read_thresholds(THRESHOLDS, *([own] if own else []))
    except (DataError, OSError) as error:
        raise StartupError(f"COMPLIANCE_VOLUME_THRESHOLDS_FILE: {error}") from error
    forecasting = Forecasting(engine, CheckedVolumes(), thresholds, clock, refresher.stored)
    servicer = FreezeForecastService(engine, clock, forecasting.told)
    return OpenForecasts(
        forecasting=forecasting,
        services=(
            registered(freeze_forecast_service_pb2, freeze_forecast_service_pb2_grpc, servicer),
        ),
        loops=(forecasting.loop(settings.forecast_interval_seconds),),
    )

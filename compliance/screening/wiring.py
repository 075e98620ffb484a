"""Sanctions lists, and comparing everybody with them."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.config import ComplianceSettings
from compliance.evidence_news import EvidenceNews
from compliance.part import Part
from compliance.screening.active_lists import ActiveLists
from compliance.screening.building import BuilderLimits, Building
from compliance.screening.loader import ListLoader
from compliance.screening.rescreening import Rescreening
from compliance.screening.service import ScreeningService
from compliance.screening.sources import ListSource
from compliance.v1 import screening_service_pb2, screening_service_pb2_grpc
from runtime.clock import Clock
from runtime.config import Environment
from runtime.mutations import Mutations
from runtime.server import registered


@dataclass(frozen=True, kw_only=True)
class OpenScreening(Part):
    """What others need of screening."""

    lists: ActiveLists


async def open_screening(
    settings: ComplianceSettings,
    engine: AsyncEngine,
    mutations: Mutations,
    match_threshold: float,
    news: EvidenceNews,
    clock: Clock,
) -> OpenScreening:
    """Loads the lists a first time, so that a new service knows them; that it fails is an alarm
    and stops no start."""
    is_fetched = settings.env is not Environment.SANDBOX
    sources = {
        name: ListSource.of(name, file, is_fetched=is_fetched)
        for name, file in settings.list_files.items()
    }
    building = Building(BuilderLimits(seconds=settings.list_build_timeout_seconds))
    lists = ActiveLists(engine, tuple(sources), match_threshold, building)
    rescreening = Rescreening(engine, lists, clock, news)
    loader = ListLoader(engine, sources, lists, rescreening, building, clock, news)
    await lists.refresh()
    loading = loader.loop(settings.list_interval_seconds)
    await loading.attempt()
    servicer = ScreeningService(engine, mutations, lists, loader, clock, news)
    return OpenScreening(
        lists=lists,
        services=(registered(screening_service_pb2, screening_service_pb2_grpc, servicer),),
        loops=(loading, rescreening.loop(settings.screening_interval_seconds)),
    )

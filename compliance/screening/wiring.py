"""Sanctions lists, and comparing everybody with them."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.config import ComplianceSettings
from compliance.evidence_news import EvidenceNews
from compliance.mutations import Mutations
from compliance.part import Part
from compliance.screening.active_lists import ActiveLists
from compliance.screening.loader import ListLoader
from compliance.screening.rescreening import Rescreening
from compliance.screening.service import ScreeningService
from compliance.screening.sources import SdnFileSource
from compliance.v1 import screening_service_pb2, screening_service_pb2_grpc
from runtime.clock import Clock
from runtime.config import Environment
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
    source = SdnFileSource(
        settings.effective_sdn_file,
        clock,
        is_fetched=settings.env is not Environment.SANDBOX,
    )
    lists = ActiveLists(engine, (source.list_name,), match_threshold)
    rescreening = Rescreening(engine, lists, clock, news)
    loader = ListLoader(engine, {source.list_name: source}, lists, rescreening, clock, news)
    await lists.refresh()
    loading = loader.loop(settings.list_interval_seconds)
    await loading.attempt()
    servicer = ScreeningService(engine, mutations, lists, loader, clock, news)
    return OpenScreening(
        lists=lists,
        services=(registered(screening_service_pb2, screening_service_pb2_grpc, servicer),),
        loops=(loading, rescreening.loop(settings.screening_interval_seconds)),
    )

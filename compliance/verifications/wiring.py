"""Verifications in one process: asked for by the service, kept by a loop."""

import grpc
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.evidence_news import EvidenceNews
from compliance.part import Part
from compliance.v1 import verification_service_pb2, verification_service_pb2_grpc
from compliance.verifications.asking import VerificationAsking
from compliance.verifications.gateway_sessions import GatewaySessions
from compliance.verifications.service import VerificationService
from compliance.verifications.watching import VerificationWatch
from runtime.mutations import Mutations
from runtime.server import registered


def open_verifications(
    engine: AsyncEngine,
    mutations: Mutations,
    gateway: grpc.aio.Channel | None,
    news: EvidenceNews,
) -> Part:
    """There is nothing to close. Without a gateway nothing can be asked for."""
    sessions = GatewaySessions(gateway) if gateway is not None else None
    servicer = VerificationService(engine, VerificationAsking(engine, mutations, sessions, news))
    return Part(
        services=(registered(verification_service_pb2, verification_service_pb2_grpc, servicer),),
        loops=(VerificationWatch(engine, sessions, news).loop(),) if sessions else (),
    )

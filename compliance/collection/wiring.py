"""Notices of what Stripe wants of merchants, and their e-mails if there is a mail server."""

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.collection.chasing import Chasing
from compliance.collection.sending import Letterhead, NoticeMailer
from compliance.collection.service import NoticeService
from compliance.config import ComplianceSettings
from compliance.forecast.forecasting import Forecasting
from compliance.part import Part
from compliance.v1 import notice_service_pb2, notice_service_pb2_grpc
from runtime.clock import Clock
from runtime.server import registered


def open_collection(
    settings: ComplianceSettings, engine: AsyncEngine, forecasting: Forecasting, clock: Clock
) -> Part:
    """Looks after the forecasts, which say how long reviews take."""
    chasing = Chasing(
        engine,
        forecasting.review_time,
        clock,
        forecasting.told,
        by_mail=settings.smtp_address is not None,
    )
    loops = [chasing.loop(settings.notice_interval_seconds)]
    if settings.smtp_address is not None:
        mailer = NoticeMailer(
            engine,
            settings.mail_server(),
            Letterhead(
                sender=settings.notice_sender or "",
                operator_address=settings.notice_operator_address or "",
                page_url=settings.notice_page_url or "",
            ),
            clock,
            chasing.told,
        )
        loops.append(mailer.loop(settings.notice_interval_seconds))
    servicer = NoticeService(engine, clock, chasing.told)
    return Part(
        services=(registered(notice_service_pb2, notice_service_pb2_grpc, servicer),),
        loops=tuple(loops),
    )

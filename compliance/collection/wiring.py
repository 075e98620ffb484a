"""Notices of what Stripe wants of merchants, and their e-mails if there is a mail server."""

import ssl

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.collection.chasing import Chasing
from compliance.collection.sending import Letterhead, NoticeMailer
from compliance.collection.service import NoticeService
from compliance.collection.smtp import MailServer
from compliance.config import ComplianceSettings
from compliance.forecast.forecasting import Forecasting
from compliance.part import Part
from compliance.v1 import notice_service_pb2, notice_service_pb2_grpc
from runtime.clock import Clock
from runtime.config import split_address
from runtime.server import registered
from runtime.startup import StartupError


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
            mail_server(settings),
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


def mail_server(settings: ComplianceSettings) -> MailServer:
    """The mail server of the settings. Raises `StartupError` for a CA that cannot be read."""
    assert settings.smtp_address is not None, "there is one"
    host, port = split_address(settings.smtp_address)
    try:
        trust = ssl.create_default_context(cafile=settings.smtp_ca_file)
    except OSError as error:
        raise StartupError(f"COMPLIANCE_SMTP_CA_FILE: {error}") from error
    return MailServer(
        host=host,
        port=port,
        security=settings.smtp_security,
        user=settings.smtp_user or "",
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else "",
        trust=trust,
    )

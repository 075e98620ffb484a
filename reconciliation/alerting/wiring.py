"""Alerting: what is told outside, by the ways that are configured."""

from sqlalchemy.ext.asyncio import AsyncEngine

from reconciliation.alerting.sending import AlertSender, MailWay, Way, WebhookWay
from reconciliation.alerting.telling import AlertTeller
from reconciliation.config import ReconciliationSettings
from reconciliation.part import Part
from runtime.clock import Clock
from runtime.notifier import Notifier
from runtime.webhook_addresses import Destinations
from runtime.webhook_sending import Sender


def open_alerting(settings: ReconciliationSettings, engine: AsyncEngine, clock: Clock) -> Part:
    """Nothing runs where no way is configured."""
    ways: list[Way] = []
    if settings.alert_webhook_url and settings.alert_webhook_secret:
        # It is the operator who says where, not a client.
        sender = Sender(Destinations(anywhere=True))
        secret = settings.alert_webhook_secret.get_secret_value()
        ways.append(WebhookWay(sender, settings.alert_webhook_url, [secret]))
    if settings.smtp_address:
        ways.append(
            MailWay(
                settings.mail_server(),
                settings.alert_mail_sender or "",
                settings.alert_mail_recipient or "",
            )
        )
    if not ways:
        return Part()
    told = Notifier()
    channels = {way.channel for way in ways}
    teller = AlertTeller(engine, settings.finance.alerts, channels, clock, told)
    senders = [AlertSender(engine, way, clock, told).loop() for way in ways]
    return Part(loops=[teller.loop(), *senders])

"""A mail server of a test: what came to it, and what it answers."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from runtime.smtp import MailServer, Security
from sandbox.addresses import free_port


@dataclass
class Postbox:
    """A mail server's handler: what came, and what is answered instead of taking it."""

    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    recipient_answer: str = ""
    data_answer: str = ""

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.recipient_answer:
            return self.recipient_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.data_answer:
            return self.data_answer
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.messages.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 taken"


@contextmanager
def mail_server(postbox: Postbox, **options: Any) -> Iterator[MailServer]:
    """A server on a free port, and how it is reached."""
    controller = Controller(
        postbox, hostname="127.0.0.1", port=free_port(), ready_timeout=20, **options
    )
    controller.start()
    try:
        yield MailServer(
            "127.0.0.1",
            controller.port,
            Security.NONE,
            "",
            "",
            ssl.create_default_context(),
        )
    finally:
        controller.stop()

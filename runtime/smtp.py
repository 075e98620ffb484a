"""Hands a message to a mail server, by the standard library in a thread."""

import asyncio
import contextlib
import re
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum

# https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1, without the brackets.
MAX_EMAIL_BYTES = 254
EMAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+"
)
# Of each answer of the server.
ANSWER_SECONDS = 10.0
# The server says that it has to go away: no fault of the message.
# https://www.rfc-editor.org/rfc/rfc5321#section-3.8
_LEAVING = 421
_PERMANENT = 500


class Security(StrEnum):
    """How the way to the mail server is kept from others."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


class MailServerError(OSError):
    """The server could not be used at all: a dependency is away, and no message is at fault."""


class MessageRefusedError(Exception):
    """The server does not take this message; `is_final` if it never will."""

    def __init__(self, code: int) -> None:
        super().__init__(f"SMTP_{code}")
        self.failure = f"SMTP_{code}"
        self.is_final = code >= _PERMANENT


@dataclass(frozen=True)
class MailServer:
    """Where messages go; without a user nobody logs in."""

    host: str
    port: int
    security: Security
    user: str
    password: str
    trust: ssl.SSLContext
    answer_seconds: float = ANSWER_SECONDS

    async def send(self, message: EmailMessage) -> None:
        """Returns when the server has taken the message.

        Raises `MessageRefusedError`, or `MailServerError`. What a server says is not passed on: it
        quotes addresses.
        """
        await asyncio.to_thread(self._send, message)

    def _send(self, message: EmailMessage) -> None:
        try:
            server = self._connected(message["From"].addresses[0].domain)
            try:
                self._hand_over(server, message)
            finally:
                # How the conversation ends changes nothing of what was taken.
                with contextlib.suppress(OSError):
                    server.quit()
        except MailServerError:
            raise
        except smtplib.SMTPResponseException as error:
            raise MailServerError(f"SMTP_{error.smtp_code}") from None
        except (OSError, ValueError) as error:
            raise MailServerError(type(error).__name__) from None

    def _connected(self, name: str) -> smtplib.SMTP:
        """`name` is what we call ourselves: the host's own may be slow to find out."""
        if self.security is Security.TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host,
                self.port,
                local_hostname=name,
                timeout=self.answer_seconds,
                context=self.trust,
            )
        else:
            server = smtplib.SMTP(
                self.host, self.port, local_hostname=name, timeout=self.answer_seconds
            )
        try:
            if self.security is Security.STARTTLS:
                # Raises where the server does not offer it: nothing is sent in plain text then.
                server.starttls(context=self.trust)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server

    @staticmethod
    def _hand_over(server: smtplib.SMTP, message: EmailMessage) -> None:
        sender = message["From"].addresses[0].addr_spec
        recipient = message["To"].addresses[0].addr_spec
        try:
            server.sendmail(sender, [recipient], message.as_bytes())
        except smtplib.SMTPRecipientsRefused as error:
            ((code, _),) = error.recipients.values()
        except smtplib.SMTPDataError as error:
            code = error.smtp_code
        else:
            return
        if code == _LEAVING:
            raise MailServerError(f"SMTP_{code}")
        raise MessageRefusedError(code)

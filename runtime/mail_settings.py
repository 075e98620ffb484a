"""Settings of a service that sends e-mails: the server, and how the way to it is kept."""

import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr, field_validator

from runtime.addresses import is_loopback, split_address
from runtime.config import ServiceSettings
from runtime.production import weakness
from runtime.smtp import EMAIL_ADDRESS, MAX_EMAIL_BYTES, MailServer, Security
from runtime.startup import StartupError


class MailSettings(ServiceSettings):
    """The settings of every service, and those of a mail server."""

    # host:port of the mail server; without it none is sent.
    smtp_address: str | None = None
    smtp_security: Security = Security.STARTTLS
    # Who the mail server's certificate is to be from; the system's authorities if not set.
    smtp_ca_file: Path | None = None
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None

    @field_validator("smtp_address")
    @classmethod
    def _smtp_host_and_port(cls, address: str | None) -> str | None:
        if address:
            split_address(address)
        return address or None

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.smtp_address:
            return
        if bool(self.smtp_user) != bool(self.smtp_password):
            user, password = self.variable("smtp_user"), self.variable("smtp_password")
            yield f"{user} and {password}: one needs the other"
        if self.smtp_security is Security.NONE and not is_loopback(self.smtp_address):
            yield (
                f"{self.variable('smtp_security')}: plain text is for loopback only, since"
                " messages and the login could be read: say starttls or tls"
            )

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        if self.smtp_password and (problem := weakness(self.smtp_password.get_secret_value())):
            yield f"{self.variable('smtp_password')}: {problem}: give the login another one"

    def mail_server(self) -> MailServer:
        """The mail server, of which there is an address. Raises `StartupError` for a CA that cannot
        be read."""
        assert self.smtp_address is not None, "there is one"
        host, port = split_address(self.smtp_address)
        try:
            trust = ssl.create_default_context(cafile=self.smtp_ca_file)
        except OSError as error:
            raise StartupError(f"{self.variable('smtp_ca_file')}: {error}") from error
        return MailServer(
            host=host,
            port=port,
            security=self.smtp_security,
            user=self.smtp_user or "",
            password=self.smtp_password.get_secret_value() if self.smtp_password else "",
            trust=trust,
        )


def mail_address(address: str | None) -> str | None:
    """An e-mail address of a setting; raises ValueError for what is none."""
    if address and not (len(address) <= MAX_EMAIL_BYTES and EMAIL_ADDRESS.fullmatch(address)):
        raise ValueError("is no e-mail address of ASCII characters")
    return address or None

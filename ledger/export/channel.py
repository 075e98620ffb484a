"""How the commands reach a ledger: its address, and mutual TLS as the services speak it."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import ClassVar

import grpc
from pydantic_settings import SettingsConfigDict

from ledger.export.failures import CommandError, of_file
from runtime.client import open_channel
from runtime.config import ServiceSettings, is_loopback, split_address
from runtime.read_settings import SettingsError, read_settings

IDEMPOTENT_SERVICES = ("ledger.v1.LedgerService", "ledger.v1.AuditService")


class ClientSettings(ServiceSettings):
    """Who the command is: a client certificate, from flags or `LEDGER_CLIENT_TLS_*_FILE`."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_CLIENT_")
    service_name: ClassVar[str] = "ledger-client"

    # A client listens nowhere; the services' settings ask for it.
    listen_address: str = "127.0.0.1:0"
    http_address: str = "127.0.0.1:0"


def add_connection_arguments(parser: ArgumentParser) -> None:
    """The flags that say where the ledger is and who asks."""
    parser.add_argument(
        "--address", required=True, metavar="HOST:PORT", help="where the ledger service answers"
    )
    parser.add_argument("--ledger", required=True, metavar="NAME", help="the ledger's name")
    tls = parser.add_argument_group(
        "mutual TLS",
        "All three or none; none is for a loopback address only. The certificate's DNS name is the "
        "client's name, and the service decides what that name may call.",
    )
    for name, what in (
        ("certificate", "this client's certificate"),
        ("key", "its private key"),
        ("ca", "the authority that signed the service's certificate"),
    ):
        tls.add_argument(
            f"--tls-{name}-file",
            type=Path,
            metavar="FILE",
            help=f"{what}, PEM; else LEDGER_CLIENT_TLS_{name.upper()}_FILE",
        )


def open_ledger(arguments: Namespace) -> grpc.aio.Channel:
    """A channel as the flags say; raises `CommandError` when they cannot be followed."""
    files = {
        name: path
        for name in ("tls_certificate_file", "tls_key_file", "tls_ca_file")
        if (path := getattr(arguments, name)) is not None
    }
    try:
        split_address(arguments.address)
        settings = read_settings(ClientSettings, **files)
        if not settings.uses_tls and not is_loopback(arguments.address):
            raise CommandError("plain text is for loopback only: give the three TLS files")
        return open_channel(arguments.address, settings, idempotent_services=IDEMPOTENT_SERVICES)
    except SettingsError as error:
        raise CommandError(str(error)) from error
    except ValueError as error:
        raise CommandError(f"--address {arguments.address} {error}") from error
    except OSError as error:
        raise of_file(error) from error

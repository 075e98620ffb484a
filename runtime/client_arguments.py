"""How a command reaches a service: its address, and mutual TLS as the services speak it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import grpc

from runtime.client import open_channel
from runtime.command_failures import CommandError, of_file
from runtime.config import ServiceSettings
from runtime.read_settings import SettingsError, read_settings
from runtime.service_target import parse_target, tls_problem


class CommandSettings(ServiceSettings):
    """Who a command is: a client certificate, from flags or from `<prefix>TLS_*_FILE`."""

    # A client listens nowhere; the services' settings ask for it.
    listen_address: str = "127.0.0.1:0"
    http_address: str = "127.0.0.1:0"


def add_connection_arguments(
    parser: ArgumentParser, service: str, prefix: str, *, is_required: bool = True
) -> None:
    """The flags that say where the service is and who asks; `prefix` is that of the variables."""
    parser.add_argument(
        "--address",
        required=is_required,
        metavar="HOST:PORT",
        help=f"where the {service} service answers",
    )
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
            help=f"{what}, PEM; else {prefix}TLS_{name.upper()}_FILE",
        )


def open_service_channel(
    arguments: Namespace,
    settings_type: type[CommandSettings],
    idempotent_services: Sequence[str],
    name: str = "address",
) -> grpc.aio.Channel:
    """A channel to the address of that name as the flags say; raises `CommandError` when they
    cannot be followed."""
    address, flag = getattr(arguments, name), f"--{name.replace('_', '-')}"
    files = {
        name: path
        for name in ("tls_certificate_file", "tls_key_file", "tls_ca_file")
        if (path := getattr(arguments, name)) is not None
    }
    try:
        target = parse_target(address)
        settings = read_settings(settings_type, **files)
        if not settings.uses_tls and not target.is_loopback:
            raise CommandError("plain text is for loopback only: give the three TLS files")
        if settings.uses_tls and (problem := tls_problem(address)):
            raise CommandError(f"{flag}: {problem}")
        return open_channel(address, settings, idempotent_services=idempotent_services)
    except SettingsError as error:
        raise CommandError(str(error)) from error
    except ValueError as error:
        raise CommandError(f"{flag} {address} {error}") from error
    except OSError as error:
        raise of_file(error) from error

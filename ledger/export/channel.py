"""How the commands reach a ledger."""

from argparse import ArgumentParser, Namespace
from typing import ClassVar

import grpc
from pydantic_settings import SettingsConfigDict

from runtime import client_arguments
from runtime.client_arguments import CommandSettings, open_service_channel

IDEMPOTENT_SERVICES = ("ledger.v1.LedgerService", "ledger.v1.AuditService")
PREFIX = "LEDGER_CLIENT_"


class ClientSettings(CommandSettings):
    """Who the command is."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)
    service_name: ClassVar[str] = "ledger-client"


def add_connection_arguments(parser: ArgumentParser) -> None:
    """The flags that say where the ledger is, which it is, and who asks."""
    client_arguments.add_connection_arguments(parser, "ledger", PREFIX)
    parser.add_argument("--ledger", required=True, metavar="NAME", help="the ledger's name")


def open_ledger(arguments: Namespace) -> grpc.aio.Channel:
    """A channel as the flags say; raises `CommandError` when they cannot be followed."""
    return open_service_channel(arguments, ClientSettings, IDEMPOTENT_SERVICES)

"""Settings of the ledger service, read from `LEDGER_…` and the common variables."""

from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from runtime.config import ServiceSettings


class LedgerSettings(ServiceSettings):
    """What the ledger can be told beyond what every service can."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_")
    service_name: ClassVar[str] = "ledger"

    listen_address: str = "127.0.0.1:50051"
    http_address: str = "127.0.0.1:8081"
    # Ledgers that commit at the same moment; each commit needs one connection.
    commit_pool_size: int = Field(8, ge=1, le=100)

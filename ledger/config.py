"""Settings of the ledger service, read from `LEDGER_…` and the common variables."""

import os
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from ledger.rights import DEFAULT_CLIENT_ROLES, RIGHTS
from ledger.shard_settings import place_of, shards_of
from runtime.config import Environment, ServiceSettings
from runtime.production import database_problems, weakness
from runtime.rights import Rights
from runtime.signed_notes import SignerKey


class LedgerSettings(ServiceSettings):
    """The ledger's settings beyond those of every service."""

    model_config = SettingsConfigDict(env_prefix="LEDGER_")
    service_name: ClassVar[str] = "ledger"
    synchronous_in_production: ClassVar[bool] = True
    # Those of `ledger.export` and `ledger.load`, which are clients.
    other_variables: ClassVar[frozenset[str]] = frozenset(
        f"LEDGER_CLIENT_TLS_{name}_FILE" for name in ("CERTIFICATE", "KEY", "CA")
    )
    rights: ClassVar[Rights] = RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = DEFAULT_CLIENT_ROLES

    listen_address: str = "127.0.0.1:50051"
    http_address: str = "127.0.0.1:8081"
    # Ledgers that commit at the same moment; each commit needs one connection.
    commit_pool_size: int = Field(8, ge=1, le=100)
    # JSON {"NAME": {"database_url": …, "owner_database_url": …, "schema": …}}: the shards besides
    # the default one, which is `database_url`.
    shards: SecretStr | None = None
    # C2SP signer key that checkpoints are signed with; `python -m ledger.keys` makes one.
    signing_key: SecretStr | None = None
    # A ledger that grows gets a checkpoint about as often.
    seal_interval_ms: int = Field(1_000, ge=10, le=3_600_000)

    @field_validator("signing_key")
    @classmethod
    def _is_signer_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            SignerKey.parse(key.get_secret_value())
        return key

    @field_validator("shards")
    @classmethod
    def _are_shards(cls, given: SecretStr | None) -> SecretStr | None:
        shards_of(given)
        return given

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for shard in shards_of(self.shards):
            if self.database_url is None:
                yield "LEDGER_SHARDS needs LEDGER_DATABASE_URL, which is that of the default shard"
                break
            if shard.place == place_of(self.database_url.get_secret_value()):
                yield f"LEDGER_SHARDS: {shard.name} is where the default shard is"
        if self.signing_key is None and self.env is not Environment.SANDBOX:
            yield f"ENV={self.env} needs LEDGER_SIGNING_KEY or LEDGER_SIGNING_KEY_FILE"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        for shard in shards_of(self.shards):
            for shard_url in {shard.url, shard.owner_url or shard.url}:
                for problem in database_problems(
                    shard_url,
                    self.database_min_sslmode,
                    os.environ,
                    self.variable("database_min_sslmode"),
                ):
                    yield f"LEDGER_SHARDS: {shard.name}: {problem}"
        if self.signing_key is None:
            return
        if unfit := weakness(self.signing_key.get_secret_value()):
            yield f"LEDGER_SIGNING_KEY: {unfit}: make one with `python -m ledger.keys NAME`"

"""Settings of the reconciliation service."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from reconciliation.bank.accounts import BankAccountError, BankAccounts, read_bank_accounts
from reconciliation.bank.stores import Place, read_places
from reconciliation.matching.calendars import DEFAULT_CALENDAR, CalendarError, read_calendars
from reconciliation.matching.policy import Policy, read_policy
from reconciliation.rights import DEFAULT_CLIENT_ROLES, RIGHTS
from runtime.config import ServiceSettings
from runtime.rights import Rights


class ReconciliationSettings(ServiceSettings):
    """The settings of the reconciliation service, from `RECONCILIATION_*` variables."""

    model_config = SettingsConfigDict(
        env_prefix="RECONCILIATION_", extra="ignore", frozen=True, hide_input_in_errors=True
    )
    service_name: ClassVar[str] = "reconciliation"
    rights: ClassVar[Rights] = RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = DEFAULT_CLIENT_ROLES

    listen_address: str = "127.0.0.1:50054"
    http_address: str = "127.0.0.1:8084"
    # Where items come from; empty for nowhere, as where another process takes them.
    ledger_address: str = "127.0.0.1:50051"
    gateway_address: str = "127.0.0.1:50052"
    # The ledger that the gateway books in.
    ledger: str = "payments"
    # The calendars of corridors, as JSON: {"us": "FEDERAL_RESERVE"}. Others go by TARGET.
    calendars: dict[str, str] = Field(default_factory=dict)
    # The bank accounts whose statements are taken, in TOML; none without it.
    bank_accounts_file: Path | None = None
    # Where their files are put: a folder or an s3:// address with a sub-folder for each account by
    # its name, or JSON: {"my-account": "/srv/bank/my-account"}. Empty for nowhere.
    statement_folders: str = ""
    # Items that one transaction matches.
    match_batch_items: int = Field(20_000, ge=1, le=100_000)

    @field_validator("calendars")
    @classmethod
    def _are_known(cls, given: dict[str, str]) -> dict[str, str]:
        try:
            read_calendars(given)
        except CalendarError as error:
            raise ValueError(str(error)) from error
        return given

    @model_validator(mode="after")
    def _accounts_are_right(self) -> Self:
        try:
            _ = self.bank_accounts
        except BankAccountError as error:
            raise ValueError(f"bank_accounts_file: {error}") from error
        try:
            _ = self.statement_places
        except ValueError as error:
            raise ValueError(f"statement_folders: {error}") from error
        return self

    @cached_property
    def bank_accounts(self) -> BankAccounts:
        """The bank accounts by name, as the file had them at the start."""
        known = read_calendars().known
        return read_bank_accounts(self.bank_accounts_file, known, DEFAULT_CALENDAR)

    @property
    def statement_places(self) -> Mapping[str, Place]:
        """Where the files of accounts are put, by their names."""
        return read_places(self.statement_folders, self.bank_accounts)

    @property
    def policy(self) -> Policy:
        """How long what is missing may be missing."""
        return read_policy(read_calendars(self.calendars))

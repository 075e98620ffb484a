"""Settings of the reconciliation service."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from reconciliation.bank.accounts import BankAccountError, BankAccounts, read_bank_accounts
from reconciliation.bank.stores import Place, read_places
from reconciliation.fees.schedule import FeeSchedule, read_schedule
from reconciliation.finance_policy import BUNDLED_FINANCE, FinancePolicy, read_finance
from reconciliation.matching.book_days import BookDays, read_book_days
from reconciliation.matching.calendars import DEFAULT_CALENDAR, CalendarError, read_calendars
from reconciliation.matching.policy import Policy, read_policy
from reconciliation.rights import DEFAULT_CLIENT_ROLES, RIGHTS
from runtime.addresses import is_loopback
from runtime.config import Environment
from runtime.mail_settings import MailSettings, mail_address
from runtime.production import is_plain_http, weakness
from runtime.rights import Rights
from runtime.service_target import check_target
from runtime.signed_notes import SignerKey
from runtime.webhook_sending import url_problem
from runtime.webhooks import secret_problem


class ReconciliationSettings(MailSettings):
    """The settings of the reconciliation service, from `RECONCILIATION_*` variables."""

    model_config = SettingsConfigDict(
        env_prefix="RECONCILIATION_", extra="ignore", frozen=True, hide_input_in_errors=True
    )
    service_name: ClassVar[str] = "reconciliation"
    rights: ClassVar[Rights] = RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = DEFAULT_CLIENT_ROLES
    service_addresses: ClassVar[tuple[str, ...]] = ("ledger_address", "gateway_address")

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

    # Time zones of corridors whose book days are not UTC's, as JSON: {"au": "Australia/Sydney"}.
    book_day_zones: dict[str, str] = Field(default_factory=dict)
    # What Stripe's fees should be by the contract with it, in TOML; they are not compared without.
    fee_schedule_file: Path | None = None
    # What finance goes by when it closes periods, instead of what comes along.
    finance_file: Path = BUNDLED_FINANCE
    # C2SP signer key that statements of closed periods are signed with; `python -m
    # reconciliation.keys` makes one.
    signing_key: SecretStr | None = None

    # Where what happens to breaks is posted to, and the secret (whsec_…) that it is signed with.
    alert_webhook_url: str | None = None
    alert_webhook_secret: SecretStr | None = None
    # Whom e-mails about breaks are from, and who gets them.
    alert_mail_sender: str | None = None
    alert_mail_recipient: str | None = None

    @field_validator("ledger_address", "gateway_address")
    @classmethod
    def _service_address(cls, address: str) -> str:
        return check_target(address) if address else address

    @field_validator("alert_webhook_url")
    @classmethod
    def _can_be_posted_to(cls, url: str | None) -> str | None:
        if url and (problem := url_problem(url)):
            raise ValueError(problem)
        return url or None

    @field_validator("alert_mail_sender", "alert_mail_recipient")
    @classmethod
    def _can_be_written_to(cls, address: str | None) -> str | None:
        return mail_address(address)

    @field_validator("signing_key")
    @classmethod
    def _is_signer_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            SignerKey.parse(key.get_secret_value())
        return key

    @field_validator("book_day_zones")
    @classmethod
    def _zones_are_known(cls, given: dict[str, str]) -> dict[str, str]:
        read_book_days(given)
        return given

    @field_validator("finance_file")
    @classmethod
    def _can_be_gone_by(cls, path: Path) -> Path:
        read_finance(path)
        return path

    @field_validator("fee_schedule_file")
    @classmethod
    def _can_be_compared_with(cls, path: Path | None) -> Path | None:
        read_schedule(path)
        return path

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

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.signing_key is None and self.env is not Environment.SANDBOX:
            yield (
                f"ENV={self.env} needs RECONCILIATION_SIGNING_KEY or"
                " RECONCILIATION_SIGNING_KEY_FILE"
            )

        secret = self.alert_webhook_secret
        if bool(self.alert_webhook_url) != bool(secret):
            yield (
                "RECONCILIATION_ALERT_WEBHOOK_URL and RECONCILIATION_ALERT_WEBHOOK_SECRET:"
                " one needs the other"
            )
        if secret is not None and (problem := secret_problem(secret.get_secret_value())):
            yield f"RECONCILIATION_ALERT_WEBHOOK_SECRET: {problem}"
        if self.smtp_address:
            for name in ("alert_mail_sender", "alert_mail_recipient"):
                if not getattr(self, name):
                    yield f"{self.variable(name)}: is needed with RECONCILIATION_SMTP_ADDRESS"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        url = self.alert_webhook_url
        if url and is_plain_http(url) and not is_loopback(urlsplit(url).netloc):
            yield "RECONCILIATION_ALERT_WEBHOOK_URL: breaks could be read on the way: say https://"
        if self.signing_key is None:
            return
        if problem := weakness(self.signing_key.get_secret_value()):
            yield (
                f"RECONCILIATION_SIGNING_KEY: {problem}:"
                " make one with `python -m reconciliation.keys NAME`"
            )

    @property
    def book_days(self) -> BookDays:
        """The days that things are booked on."""
        return read_book_days(self.book_day_zones)

    @property
    def finance(self) -> FinancePolicy:
        """What finance goes by."""
        return read_finance(self.finance_file)

    @cached_property
    def fee_schedule(self) -> FeeSchedule:
        """What Stripe's fees should be, as the file had it at the start."""
        return read_schedule(self.fee_schedule_file)

    @property
    def policy(self) -> Policy:
        """How long what is missing may be missing."""
        return read_policy(read_calendars(self.calendars))

"""Settings of the compliance service."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from compliance.documents.document import LONGEST_KEPT
from compliance.rights import DEFAULT_CLIENT_ROLES, RIGHTS
from money.currencies import CURRENCIES
from runtime.addresses import is_loopback, split_address
from runtime.config import Environment
from runtime.mail_settings import MailSettings, mail_address
from runtime.page_url import problem_with_page_url
from runtime.production import is_plain_http, weakness
from runtime.rights import Rights
from runtime.sealing import Sealer, keys_of
from runtime.service_target import check_target

BUNDLED_SDN_FILE = Path(__file__).parent / "data" / "sdn" / "sdn.csv"


class ComplianceSettings(MailSettings):
    """The settings of the compliance service, from `COMPLIANCE_*` variables."""

    model_config = SettingsConfigDict(
        env_prefix="COMPLIANCE_", extra="ignore", frozen=True, hide_input_in_errors=True
    )
    service_name: ClassVar[str] = "compliance"
    rights: ClassVar[Rights] = RIGHTS
    default_client_roles: ClassVar[Mapping[str, str]] = DEFAULT_CLIENT_ROLES
    service_addresses: ClassVar[tuple[str, ...]] = ("gateway_address",)

    listen_address: str = "127.0.0.1:50053"
    http_address: str = "127.0.0.1:8083"
    # Where connected accounts are asked about; without it, none can be fetched.
    gateway_address: str | None = "127.0.0.1:50052"
    # OFAC's sdn.csv with alt.csv and add.csv beside it, or its advanced XML. The sandbox has a
    # synthetic list.
    sdn_file: Path | None = None
    # OFAC's cons_prim.csv with cons_alt.csv and cons_add.csv beside it, or its advanced XML.
    ofac_consolidated_file: Path | None = None
    # The Security Council's consolidated list in XML, the EU's and the UK's in CSV.
    un_consolidated_file: Path | None = None
    eu_consolidated_file: Path | None = None
    uk_sanctions_file: Path | None = None
    # How long a check may wait for the gateway when a snapshot is too old.
    snapshot_timeout_seconds: float = Field(2.0, gt=0, le=30)
    # How often the lists' sources are read and outdated screenings and snapshots looked for.
    list_interval_seconds: float = Field(300.0, gt=0)
    # How long the process that builds a list's index may take, and each page that it screens.
    list_build_timeout_seconds: float = Field(120.0, gt=0, le=3600)
    screening_interval_seconds: float = Field(2.0, gt=0)
    snapshot_interval_seconds: float = Field(30.0, gt=0)
    # How often forecasts are looked at when no snapshot has changed.
    forecast_interval_seconds: float = Field(60.0, gt=0)
    # Volumes from which Stripe asks for more, besides those that it has published.
    volume_thresholds_file: Path | None = None
    # How long a case may be open before it expires, which refuses what it is about: longer than the
    # gateway waits for one (GATEWAY_REVIEW_HOURS). By when people are to have decided it.
    case_hours: float = Field(96.0, gt=0, le=24 * 60)
    # How long one may be open that nobody asks about any more: the payment was canceled, say.
    case_idle_hours: float = Field(6.0, gt=0, le=24 * 60)
    case_target_hours: float = Field(8.0, gt=0, le=24 * 60)
    # The largest amounts in minor units that one person may approve, as JSON: {"EUR": 5000000}. Of
    # other currencies five times the policy's review limit; always two people where it has none.
    four_eyes_over: dict[str, int] = Field(default_factory=dict)
    # How often expired cases are looked for, and whether open ones still have their cause.
    case_interval_seconds: float = Field(10.0, gt=0)

    # How often notices are looked at, and tried to send, when nothing has changed.
    notice_interval_seconds: float = Field(60.0, gt=0)
    # Whom notices are from, who gets those of merchants without an address, and the page of the
    # operator's where a merchant signs in to hand something in.
    notice_sender: str | None = None
    notice_operator_address: str | None = None
    notice_page_url: str | None = None

    # Comma separated keys, base 64 of 32 bytes each: documents are encrypted at rest with the
    # first, and read with any. Without one, none is taken.
    document_keys: SecretStr | None = None
    # host:port of ClamAV's daemon, which looks at each document; whether documents may go on
    # without it in production.
    clamd_address: str | None = None
    documents_unscanned: bool = False
    # How long the content of a document is kept once Stripe has decided about it.
    document_retention_days: float = Field(7.0, ge=0, le=LONGEST_KEPT.days)
    # How often it is looked what has become of documents.
    document_interval_seconds: float = Field(30.0, gt=0)

    @field_validator("document_keys")
    @classmethod
    def _keys_are_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None:
            keys_of(keys.get_secret_value())
        return keys

    @field_validator("clamd_address")
    @classmethod
    def _peer_host_and_port(cls, address: str | None) -> str | None:
        if address:
            split_address(address)
        return address or None

    @field_validator("notice_sender", "notice_operator_address")
    @classmethod
    def _can_be_written_to(cls, address: str | None) -> str | None:
        return mail_address(address)

    @field_validator("notice_page_url")
    @classmethod
    def _can_be_opened(cls, url: str | None) -> str | None:
        if url and (problem := problem_with_page_url(url)):
            raise ValueError(problem)
        return url or None

    @field_validator("gateway_address")
    @classmethod
    def _gateway_target(cls, address: str | None) -> str | None:
        return check_target(address) if address else None

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not self.list_files:
            yield f"ENV={self.env} needs a sanctions list: COMPLIANCE_SDN_FILE or another"
        if not self.smtp_address:
            return
        for name in ("notice_sender", "notice_operator_address", "notice_page_url"):
            if not getattr(self, name):
                yield f"{self.variable(name)}: is needed with COMPLIANCE_SMTP_ADDRESS"

    def production_problems(self) -> Iterator[str]:
        yield from super().production_problems()
        if self.notice_page_url and is_plain_http(self.notice_page_url):
            yield "COMPLIANCE_NOTICE_PAGE_URL: merchants sign in there: say https://"
        if self.document_keys is not None:
            for key in self.document_keys.get_secret_value().split(","):
                if problem := weakness(key.strip()):
                    variable = self.variable("document_keys")
                    yield f"{variable}: a key {problem}: make one with `openssl rand -base64 32`"
        if self.clamd_address and not is_loopback(self.clamd_address):
            yield (
                "COMPLIANCE_CLAMD_ADDRESS: clamd knows no TLS, and documents would be read on the"
                " way: run it beside the service, on loopback"
            )
        # Synthetic names protect nobody; the compose file goes by them.
        if self.sdn_file is not None and self.sdn_file.resolve() == BUNDLED_SDN_FILE.resolve():
            yield "COMPLIANCE_SDN_FILE: is the sandbox's list of made-up names: get OFAC's sdn.csv"

    @property
    def document_sealer(self) -> Sealer:
        """What documents are kept with."""
        keys = self.document_keys
        return Sealer(keys_of(keys.get_secret_value()) if keys is not None else [])

    @property
    def may_go_unscanned(self) -> bool:
        """Whether documents go on where there is no scanner."""
        return self.documents_unscanned or self.env is not Environment.PRODUCTION

    @property
    def setting_that_documents_need(self) -> str:
        """The variable without which no document is taken; empty if there are all."""
        if self.document_keys is None:
            return self.variable("document_keys")
        if not self.gateway_address:
            return self.variable("gateway_address")
        if not self.clamd_address and not self.may_go_unscanned:
            return self.variable("clamd_address")
        return ""

    @property
    def case_open_for(self) -> timedelta:
        """How long a case may be open."""
        return timedelta(hours=self.case_hours)

    @property
    def case_idle_for(self) -> timedelta:
        """How long a case may be open that nobody asks about."""
        return timedelta(hours=self.case_idle_hours)

    @property
    def case_target(self) -> timedelta:
        """How long people are to take for a case."""
        return timedelta(hours=self.case_target_hours)

    @field_validator("four_eyes_over")
    @classmethod
    def _currencies_and_amounts(cls, given: dict[str, int]) -> dict[str, int]:
        for code, amount in given.items():
            if code not in CURRENCIES:
                raise ValueError(f"{code[:8]} is no ISO 4217 currency")
            if amount < 0:
                raise ValueError(f"the amount of {code} is negative")
        return given

    @property
    def list_files(self) -> dict[str, Path]:
        """The files to load, by list. The sandbox's synthetic list stands for an SDN list."""
        sdn = self.sdn_file or (BUNDLED_SDN_FILE if self.env is Environment.SANDBOX else None)
        files = {
            "OFAC_SDN": sdn,
            "OFAC_CONSOLIDATED": self.ofac_consolidated_file,
            "UN_CONSOLIDATED": self.un_consolidated_file,
            "EU_CONSOLIDATED": self.eu_consolidated_file,
            "UK": self.uk_sanctions_file,
        }
        return {name: file for name, file in files.items() if file is not None}

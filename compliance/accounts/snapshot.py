"""What Stripe said of a connected account, without anything that names a person."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from compliance.accounts.persons import Person
from compliance.accounts.requirements import Requirement
from compliance.checks.canonical import dumps
from compliance.checks.facts import (
    AccountFacts,
    CapabilityFacts,
    ExternalAccountFacts,
    RequirementFacts,
    TaxIdFacts,
)


@dataclass(frozen=True)
class Capability:
    """One thing that the account asks to do; `state` is Stripe's word in upper case."""

    name: str
    state: str
    requested: bool
    disabled_reason: str


@dataclass(frozen=True)
class ExternalAccount:
    """A bank account or debit card that payouts go to; `kind` and `state` are Stripe's words, the
    latter in upper case."""

    external_account_id: str
    kind: str
    currency_code: str
    state: str
    is_default: bool

    def to_facts(self) -> ExternalAccountFacts:
        """What the rules need."""
        return ExternalAccountFacts(
            self.external_account_id, self.currency_code, self.state, self.is_default
        )


@dataclass(frozen=True)
class TaxId:
    """A tax id with its value masked; words are those of the contract's enums."""

    type: str
    masked_value: str
    country_code: str
    verification: str
    format: str
    name_agrees: bool


@dataclass(frozen=True)
class TaxRegistration:
    """Where tax is collected, from when, and until when; what Stripe says of it now is not kept."""

    country_code: str
    region: str
    kind: str
    active_from_time: datetime
    expire_time: datetime | None

    def state(self, as_of: datetime) -> str:
        """`SCHEDULED`, `ACTIVE` from its start on, `EXPIRED` from its end on."""
        if self.expire_time is not None and self.expire_time <= as_of:
            return "EXPIRED"
        return "ACTIVE" if self.active_from_time <= as_of else "SCHEDULED"


@dataclass(frozen=True)
class AccountContent:
    """Everything that can change; equal contents have equal hashes."""

    charges_enabled: bool
    payouts_enabled: bool
    details_submitted: bool
    disabled_reason: str
    country_code: str
    external_account_errored: bool
    capabilities: tuple[Capability, ...]
    requirements: tuple[Requirement, ...]
    tax_settings_state: str
    tax_missing_fields: tuple[str, ...]
    tax_ids: tuple[TaxId, ...]
    # Contents of earlier releases have none of these.
    tax_registrations: tuple[TaxRegistration, ...] = ()
    persons: tuple[Person, ...] = ()
    # Stripe does not show them to the platform.
    persons_withheld: bool = False
    external_accounts: tuple[ExternalAccount, ...] = ()
    # There is more of the account than this, requirements perhaps among it.
    truncated: bool = False

    @property
    def content_hash(self) -> str:
        """SHA-256 in hex over the canonical JSON."""
        return hashlib.sha256(dumps(self).encode()).hexdigest()


@dataclass(frozen=True)
class AccountSnapshot:
    """A content and when it was last seen to hold."""

    connected_account_id: str
    corridor: str
    gateway_merchant_id: str
    content: AccountContent
    fetch_time: datetime

    def to_facts(self, content_hash: str) -> AccountFacts:
        """What the rules need; the hash is the content's, which is stored beside it."""
        content = self.content
        return AccountFacts(
            corridor=self.corridor,
            connected_account_id=self.connected_account_id,
            charges_enabled=content.charges_enabled,
            payouts_enabled=content.payouts_enabled,
            disabled_reason=content.disabled_reason,
            external_account_errored=content.external_account_errored,
            capabilities=tuple(
                CapabilityFacts(item.name, item.state, item.disabled_reason)
                for item in content.capabilities
            ),
            requirements=tuple(
                RequirementFacts(
                    item.field, item.severity, item.deadline_time, item.capabilities, item.future
                )
                for item in content.requirements
            ),
            tax_settings_state=content.tax_settings_state,
            tax_ids=tuple(
                TaxIdFacts(item.verification, item.format, item.name_agrees)
                for item in content.tax_ids
            ),
            content_hash=content_hash,
            fetch_time=self.fetch_time,
            external_accounts=tuple(item.to_facts() for item in content.external_accounts),
        )

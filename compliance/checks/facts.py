"""What a check goes by, frozen: no name of a person, no clock, no database.

Facts are stored with each decision, so that the same rules can be run over them again. A subject
is named by its id only.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from compliance.checks.canonical import WrittenOften
from compliance.checks.history import HistoryFacts
from compliance.checks.identity import VerificationFacts
from compliance.checks.rates import RateFacts
from compliance.checks.rulings import Movement, Participant, RulingFacts


class CheckKind(StrEnum):
    """What is checked."""

    PAYMENT = "PAYMENT"
    TRANSFER = "TRANSFER"
    PAYOUT = "PAYOUT"


class Role(StrEnum):
    """The part that a subject plays in a check."""

    MERCHANT = "MERCHANT"
    OWNER = "OWNER"
    CUSTOMER = "CUSTOMER"


@dataclass(frozen=True)
class ScreeningFacts:
    """Against which list version a subject's profile was screened, and when.

    `is_comparable` is False if a name left nothing to compare; decisions of before that was looked
    at do not say.
    """

    list: str
    list_version: int
    profile_revision: int
    screen_time: datetime
    is_comparable: bool = True


@dataclass(frozen=True)
class SubjectFacts(WrittenOften):
    """A subject as stored; `kind` is what it is, `role` is what it is asked for as."""

    subject_id: str
    role: Role
    kind: str
    parent_subject_id: str
    state: str
    kyc_state: str
    kyc_expire_time: datetime | None
    country_code: str
    corridor: str
    connected_account_id: str
    revision: int
    profile_revision: int
    update_time: datetime
    screenings: tuple[ScreeningFacts, ...]
    open_match_ids: tuple[str, ...]
    confirmed_match_ids: tuple[str, ...]
    # By Stripe Identity: of each type the newest that counts, and the last attempt.
    verifications: tuple[VerificationFacts, ...] = ()


@dataclass(frozen=True)
class RequirementFacts:
    """One thing Stripe wants; `severity` is a RequirementState of the contract, 1 to 4."""

    field: str
    severity: int
    deadline_time: datetime | None
    capabilities: tuple[str, ...]
    future: bool


@dataclass(frozen=True)
class CapabilityFacts:
    """One thing a connected account asks to do; `state` is Stripe's word."""

    name: str
    state: str
    disabled_reason: str


@dataclass(frozen=True)
class ExternalAccountFacts:
    """A bank account or debit card that payouts go to; `state` is Stripe's word in upper case."""

    external_account_id: str
    currency_code: str
    state: str
    is_default: bool


@dataclass(frozen=True)
class TaxIdFacts:
    """One tax id without its value; the words are those of the contract's enums."""

    verification: str
    format: str
    name_agrees: bool


@dataclass(frozen=True)
class AccountFacts(WrittenOften):
    """A connected account as the gateway last saw it at Stripe."""

    corridor: str
    connected_account_id: str
    charges_enabled: bool
    payouts_enabled: bool
    disabled_reason: str
    external_account_errored: bool
    capabilities: tuple[CapabilityFacts, ...]
    requirements: tuple[RequirementFacts, ...]
    tax_settings_state: str
    tax_ids: tuple[TaxIdFacts, ...]
    content_hash: str
    fetch_time: datetime
    # Records and snapshots of before say only whether any is errored.
    external_accounts: tuple[ExternalAccountFacts, ...] = ()


@dataclass(frozen=True)
class ListFacts(WrittenOften):
    """A required sanctions list; version 0 and no time: none was ever loaded."""

    list: str
    version: int
    confirm_time: datetime | None


@dataclass(frozen=True)
class CheckFacts:
    """Everything that the rules may use. Amounts are minor units of the currency."""

    kind: CheckKind
    merchant_id: str
    customer_id: str
    currency_code: str
    amount_minor: int
    corridor: str
    connected_account_id: str
    country_codes: tuple[str, ...]
    merchant: SubjectFacts | None
    owners: tuple[SubjectFacts, ...]
    # True if there are more owners than a check can cover.
    owners_truncated: bool
    customer: SubjectFacts | None
    account: AccountFacts | None
    lists: tuple[ListFacts, ...]
    as_of: datetime
    # Stripe's name of the payment method ("sepa_debit"); empty for a card, and in old records.
    payment_method_type: str = ""
    # The payment's, transfer's or payout's id; records of before there were cases do not say.
    reference_id: str = ""
    # What people decided last about this reference.
    ruling: RulingFacts | None = None
    # Of a payment's customer, merchant and card, where they are known; rules before 3 had none.
    history: tuple[HistoryFacts, ...] = ()
    # Stripe's fingerprint of the card, where the caller knows it.
    card_fingerprint: str = ""
    # What became of the merchant's payments; None while nothing is known, and before rules 4.
    rates: RateFacts | None = None

    @property
    def movement(self) -> Movement:
        """What is asked for."""
        return Movement(
            kind=self.kind.value,
            reference_id=self.reference_id,
            merchant_id=self.merchant_id,
            customer_id=self.customer_id,
            currency_code=self.currency_code,
            amount_minor=self.amount_minor,
            connected_account_id=self.connected_account_id,
            country_codes=self.country_codes,
            payment_method_type=self.payment_method_type,
            card_fingerprint=self.card_fingerprint,
        )

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Who takes part, as they are now."""
        return tuple(
            Participant(subject.subject_id, subject.role.value, subject.profile_revision)
            for subject in self.subjects
        )

    @property
    def expected_account_id(self) -> str:
        """The connected account that evidence is needed of; empty where there is none."""
        if self.connected_account_id:
            return self.connected_account_id
        return self.merchant.connected_account_id if self.merchant else ""

    @property
    def subjects(self) -> tuple[SubjectFacts, ...]:
        """The subjects that were found: merchant, owners, customer."""
        merchant = (self.merchant,) if self.merchant else ()
        customer = (self.customer,) if self.customer else ()
        return (*merchant, *self.owners, *customer)

"""What a test overrides that no API call could: a card's answer, a balance, an account's state."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.stripe_twin.accounts import TwinAccount, v2_reference
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.cards import DECLINES
from sandbox.stripe_twin.deadlines import follow_deadlines
from sandbox.stripe_twin.external_accounts import external_account_list
from sandbox.stripe_twin.requirements import empty_requirements
from sandbox.stripe_twin.store import JsonObject
from sandbox.stripe_twin.test_accounts import FAILURES


class BalanceEntry(BaseModel):
    """A balance transaction that no API call causes, of any type, known to Stripe or not.

    `amount` is positive for money that comes; `net` will be `amount` minus `fee`. Without a
    `balance_type` it counts in the balance of payments.
    """

    model_config = ConfigDict(extra="forbid")

    type: str = Field(min_length=1, max_length=100)
    amount: int
    currency: str = Field(default="usd", pattern="^[a-z]{3}$")
    fee: int = 0
    description: str | None = None
    source: str | None = None
    reporting_category: str | None = None
    available_at_once: bool = True
    balance_type: Literal[
        "payments", "issuing", "refund_and_dispute_prefunding", "risk_reserved"
    ] = "payments"


class CardOverride(BaseModel):
    """How a card answers from now on: with a decline code of `cards.DECLINES`, or None as new; of a
    bank account with a failure code of `test_accounts.FAILURES`.

    `times` is how often it declines before it is as new; None for good.
    """

    model_config = ConfigDict(extra="forbid")

    decline: str | None
    times: int | None = Field(default=None, ge=1)


def record_entry(account: TwinAccount, entry: BalanceEntry) -> JsonObject:
    """Books the entry."""
    fees = (FeePart(entry.fee, "stripe_fee", entry.description or entry.type),)
    return account.books.record(
        kind=entry.type,
        source=entry.source,
        amount=entry.amount,
        currency=entry.currency,
        now=account.now(),
        description=entry.description,
        fees=fees if entry.fee else (),
        available_at_once=entry.available_at_once,
        reporting_category=entry.reporting_category,
        balance_type=entry.balance_type,
    )


def override_card(account: TwinAccount, method: JsonObject, override: CardOverride) -> None:
    """Makes a card decline, or as it was. Raises ValueError for an unknown decline code."""
    state = account.cards[method["id"]]
    declines = DECLINES if method["type"] == "card" else FAILURES
    if override.decline is not None and override.decline not in declines:
        raise ValueError(f"no decline {override.decline}; there are {', '.join(sorted(declines))}")
    state.decline_override = None if override.decline is None else declines[override.decline]
    state.declines_left = override.times


class RequirementAlternative(BaseModel):
    """Fields that may be given instead of others."""

    model_config = ConfigDict(extra="forbid")

    alternative_fields_due: list[str]
    original_fields_due: list[str]


class RequirementError(BaseModel):
    """Why a field that was given does not do."""

    model_config = ConfigDict(extra="forbid")

    code: str
    reason: str
    requirement: str


class Requirements(BaseModel):
    """The whole of `requirements` or `future_requirements`; what is not given is empty."""

    model_config = ConfigDict(extra="forbid")

    alternatives: list[RequirementAlternative] = []
    current_deadline: int | None = None
    currently_due: list[str] = []
    disabled_reason: str | None = None
    errors: list[RequirementError] = []
    eventually_due: list[str] = []
    past_due: list[str] = []
    pending_verification: list[str] = []


class PersonRequirements(BaseModel):
    """The same of a person, whose deadline is the account's."""

    model_config = ConfigDict(extra="forbid")

    alternatives: list[RequirementAlternative] = []
    currently_due: list[str] = []
    errors: list[RequirementError] = []
    eventually_due: list[str] = []
    past_due: list[str] = []
    pending_verification: list[str] = []


class PersonState(BaseModel):
    """The body of POST /_twin/persons/{id}; what is not given stays.

    `details_code` says why the person was not verified, `document_details_code` why the document
    was not.
    """

    model_config = ConfigDict(extra="forbid")

    requirements: PersonRequirements | None = None
    future_requirements: PersonRequirements | None = None
    status: Literal["unverified", "pending", "verified"] | None = None
    details_code: str | None = None
    document_details_code: str | None = None


def override_person(connected: TwinAccount, person: JsonObject, state: PersonState) -> JsonObject:
    """Sets the state and announces it by `person.updated`; the account keeps what it says."""
    connected.overridden = True
    before = {**person}
    for name in ("requirements", "future_requirements"):
        given: PersonRequirements | None = getattr(state, name)
        if given is not None:
            person[name] = given.model_dump()
    verification = {**person["verification"]}
    if state.status is not None:
        verification["status"] = state.status
    if state.details_code is not None:
        verification["details_code"] = state.details_code
    if state.document_details_code is not None:
        document = {**verification["document"], "details_code": state.document_details_code}
        verification["document"] = document
    person["verification"] = verification
    previous = {name: value for name, value in before.items() if person[name] != value}
    connected.emit("person.updated", person, previous=previous)
    if connected.v2_details:
        related = v2_reference(connected.account_id, person["id"])
        connected.announce_v2("v2.core.account_person.updated", related)
    return person


class CapabilityState(BaseModel):
    """A capability; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "inactive", "pending", "unrequested"] | None = None
    requirements: Requirements | None = None
    future_requirements: Requirements | None = None


ExternalAccountStatus = Literal[
    "new",
    "validated",
    "verified",
    "verification_failed",
    "errored",
    "tokenized_account_number_deactivated",
]


class ExternalAccountRequirements(BaseModel):
    """What is wanted for a bank account; nothing is only eventually due there."""

    model_config = ConfigDict(extra="forbid")

    currently_due: list[str] = []
    errors: list[RequirementError] = []
    past_due: list[str] = []
    pending_verification: list[str] = []


class ExternalAccountState(BaseModel):
    """The body of POST /_twin/external_accounts/{id}; what is not given stays.

    Debit cards have no requirements.
    """

    model_config = ConfigDict(extra="forbid")

    status: ExternalAccountStatus | None = None
    requirements: ExternalAccountRequirements | None = None
    future_requirements: ExternalAccountRequirements | None = None


def override_external_account(
    connected: TwinAccount, external: JsonObject, state: ExternalAccountState
) -> JsonObject:
    """Sets the state and announces it by `account.external_account.updated`.

    Raises ValueError for requirements of a card.
    """
    given = state.model_dump(exclude_none=True)
    unknown = given.keys() - external.keys()
    if unknown:
        raise ValueError(f"a {external['object']} has no {', '.join(sorted(unknown))}")
    previous = {name: external[name] for name in given if external[name] != given[name]}
    external.update(given)
    connected.emit("account.external_account.updated", external, previous=previous)
    return external


class AccountState(BaseModel):
    """The body of POST /_twin/accounts/{id}; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    charges_enabled: bool | None = None
    payouts_enabled: bool | None = None
    details_submitted: bool | None = None
    requirements: Requirements | None = None
    future_requirements: Requirements | None = None
    capabilities: dict[str, CapabilityState] = {}
    external_account_status: ExternalAccountStatus | None = None
    persons_withheld: bool | None = None


def override_account(connected: TwinAccount, item: JsonObject, state: AccountState) -> JsonObject:
    """Sets the state and announces it by `account.updated` and `capability.updated`.

    What is wanted by a deadline ahead stops the account then, unless it is taken back before.
    """
    connected.overridden = True
    before = {**item, "external_accounts": external_account_list(connected)}
    for name in ("charges_enabled", "payouts_enabled", "details_submitted"):
        value = getattr(state, name)
        if value is not None:
            item[name] = value
    for name in ("requirements", "future_requirements"):
        given: Requirements | None = getattr(state, name)
        if given is not None:
            item[name] = given.model_dump()
    changed = [
        _override_capability(connected, name, override)
        for name, override in state.capabilities.items()
    ]
    item["capabilities"] = {
        capability["id"]: capability["status"]
        for capability in connected.objects("capability")
        if capability["status"] != "unrequested"
    }
    if state.persons_withheld is not None:
        connected.persons_withheld = state.persons_withheld
    if state.external_account_status is not None:
        for bank_account in connected.objects("bank_account"):
            bank_account["status"] = state.external_account_status
            connected.emit("account.external_account.updated", bank_account)
    after = {**item, "external_accounts": external_account_list(connected)}
    previous = {name: value for name, value in before.items() if after[name] != value}
    connected.emit("account.updated", after, previous=previous)
    for capability, old in changed:
        connected.emit("capability.updated", capability, previous=old)
    if connected.v2_details:
        for name in ("requirements", "future_requirements"):
            if name in previous or any(name in old for _, old in changed):
                connected.announce_v2(f"v2.core.account[{name}].updated", v2_reference(item["id"]))
    follow_deadlines(connected, item)
    return after


def _override_capability(
    connected: TwinAccount, name: str, override: CapabilityState
) -> tuple[JsonObject, JsonObject]:
    capability = connected.objects("capability").find(name)
    if capability is None:
        capability = connected.objects("capability").add(
            {
                "id": name,
                "object": "capability",
                "account": connected.account_id,
                "future_requirements": empty_requirements(),
                "requested": True,
                "requested_at": connected.now(),
                "requirements": empty_requirements(),
                "status": "pending",
            }
        )
    given: dict[str, Any] = override.model_dump(exclude_none=True, exclude_defaults=False)
    for part in ("requirements", "future_requirements"):
        full: Requirements | None = getattr(override, part)
        if full is not None:
            given[part] = full.model_dump()
    old = {key: capability[key] for key in given if capability[key] != given[key]}
    capability.update(given)
    return capability, old

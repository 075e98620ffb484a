"""What a test sets about a connected account instead of what the twin would work out.

From then on the twin leaves the account's requirements alone.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.external_accounts import external_account_list
from sandbox.stripe_twin.requirements import empty_requirements
from sandbox.stripe_twin.store import JsonObject


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


class CapabilityState(BaseModel):
    """A capability; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "inactive", "pending", "unrequested"] | None = None
    requirements: Requirements | None = None
    future_requirements: Requirements | None = None


class AccountState(BaseModel):
    """The body of POST /_twin/accounts/{id}; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    charges_enabled: bool | None = None
    payouts_enabled: bool | None = None
    details_submitted: bool | None = None
    requirements: Requirements | None = None
    future_requirements: Requirements | None = None
    capabilities: dict[str, CapabilityState] = {}
    external_account_status: (
        Literal["new", "validated", "verified", "verification_failed", "errored"] | None
    ) = None


def steer(connected: TwinAccount, item: JsonObject, state: AccountState) -> JsonObject:
    """Sets the state, tells it by `account.updated` and `capability.updated`; the account."""
    connected.steered = True
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
        _steer_capability(connected, name, wish) for name, wish in state.capabilities.items()
    ]
    item["capabilities"] = {
        capability["id"]: capability["status"]
        for capability in connected.objects("capability")
        if capability["status"] != "unrequested"
    }
    if state.external_account_status is not None:
        for bank_account in connected.objects("bank_account"):
            bank_account["status"] = state.external_account_status
            connected.emit("account.external_account.updated", bank_account)
    after = {**item, "external_accounts": external_account_list(connected)}
    previous = {name: value for name, value in before.items() if after[name] != value}
    connected.emit("account.updated", after, previous=previous)
    for capability, old in changed:
        connected.emit("capability.updated", capability, previous=old)
    return after


def _steer_capability(
    connected: TwinAccount, name: str, wish: CapabilityState
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
    given: dict[str, Any] = wish.model_dump(exclude_none=True, exclude_defaults=False)
    for part in ("requirements", "future_requirements"):
        full: Requirements | None = getattr(wish, part)
        if full is not None:
            given[part] = full.model_dump()
    old = {key: capability[key] for key in given if capability[key] != given[key]}
    capability.update(given)
    return capability, old

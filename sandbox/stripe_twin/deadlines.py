"""What happens at a requirement's deadline: what is not handed in *and* verified by then stops.

Stripe moves what is due to `past_due` and disables the account or the capability; future
requirements become requirements, possibly past due at once, as they are here. Stripe often lets an
account go on for days; a test that wants that sets a later deadline.
https://docs.stripe.com/api/accounts/object#account_object-requirements-current_deadline
https://docs.stripe.com/api/accounts/object#account_object-future_requirements-current_deadline
"""

from collections.abc import Iterator
from functools import partial

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.external_accounts import external_account_list
from sandbox.stripe_twin.requirements import empty_requirements
from sandbox.stripe_twin.store import JsonObject

_PARTS = ("requirements", "future_requirements")
_LISTS = ("alternatives", "currently_due", "errors", "eventually_due", "pending_verification")


def follow_deadlines(connected: TwinAccount, account: JsonObject) -> None:
    """Waits for the deadlines that lie ahead, of the account and its capabilities.

    One that has passed already is left as a test has set it.
    """
    now = connected.now()
    for deadline in sorted({found for found in _deadlines(connected, account) if found > now}):
        connected.shared.clock.after(
            deadline - connected.shared.clock.time(),
            partial(_pass, connected, account, deadline),
        )


def _deadlines(connected: TwinAccount, account: JsonObject) -> Iterator[int]:
    for owner in (account, *connected.objects("capability")):
        for part in _PARTS:
            if owner[part]["current_deadline"] is not None:
                yield owner[part]["current_deadline"]


def _pass(connected: TwinAccount, account: JsonObject, deadline: int) -> None:
    before = {**account, "external_accounts": external_account_list(connected)}
    changed: list[tuple[JsonObject, JsonObject]] = []
    for capability in connected.objects("capability"):
        old = {**capability}
        if _is_missed(capability, deadline):
            capability["status"] = "inactive"
            capability["requirements"]["disabled_reason"] = "requirements.fields_needed"
            changed.append((capability, old))
            if capability["id"].endswith("_payments"):
                account["charges_enabled"] = False
    if _is_missed(account, deadline):
        past_due = account["requirements"]["past_due"]
        account["requirements"]["disabled_reason"] = (
            "requirements.past_due" if past_due else "requirements.pending_verification"
        )
        account["charges_enabled"] = account["payouts_enabled"] = False
    account["capabilities"] = {
        capability["id"]: capability["status"]
        for capability in connected.objects("capability")
        if capability["status"] != "unrequested"
    }
    after = {**account, "external_accounts": external_account_list(connected)}
    previous = {name: value for name, value in before.items() if after[name] != value}
    if previous:
        connected.emit("account.updated", after, previous=previous)
    for capability, old in changed:
        given = {name: value for name, value in old.items() if capability[name] != value}
        connected.emit("capability.updated", capability, previous=given)


def _is_missed(owner: JsonObject, deadline: int) -> bool:
    """Whether something was wanted by this deadline; moves it to where it then stands."""
    future = owner["future_requirements"]
    current = {**owner["requirements"]}
    if future["current_deadline"] == deadline:
        for name in _LISTS:
            current[name] = [*current[name], *(x for x in future[name] if x not in current[name])]
        current["current_deadline"] = deadline
        owner["future_requirements"] = empty_requirements()
    wanted = [*current["currently_due"], *current["pending_verification"]]
    if current["current_deadline"] != deadline or not wanted:
        return False
    current["past_due"] = list(dict.fromkeys((*current["past_due"], *current["currently_due"])))
    owner["requirements"] = current
    return True

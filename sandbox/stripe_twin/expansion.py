"""`expand[]`: replaces ids in an answer by the objects that they name."""

from copy import deepcopy

from sandbox.stripe_twin.account import TwinAccount
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

# https://docs.stripe.com/expand: at most four levels.
MAX_LEVELS = 4

_KIND_BY_PREFIX = {
    "acct": "account",
    "ch": "charge",
    "cus": "customer",
    "du": "dispute",
    "fee": "application_fee",
    "pi": "payment_intent",
    "pm": "payment_method",
    "po": "payout",
    "py": "charge",
    "re": "refund",
    "setatt": "setup_attempt",
    "seti": "setup_intent",
    "tr": "transfer",
    "tu": "topup",
    "vr": "identity.verification_report",
    "vs": "identity.verification_session",
}


def expand(account: TwinAccount, answer: JsonObject, paths: list[str]) -> JsonObject:
    """A copy of the answer with each path expanded. Raises ApiError for one that cannot be."""
    expanded = deepcopy(answer)
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_LEVELS + (steps[0] == "data"):
            raise invalid_request(
                f"You cannot expand more than {MAX_LEVELS} levels of a property. "
                f"You tried to expand: {path}",
                param="expand",
            )
        _expand(account, expanded, steps, path)
    return expanded


def _expand(account: TwinAccount, node: JsonObject, steps: list[str], path: str) -> None:
    name, rest = steps[0], steps[1:]
    if name == "refunds" and node.get("object") == "charge":
        node["refunds"] = _refunds_of(account, node["id"])
        return
    if name not in node:
        raise invalid_request(
            f"This property cannot be expanded ({path}). You may want to try expanding "
            "'data' first, or check the name of the property.",
            param="expand[]",
        )
    value = node[name]
    if isinstance(value, str):
        value = deepcopy(_lookup(account, value, path))
        node[name] = value
    if not rest or value is None:
        return
    for child in value if isinstance(value, list) else [value]:
        _expand(account, child, rest, path)


def _lookup(account: TwinAccount, identifier: str, path: str) -> JsonObject:
    prefix = identifier.partition("_")[0]
    if prefix == "txn":
        return account.books.transactions.get(identifier)
    kind = _KIND_BY_PREFIX.get(prefix)
    if kind is None:
        raise invalid_request(f"This property cannot be expanded ({path}).", param="expand[]")
    return account.objects(kind).get(identifier)


def _refunds_of(account: TwinAccount, charge_id: str) -> JsonObject:
    return account.objects("refund").page(
        f"/v1/charges/{charge_id}/refunds", {}, lambda refund: refund["charge"] == charge_id
    )

"""One API call as a resource handler sees it: authenticated, checked, converted."""

from dataclasses import dataclass
from typing import Any

from sandbox.stripe_twin.account import Origin, TwinAccount
from sandbox.stripe_twin.store import Collection, JsonObject


@dataclass(slots=True)
class Call:
    """`path` holds the parts of the URL that the route names, `params` the checked parameters."""

    account: TwinAccount
    path: dict[str, str]
    params: dict[str, Any]
    origin: Origin

    def objects(self, kind: str) -> Collection:
        """All objects of a kind in the account that the call acts on."""
        return self.account.objects(kind)

    def emit(self, kind: str, item: JsonObject, previous: JsonObject | None = None) -> None:
        """Records an event that this call caused."""
        self.account.emit(kind, item, self.origin, previous)


def merge_metadata(item: JsonObject, changes: Any) -> None:
    """Applies `metadata` of an update: an empty value removes its key, `""` removes all."""
    if changes is None:
        return
    if changes == "":
        item["metadata"] = {}
        return
    merged = {**item["metadata"], **changes}
    item["metadata"] = {key: value for key, value in merged.items() if value != ""}

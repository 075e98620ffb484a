"""JSON for the wire: every payment is written half a dozen times, so it must be quick."""

from pydantic_core import to_json

from sandbox.stripe_twin.store import JsonObject


def render(item: JsonObject) -> str:
    """An object as compact JSON."""
    return to_json(item).decode()


def render_bytes(item: JsonObject) -> bytes:
    """An answer's body as compact JSON."""
    return to_json(item)

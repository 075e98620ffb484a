"""List answers of the v2 API: a page and the URLs of its neighbours."""

from typing import Any
from urllib.parse import urlencode

from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject, page_limit


def v2_page(url: str, found: list[JsonObject], params: dict[str, Any]) -> JsonObject:
    """One page of what was found; `page` is the position that a neighbour's URL gave."""
    limit = page_limit(params)
    page = params.get("page", "0")
    if not page.isdigit():
        raise invalid_request("Invalid page.", param="page")
    start = int(page)
    return {
        "object": "list",
        "data": found[start : start + limit],
        "next_page_url": _at(url, params, start + limit) if len(found) > start + limit else None,
        "previous_page_url": _at(url, params, max(start - limit, 0)) if start else None,
    }


def _at(url: str, params: dict[str, Any], start: int) -> str:
    kept: list[tuple[str, str]] = []
    for name, value in params.items():
        if name == "page":
            continue
        if isinstance(value, list):
            kept += [(f"{name}[{index}]", str(item)) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            kept += [(f"{name}[{key}]", str(item)) for key, item in value.items()]
        else:
            kept.append((name, str(value)))
    return f"{url}?{urlencode([*kept, ('page', str(start))])}"

"""Search queries, and the pages of the v2 API's lists.

The query language as far as reconciliation needs it: clauses joined by AND, each `field:value`,
`metadata["key"]:"value"`, or a comparison of a number. OR, negation and substrings are refused.
https://docs.stripe.com/search#search-query-language
"""

import operator
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from sandbox.stripe_twin.errors import ApiError, invalid_request
from sandbox.stripe_twin.store import JsonObject, page_limit

Query = Callable[[JsonObject], bool]

MAX_CLAUSES = 10
_METADATA = r"""metadata\[(?P<q>["'])(?P<key>.*?)(?P=q)\]"""
_CLAUSE = re.compile(
    rf"""\s*(?:{_METADATA}|(?P<field>\w+))\s*(?P<op>:|>=|<=|>|<)\s*"""
    r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)'|(?P<bare>[\w.-]+))\s*"""
)
_AND = re.compile(r"AND\s", re.IGNORECASE)
PAYMENT_FIELDS = frozenset({"amount", "created", "currency", "customer", "status"})
_NUMBERS = frozenset({"amount", "created"})
_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ":": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def parse_query(text: str, fields: frozenset[str] = PAYMENT_FIELDS) -> Query:
    """The query as a predicate over `fields` and metadata.

    Raises ApiError (400) for what it does not understand.
    """
    clauses: list[Query] = []
    position = 0
    for _ in range(MAX_CLAUSES):
        match = _CLAUSE.match(text, position)
        if match is None:
            raise _malformed(text)
        clauses.append(_clause(match, text, fields))
        position = match.end()
        if position == len(text):
            return lambda item: all(clause(item) for clause in clauses)
        joined = _AND.match(text, position)
        if joined is None:
            raise _malformed(text)
        position = joined.end()
    raise _malformed(text)


def search_page(url: str, found: list[JsonObject], params: dict[str, Any]) -> JsonObject:
    """A search answer, newest first; `page` is the position that `next_page` gave."""
    limit = page_limit(params)
    page = params.get("page", "0")
    if not page.isdigit():
        raise invalid_request("Invalid page.", param="page")
    start = int(page)
    newest_first = found[::-1]
    has_more = len(newest_first) > start + limit
    return {
        "object": "search_result",
        "data": newest_first[start : start + limit],
        "has_more": has_more,
        "next_page": str(start + limit) if has_more else None,
        "url": url,
    }


def _clause(match: re.Match[str], text: str, fields: frozenset[str]) -> Query:
    quoted = match["double"] if match["double"] is not None else match["single"]
    value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match["bare"]
    if (key := match["key"]) is not None:
        if match["op"] != ":":
            raise _malformed(text)
        return lambda item: bool(item["metadata"].get(key) == value)
    name = match["field"]
    if name not in fields:
        raise invalid_request(f"Field `{name}` is an unsupported search field.", param="query")
    compare = _COMPARISONS[match["op"]]
    if name in _NUMBERS:
        if not value.isdigit():
            raise _malformed(text)
        number = int(value)
        return lambda item: compare(item[name], number)
    if match["op"] != ":":
        raise _malformed(text)
    return lambda item: bool(item[name] == value)


def _malformed(text: str) -> ApiError:
    return invalid_request(f"We were unable to parse your search query: {text}", param="query")


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

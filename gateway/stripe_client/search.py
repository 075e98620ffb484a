"""Looking for objects at Stripe by their metadata."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass

PAGE_SIZE = 100
MAX_PAGES = 20
# A span of time with more objects than a search looks through is halved, at most so often.
MAX_SEARCHES = 64
SHORTEST_SPAN = timedelta(seconds=1)

_Page = Callable[[Mapping[str, Any]], Awaitable[Outcome]]


async def find_by_metadata(
    page: _Page, metadata: Mapping[str, str], created_from: datetime, created_to: datetime
) -> Outcome:
    """Looks through what was created in a span of time for what carries all of `metadata`."""
    if not metadata:
        raise ValueError("a search needs something to search for")
    return await find(page, lambda item: carries(item, metadata), created_from, created_to)


async def find(
    page: _Page,
    matches: Callable[[Mapping[str, Any]], bool],
    created_from: datetime,
    created_to: datetime,
) -> Outcome:
    """Looks through what was created in a span of time, newest first, in parts where it holds too
    much for one search, until something is found.

    The outcome is that of the first page that did not succeed, or SUCCEEDED with
    {"data": […], "complete": bool}.
    """
    spans = [(created_from, created_to)]
    outcome = Outcome(OutcomeClass.SUCCEEDED, object={"data": [], "complete": False})
    for _ in range(MAX_SEARCHES):
        if not spans:
            return outcome
        start, end = spans.pop()
        outcome = await _search(page, matches, start, end)
        if not outcome.succeeded or outcome.object is None or outcome.object["data"]:
            return outcome
        if not outcome.object["complete"]:
            if end - start <= SHORTEST_SPAN:
                return outcome
            middle = start + (end - start) / 2
            spans += [(start, middle), (middle, end)]
    return replace(outcome, object={"data": [], "complete": not spans})


async def _search(
    page: _Page,
    matches: Callable[[Mapping[str, Any]], bool],
    created_from: datetime,
    created_to: datetime,
) -> Outcome:
    """One search, of at most `MAX_PAGES` pages."""
    # Stripe's times are whole seconds; the span is widened so that it loses nothing.
    span = {"gte": int(created_from.timestamp()), "lte": int(created_to.timestamp()) + 1}
    params: dict[str, Any] = {"created": span, "limit": PAGE_SIZE}
    found: list[dict[str, Any]] = []
    for _ in range(MAX_PAGES):
        outcome = await page(params)
        if not outcome.succeeded or outcome.object is None:
            return outcome
        listed: list[dict[str, Any]] = outcome.object["data"]
        found.extend(item for item in listed if matches(item))
        if not outcome.object["has_more"] or not listed:
            return replace(outcome, object={"data": found, "complete": True})
        params = {**params, "starting_after": listed[-1]["id"]}
    return replace(outcome, object={"data": found, "complete": False})


def the_one_found(outcome: Outcome) -> Outcome:
    """The object that a search was for, as the call that made it would have answered. REJECTED
    with `not_performed` if there is none, UNKNOWN if the search did not see everything."""
    if outcome.object is None:
        return outcome
    if outcome.object["data"]:
        return Outcome(OutcomeClass.SUCCEEDED, object=outcome.object["data"][0])
    if not outcome.object["complete"]:
        return Outcome(OutcomeClass.UNKNOWN)
    return Outcome(OutcomeClass.REJECTED, failure=Failure(code="not_performed"))


def carries(item: Mapping[str, Any], metadata: Mapping[str, str]) -> bool:
    """Whether an object of Stripe has all of `metadata`."""
    carried = item.get("metadata") or {}
    return all(carried.get(key) == value for key, value in metadata.items())

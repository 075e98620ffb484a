"""Searches: a span of time that holds too much is halved, until all of it was looked through."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.stripe_client.outcome import Failure, Outcome, OutcomeClass
from gateway.stripe_client.search import (
    MAX_PAGES,
    MAX_SEARCHES,
    PAGE_SIZE,
    SHORTEST_SPAN,
    find_by_metadata,
    the_one_found,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
OURS = {"engine_payout_id": "pyo_1"}
IN_ONE_SEARCH = MAX_PAGES * PAGE_SIZE


class Listing:
    """What Stripe lists: objects by the second in which they were made, newest first."""

    def __init__(self, seconds: Sequence[int], ours: int | None = None) -> None:
        self.items = [
            {"id": f"po_{number}", "created": created, "metadata": {}}
            for number, created in enumerate(sorted(seconds, reverse=True))
        ]
        if ours is not None:
            self.items[ours]["metadata"] = OURS
        self.pages = 0

    async def page(self, params: Mapping[str, Any]) -> Outcome:
        self.pages += 1
        since, until = params["created"]["gte"], params["created"]["lte"]
        listed = [item for item in self.items if since <= int(str(item["created"])) <= until]
        if "starting_after" in params:
            ids = [item["id"] for item in listed]
            listed = listed[ids.index(params["starting_after"]) + 1 :]
        found = {"data": listed[: params["limit"]], "has_more": len(listed) > params["limit"]}
        return Outcome(OutcomeClass.SUCCEEDED, object=found)


def spread(count: int, over: timedelta) -> list[int]:
    first = int(START.timestamp())
    return [first + int(over.total_seconds() * number / count) for number in range(count)]


async def search(listing: Listing, span: timedelta = timedelta(hours=1)) -> Outcome:
    return await find_by_metadata(listing.page, OURS, START, START + span)


async def test_the_oldest_of_more_than_one_search_shows_is_found() -> None:
    listing = Listing(spread(3 * IN_ONE_SEARCH, timedelta(hours=1)), ours=-1)
    found = await search(listing)
    assert the_one_found(found).object == listing.items[-1]


async def test_a_search_ends_with_the_last_page_that_it_may_look_at() -> None:
    exactly = Listing(spread(IN_ONE_SEARCH, timedelta(hours=1)))
    assert (await search(exactly)).object == {"data": [], "complete": True}
    assert exactly.pages == MAX_PAGES
    more = Listing(spread(IN_ONE_SEARCH + 1, timedelta(hours=1)))
    assert (await search(more)).object == {"data": [], "complete": True}
    assert more.pages > MAX_PAGES


async def test_a_second_that_is_too_full_is_not_seen_wholly() -> None:
    crowd = Listing([int(START.timestamp())] * (IN_ONE_SEARCH + 1))
    found = await search(crowd, SHORTEST_SPAN)
    assert found.object == {"data": [], "complete": False}
    assert the_one_found(found).outcome_class is OutcomeClass.UNKNOWN


async def test_a_span_is_halved_so_often_and_no_more() -> None:
    # Every second of it is too full for one search.
    searches = 0

    async def endless(params: Mapping[str, Any]) -> Outcome:
        nonlocal searches
        searches += "starting_after" not in params
        wide = params["created"]["lte"] - params["created"]["gte"] > 2 * 3600
        item = {"id": f"po_{searches}_{params.get('starting_after', '')}", "metadata": {}}
        return Outcome(OutcomeClass.SUCCEEDED, object={"data": [item], "has_more": wide})

    found = await find_by_metadata(endless, OURS, START, START + timedelta(days=365))
    assert searches == MAX_SEARCHES
    assert found.object == {"data": [], "complete": False}


async def test_a_page_that_fails_fails_the_search() -> None:
    lost = Outcome(OutcomeClass.UNKNOWN, failure=Failure(code="TIMEOUT"))

    async def failing(_params: Mapping[str, Any]) -> Outcome:
        return lost

    assert await find_by_metadata(failing, OURS, START, START + SHORTEST_SPAN) == lost


async def test_a_search_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="something to search for"):
        await find_by_metadata(Listing([]).page, {}, START, START)

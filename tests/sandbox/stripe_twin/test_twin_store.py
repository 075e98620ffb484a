"""Lists: a page, by whatever narrows it, is the page that looking at everything would give."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.stripe_twin.store import Collection, JsonObject, within

MOMENTS = st.integers(min_value=0, max_value=9)
ITEMS = st.lists(st.tuples(MOMENTS, st.sampled_from(["a", "b", None])), max_size=20)
BOUNDS = st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), MOMENTS, max_size=4)


@given(
    ITEMS,
    st.sets(st.integers(min_value=0, max_value=19)),
    st.one_of(st.none(), MOMENTS, BOUNDS),
    st.sampled_from(["a", "b", "c", None]),
    st.integers(min_value=1, max_value=5),
    st.sampled_from(["starting_after", "ending_before", None]),
    st.integers(min_value=0, max_value=19),
)
def test_a_page_is_what_a_scan_finds(
    items: list[tuple[int, str | None]],
    removed: set[int],
    created: Any,
    source: str | None,
    limit: int,
    cursor: str | None,
    number: int,
) -> None:
    everything: list[JsonObject] = [
        {"id": f"x_{place}", "created": moment, "source": value}
        for place, (moment, value) in enumerate(sorted(items, key=lambda item: item[0]))
    ]
    collection = Collection("thing")
    for item in everything:
        collection.add(item)
    for place in removed & set(range(len(everything))):
        collection.remove(f"x_{place}")
    params: JsonObject = {"limit": limit}
    if created is not None:
        params["created"] = created
    if source is not None:
        params["source"] = source
    wanted = [
        place
        for place, item in enumerate(everything)
        if place not in removed
        and within(item["created"], created)
        and source in (None, item["source"])
    ]
    if cursor is not None and number < len(everything):
        params[cursor] = f"x_{number}"
        after = cursor == "starting_after"
        wanted = [place for place in wanted if (place < number if after else place > number)]
    has_more = len(wanted) > limit
    wanted = wanted[:limit] if "ending_before" in params else wanted[-limit:]

    page = collection.page("/v1/things", params, lambda item: source in (None, item["source"]))

    assert [item["id"] for item in page["data"]] == [f"x_{place}" for place in reversed(wanted)]
    assert page["has_more"] == has_more

"""Objects on a server that speaks S3: written, listed, read and removed; what is refused."""

from collections.abc import AsyncIterator

import pytest

from runtime.object_storage import (
    Location,
    ObjectStorage,
    ObjectStorageError,
    ObjectTooLargeError,
    open_object_storage,
    read_location,
)

MAX_BYTES = 3_000_000


@pytest.fixture
async def storage(s3_url: str) -> AsyncIterator[ObjectStorage]:
    async with open_object_storage(read_location(s3_url)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("s3://bucket", Location("bucket", "")),
        ("s3://bucket/", Location("bucket", "")),
        ("s3://bucket/a/b/", Location("bucket", "a/b/")),
        (
            "s3://bucket/a?endpoint=http://127.0.0.1:9000&region=eu-central-1",
            Location("bucket", "a/", "http://127.0.0.1:9000", "eu-central-1"),
        ),
    ],
)
def test_a_location_is_read(url: str, location: Location) -> None:
    assert read_location(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/a",
        "https://bucket/a",
        "s3:///a",
        "s3://user:secret@bucket/a",
        "s3://bucket:80/a",
        "s3://bucket/a#b",
        "s3://bucket/a?secret=b",
        "s3://bucket/a?region=",
        "s3://bucket/a?endpoint=127.0.0.1:9000",
    ],
)
def test_a_location_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|has )") as caught:
        read_location(url)
    assert "secret" not in str(caught.value).replace("has options other than", "")


async def test_objects_are_written_listed_read_and_removed(storage: ObjectStorage) -> None:
    large = bytes(range(256)) * (MAX_BYTES // 256)
    await storage.write("b/2", b"two")
    await storage.write("b/1", large)
    await storage.write("a", b"")
    listed = [found async for found in storage.list()]
    assert [(found.name, found.size) for found in listed] == [
        ("a", 0),
        ("b/1", len(large)),
        ("b/2", 3),
    ]
    assert [found.name async for found in storage.list("b/")] == ["b/1", "b/2"]
    assert await storage.read("b/1", MAX_BYTES) == large
    assert await storage.read("none", MAX_BYTES) is None
    await storage.delete("b/2")
    await storage.delete("b/2")
    assert [found.name async for found in storage.list()] == ["a", "b/1"]


async def test_only_the_version_that_was_listed_is_read(storage: ObjectStorage) -> None:
    await storage.write("a", b"one")
    (before,) = [found async for found in storage.list()]
    assert await storage.read("a", MAX_BYTES, before.version) == b"one"
    await storage.write("a", b"two")
    (after,) = [found async for found in storage.list()]
    assert after.version != before.version
    assert await storage.read("a", MAX_BYTES, before.version) is None


async def test_a_name_is_given_once(storage: ObjectStorage) -> None:
    assert await storage.write_new("a", b"one")
    assert not await storage.write_new("a", b"two")
    assert await storage.read("a", MAX_BYTES) == b"one"


async def test_what_is_too_large_is_not_taken(storage: ObjectStorage) -> None:
    await storage.write("a", b"12345")
    assert await storage.read("a", 5) == b"12345"
    with pytest.raises(ObjectTooLargeError):
        await storage.read("a", 4)


async def test_a_list_has_all_pages(storage: ObjectStorage) -> None:
    names = [f"{number}" for number in range(5)]
    for name in names:
        await storage.write(name, b"")
    assert [found.name async for found in storage.list(page_objects=2)] == names


async def test_a_storage_that_refuses_or_is_not_there_is_an_error(s3_url: str) -> None:
    location = read_location(s3_url)
    async with open_object_storage(
        Location("no-such-bucket", "", location.endpoint, location.region)
    ) as storage:
        with pytest.raises(ObjectStorageError, match="NoSuchBucket"):
            await storage.write("a", b"")
        with pytest.raises(ObjectStorageError, match="NoSuchBucket"):
            [found async for found in storage.list()]
    async with open_object_storage(
        Location("bucket", "", "http://127.0.0.1:9", location.region)
    ) as storage:
        with pytest.raises(ObjectStorageError, match="EndpointConnectionError"):
            await storage.read("a", MAX_BYTES)

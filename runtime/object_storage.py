"""Storage that speaks S3: objects in a bucket under a prefix, listed, read and written whole.

Credentials are found as every AWS client finds them: the role of the machine or container, or
`AWS_…` variables. Other makers' storage (MinIO, Ceph, R2) is named by its endpoint.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CONNECT_SECONDS = 2.0
READ_SECONDS = 30.0
# Attempts of one request, the first included; with the waits of the SDK between them.
ATTEMPTS = 3
READ_BYTES = 1024 * 1024
# The most that S3 lists at once.
PAGE_OBJECTS = 1_000

_OPTIONS = frozenset({"endpoint", "region"})


class ObjectStorageError(Exception):
    """The storage did not answer, or refused; the message is its code, without any secret."""


class ObjectTooLargeError(Exception):
    """An object is larger than who reads it takes."""


@dataclass(frozen=True)
class Location:
    """Where objects are."""

    bucket: str
    prefix: str
    """Ends with "/" unless it is empty."""
    endpoint: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class StoredObject:
    """What a list says of an object."""

    name: str
    """Its key behind the prefix."""
    size: int
    version: str
    """Another one once its content is another (the storage's ETag)."""
    modify_time: datetime


def read_location(url: str) -> Location:
    """The location of "s3://BUCKET/PREFIX?endpoint=https://…&region=…". Raises ValueError, which
    does not repeat what was given."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if parts.scheme != "s3" or not parts.hostname or parts.netloc != parts.hostname:
        raise ValueError("is not s3://BUCKET or s3://BUCKET/PREFIX")
    if parts.fragment or not options.keys() <= _OPTIONS or not all(options.values()):
        raise ValueError(f"has options other than {' and '.join(sorted(_OPTIONS))}")
    endpoint = options.get("endpoint")
    if endpoint is not None and urlsplit(endpoint).scheme not in ("http", "https"):
        raise ValueError("has an endpoint that is no http or https address")
    prefix = parts.path.strip("/")
    return Location(parts.netloc, f"{prefix}/" if prefix else "", endpoint, options.get("region"))


class ObjectStorage:
    """Objects of one location. Every method raises `ObjectStorageError`."""

    def __init__(self, client: Any, location: Location) -> None:
        self._client = client
        self._location = location

    async def list(
        self, beginning: str = "", page_objects: int = PAGE_OBJECTS
    ) -> AsyncIterator[StoredObject]:
        """All objects whose names begin so, in the order of their names as bytes."""
        async with _failures():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._location.bucket,
                Prefix=self._key(beginning),
                PaginationConfig={"PageSize": page_objects},
            )
            async for page in pages:
                for found in page.get("Contents", ()):
                    yield StoredObject(
                        name=found["Key"].removeprefix(self._location.prefix),
                        size=int(found["Size"]),
                        version=found["ETag"],
                        modify_time=found["LastModified"].astimezone(UTC),
                    )

    async def read(self, name: str, max_bytes: int, version: str | None = None) -> bytes | None:
        """The bytes of an object; None if there is none, or none of that version any more. Raises
        `ObjectTooLargeError`."""
        of_version = {} if version is None else {"IfMatch": version}
        async with _failures():
            try:
                answer = await self._client.get_object(
                    Bucket=self._location.bucket, Key=self._key(name), **of_version
                )
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404", "412", *_CHANGED):
                    return None
                raise
            content = bytearray()
            async with answer["Body"] as body:
                while part := await body.read(READ_BYTES):
                    content += part
                    if len(content) > max_bytes:
                        raise ObjectTooLargeError
            return bytes(content)

    async def write(self, name: str, content: bytes) -> None:
        """Puts an object there, whole or not at all; what had the name before is replaced."""
        async with _failures():
            await self._client.put_object(
                Bucket=self._location.bucket, Key=self._key(name), Body=content
            )

    async def write_new(self, name: str, content: bytes) -> bool:
        """Puts an object there unless there is one of that name: then it is left, and False."""
        async with _failures():
            try:
                await self._client.put_object(
                    Bucket=self._location.bucket,
                    Key=self._key(name),
                    Body=content,
                    IfNoneMatch="*",
                )
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in ("412", *_CHANGED):
                    return False
                raise
        return True

    async def delete(self, name: str) -> None:
        """Removes an object; there need not be one."""
        async with _failures():
            await self._client.delete_object(Bucket=self._location.bucket, Key=self._key(name))

    def _key(self, name: str) -> str:
        return self._location.prefix + name


_CHANGED = ("PreconditionFailed", "ConditionalRequestConflict")


@asynccontextmanager
async def open_object_storage(location: Location) -> AsyncIterator[ObjectStorage]:
    """Opens it; nothing is asked of it yet."""
    # Who has no such storage need not load 20 MB for it.
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
    )
    async with get_session().create_client(
        "s3", region_name=location.region, endpoint_url=location.endpoint, config=config
    ) as client:
        yield ObjectStorage(client, location)


@asynccontextmanager
async def _failures() -> AsyncIterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise ObjectStorageError(str(error.response["Error"]["Code"])) from error
    except (BotoCoreError, OSError) as error:
        raise ObjectStorageError(type(error).__name__) from error

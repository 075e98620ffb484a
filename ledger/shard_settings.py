"""The shards that the settings name, and making their schemas."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from ledger.placements import DEFAULT_SHARD
from runtime.database_url import parse, with_schema
from runtime.migrations import Standing, make_schema, migrate, standing

FORM = 'is not {"NAME": {"database_url": "…", "owner_database_url": "…", "schema": "…"}}'
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
PUBLIC = "public"
MAX_SHARDS = 64
_FIELDS = frozenset({"database_url", "owner_database_url", "schema"})
# What distinguishes two places: the servers, the database and the schema.
Place = tuple[object, str, str]


@dataclass(frozen=True, repr=False)
class ShardSettings:
    """A shard besides the default one. The URLs have its schema in them."""

    name: str
    url: str
    owner_url: str | None
    schema: str
    place: Place


def urls_of(given: SecretStr | None, default_url: str) -> dict[str, str]:
    """The URL of every shard by its name, the default one first."""
    return {DEFAULT_SHARD: default_url} | {shard.name: shard.url for shard in shards_of(given)}


def shards_of(given: SecretStr | None) -> tuple[ShardSettings, ...]:
    """The shards of the setting in its order. Raises `ValueError`, which never quotes a URL."""
    if given is None or not given.get_secret_value().strip():
        return ()
    try:
        shards = json.loads(given.get_secret_value(), object_pairs_hook=_once)
    except json.JSONDecodeError:
        # Its own message would not quote the text, but its cause has all of it.
        raise ValueError(f"is not JSON: it {FORM}") from None
    if not isinstance(shards, dict):
        raise ValueError(FORM)  # noqa: TRY004 (pydantic takes no TypeError for a bad value)
    if len(shards) > MAX_SHARDS:
        raise ValueError(f"has {len(shards)} shards, and {MAX_SHARDS} are the most")
    found = tuple(_shard(name, value) for name, value in shards.items())
    names: dict[Place, str] = {}
    for shard in found:
        other = names.setdefault(shard.place, shard.name)
        if other != shard.name:
            raise ValueError(f"{shard.name} is the same database and schema as {other}")
    return found


def place_of(url: str, schema: str = PUBLIC) -> Place:
    """Where a shard is, whoever logs in."""
    found = parse(url)
    return found.hosts, found.parameters.get("dbname", ""), schema


async def prepare_shard(shard: ShardSettings, *, may_migrate: bool) -> None:
    """Brings the shard's schema to its newest revision by its owner's login, and in the sandbox;
    elsewhere only looks whether this code can serve on it.

    Raises `SchemaError` and what the database raises.
    """
    if may_migrate or shard.owner_url is not None:
        await migrate_shard(shard)
    else:
        (await standing(shard.url, "ledger")).check_served()


async def migrate_shard(shard: ShardSettings) -> Standing:
    """Makes the schema if it is missing, and migrates it; how things stood before."""
    url = shard.owner_url or shard.url
    await make_schema(url, shard.schema)
    return await migrate(url, "ledger")


def _shard(name: str, value: Any) -> ShardSettings:
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a shard: 1 to 32 of a-z, 0-9, _ and -, a letter first"
        )
    if name == DEFAULT_SHARD:
        raise ValueError(f"{name} is the shard of LEDGER_DATABASE_URL")
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError(f"{name}: {FORM}")
    unknown = sorted(set(value) - _FIELDS)
    if unknown:
        raise ValueError(f"{name}: there is no field {unknown[0]}")
    if "database_url" not in value:
        raise ValueError(f"{name}: has no database_url")
    schema = value.get("schema", PUBLIC)
    if not SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        raise ValueError(f"{name}: {schema!r} is no name of a schema")
    urls = dict(_urls(name, value, schema))
    return ShardSettings(
        name=name,
        url=urls["database_url"],
        owner_url=urls.get("owner_database_url"),
        schema=schema,
        place=place_of(value["database_url"], schema),
    )


def _urls(name: str, value: dict[str, str], schema: str) -> Iterator[tuple[str, str]]:
    for field in ("database_url", "owner_database_url"):
        if field in value:
            try:
                parse(value[field])
            except ValueError as error:
                raise ValueError(f"{name}: {field}: {error}") from None
            yield field, with_schema(value[field], schema)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"it has {name} more than once")
    return dict(pairs)

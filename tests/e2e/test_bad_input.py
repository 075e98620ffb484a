"""Bad input on every RPC of every service, found by reflection.

The refusal names the field, and nothing is written.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from psycopg import sql

from runtime.errors import ReceivedError, from_rpc_error
from sandbox.addresses import Ports, at
from sandbox.databases import SERVICES
from sandbox.engine import running_engine
from sandbox.polling import poll
from tests.e2e.bad_requests import BadRequest, bad_requests
from tests.e2e.conftest import migrated_databases
from tests.plugin import TemplateOf

CALL_SECONDS = 30
MIN_CASES_PER_SERVICE = 100
OF_A_START: dict[str, tuple[str, ...]] = {
    "ledger": (),
    "reconciliation": (),
    "compliance": ("public.policy_version",),
    "gateway": (
        *("public.leader_task", "public.leader_candidate", "public.ledger_standing"),
        "public.database_history",
    ),
}
# The ledger's limits and preconditions bound balances, which may lie below zero; so may a bank's.
SIGNED = (
    *("min_posted_minor", "max_posted_minor", "min_available_minor", "max_available_minor"),
    *("opening.amount.minor_units", "closing.amount.minor_units"),
)


@dataclass(frozen=True)
class Method:
    """One RPC as reflection describes it."""

    path: str
    request: Any
    streams: bool


@pytest.fixture(scope="module")
async def silent_engine(
    postgres_url: str, template_of: TemplateOf, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Ports, Mapping[str, str]]]:
    """An engine that only this module calls, so that we caused whatever it writes."""
    with migrated_databases(postgres_url, template_of, SERVICES) as databases:
        ports = Ports.free()
        async with running_engine(ports, tmp_path_factory.mktemp("silent"), databases):
            yield ports, databases


@pytest.mark.parametrize("service", SERVICES)
async def test_bad_input_is_named_and_writes_nothing(
    service: str, silent_engine: tuple[Ports, Mapping[str, str]]
) -> None:
    ports, databases = silent_engine
    address = at(getattr(ports, service))
    database_url = databases[f"{service.upper()}_DATABASE_URL"]

    async def rows() -> dict[str, int]:
        return await asyncio.to_thread(row_counts, database_url)

    # What a service writes down of itself when it starts is there before the requests come.
    before = await poll(rows, lambda counts: all(counts[table] for table in OF_A_START[service]))
    methods = await asyncio.to_thread(methods_of, address, f"{service}.v1.")
    cases = 0
    problems: list[str] = []
    async with grpc.aio.insecure_channel(address) as channel:
        for method in methods:
            if "request_id" in method.request.fields_by_name:
                empty = await refusal_of(channel, method, b"")
                problems += complaints(method, BadRequest("missing", "request_id", b""), empty)
            for case in bad_requests(method.request):
                if case.what == "negative" and case.path.endswith(SIGNED):
                    continue
                cases += 1
                problems += complaints(method, case, await refusal_of(channel, method, case.data))
    assert not problems, "\n".join(problems)
    assert cases >= MIN_CASES_PER_SERVICE
    assert await rows() == before


def complaints(method: Method, case: BadRequest, error: ReceivedError | None) -> list[str]:
    """What is wrong with the answer to one bad request; empty when it is as it must be."""
    name = f"{method.path} {case.path} {case.what}"
    if error is None:
        return [f"{name}: accepted"]
    if (error.code, error.reason) != (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        return [f"{name}: {error.code.name} {error.reason} {error.message}"]
    named = {violation.field for violation in error.violations}
    # A list may be refused as a whole where the bad item is one too many.
    if case.path not in named and case.path.removesuffix("[0]") not in named:
        return [f"{name}: only {sorted(named)} named"]
    if any(len(violation.description) > 200 for violation in error.violations):
        return [f"{name}: the refusal repeats the input"]
    return []


async def refusal_of(
    channel: grpc.aio.Channel, method: Method, data: bytes
) -> ReceivedError | None:
    """The error that the raw request is answered with, if any."""
    open_call: Any = channel.unary_stream if method.streams else channel.unary_unary
    call = open_call(method.path)(data, timeout=CALL_SECONDS)
    try:
        if method.streams:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


def methods_of(address: str, package: str) -> list[Method]:
    """Every RPC of the package, as the server's reflection tells."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        services = [
            pool.FindServiceByName(name)
            for name in database.get_services()
            if name.startswith(package)
        ]
        return [
            Method(
                f"/{service.full_name}/{method.name}", method.input_type, method.server_streaming
            )
            for service in services
            for method in service.methods
        ]


def row_counts(database_url: str) -> dict[str, int]:
    """The number of rows of each table that holds what clients cause."""
    with psycopg.connect(database_url) as connection:
        connection.execute("RESET ROLE")
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
        counts: dict[str, int] = {}
        for schema, table in tables:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
            row = connection.execute(query).fetchone()
            assert row is not None
            counts[f"{schema}.{table}"] = row[0]
    return counts

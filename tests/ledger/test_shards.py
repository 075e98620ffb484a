"""Ledgers on two databases and two schemas: making, finding, listing and moving them."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import psycopg
import pytest
from pydantic import ValidationError

from ledger.copying import UnequalError
from ledger.moving import MoveError
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_reads_pb2 as reads
from runtime.clock import ManualClock
from runtime.database_url import parse, with_schema
from tests.ledger.client import LedgerClient, failure_of, fresh_id, transfer
from tests.ledger.running import OpenReplica, sealed, settings_for, write_history
from tests.ledger.shards import QUICK, everything_of, is_intact, moving, shards_json
from tests.plugin import NewDatabase

ACCOUNTS = ["assets/cash", "assets/dollars", "rounding", "wallets/a", "wallets/b"]


@pytest.fixture
def shards(service_database: NewDatabase, url: str) -> str:
    return shards_json(service_database, url)


@pytest.fixture
async def client(open_replica: OpenReplica, url: str, shards: str) -> LedgerClient:
    """A client of a service with three shards, without ledgers."""
    return await open_replica(url, QUICK, shards=shards)


async def create(client: LedgerClient, name: str, shard: str = "", request_id: str = "") -> str:
    """Makes a ledger; the shard it is on."""
    request = ledgers.CreateLedgerRequest(
        request_id=request_id or fresh_id(), name=name, shard=shard
    )
    return (await client.stub.CreateLedger(request)).ledger.shard


async def shard_of(client: LedgerClient, name: str) -> str:
    answer = await client.stub.GetLedger(ledgers.GetLedgerRequest(name=name))
    return answer.ledger.shard


async def test_ledgers_are_made_and_listed_on_all_shards(client: LedgerClient) -> None:
    assert await create(client, "a") == "default"
    assert await create(client, "b", "other") == "other"
    assert await create(client, "c", "schema") == "schema"
    assert await create(client, "d", "default") == "default"
    request = ledgers.ListLedgersRequest(page_size=3)
    first = await client.stub.ListLedgers(request)
    request.page_token = first.next_page_token
    second = await client.stub.ListLedgers(request)
    listed = [(ledger.name, ledger.shard) for ledger in [*first.ledgers, *second.ledgers]]
    assert listed == [("a", "default"), ("b", "other"), ("c", "schema"), ("d", "default")]
    assert len(first.ledgers) == 3
    assert not second.next_page_token
    assert await shard_of(client, "c") == "schema"


async def test_names_and_request_ids_are_unique_over_all_shards(client: LedgerClient) -> None:
    assert await create(client, "a", "other", "id-1") == "other"
    assert await create(client, "a", "other", "id-1") == "other"
    taken = await failure_of(create(client, "a", "schema"))
    assert taken.reason == "LEDGER_ALREADY_EXISTS"
    assert (await failure_of(create(client, "a"))).reason == "LEDGER_ALREADY_EXISTS"
    for other in (("b", "other"), ("a", "schema"), ("a", "")):
        reused = await failure_of(create(client, *other, "id-1"))
        assert reused.reason == "REQUEST_ID_REUSED"
        field = "name" if other[0] == "b" else "shard"
        assert reused.metadata["differing_fields"] == field
    missing = await failure_of(create(client, "c", "nowhere"))
    assert (missing.reason, missing.metadata["shard"]) == ("SHARD_NOT_FOUND", "nowhere")


async def test_a_creation_that_was_cut_off_goes_on(client: LedgerClient, url: str) -> None:
    """Name and id were taken, and then the process was killed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ledger_placements VALUES ('a', 'id-1', 'LEFT', 'other', 'other')"
        )
    gone = await failure_of(shard_of(client, "a"))
    assert gone.reason == "LEDGER_NOT_FOUND"
    assert await create(client, "a", "other", "id-1") == "other"
    assert await shard_of(client, "a") == "other"


@pytest.mark.parametrize("target", ["other", "schema"])
async def test_a_moved_ledger_is_the_same(
    client: LedgerClient, clock: ManualClock, url: str, shards: str, target: str
) -> None:
    """There and back: all reads, proofs and checkpoints, and it goes on in both places."""
    await write_history(client, clock)
    await sealed(client)
    before = await everything_of(client, ACCOUNTS)
    async with moving(url, shards) as (mover, told):
        await mover.move("main", target)
        assert any(line.startswith("equal: ") for line in told)
        assert await shard_of(client, "main") == target
        assert await everything_of(client, ACCOUNTS) == before
        assert await is_intact(client)
        await client.create(transfer("wallets/a", "assets/cash", 5), "there")
        assert (await client.get("there")).transaction.sequence
        await sealed(client)
        there = await everything_of(client, ACCOUNTS)
        await mover.move("main", "default")
    assert await shard_of(client, "main") == "default"
    assert await everything_of(client, ACCOUNTS) == there
    assert await is_intact(client)
    # What was decided before is answered as before, and holds that were open can be posted.
    await client.create(transfer("wallets/a", "assets/cash", 5), "there")
    await client.post("open")
    await sealed(client)
    assert await is_intact(client)


async def test_writes_wait_and_reads_go_on(
    client: LedgerClient, clock: ManualClock, url: str, shards: str
) -> None:
    """While it is copied nothing is written, and other ledgers go on."""
    await write_history(client, clock)
    await create(client, "second")
    second = LedgerClient(client.channel, "second")
    await second.account("x")
    await second.account("y")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE ledger_placements SET state = 'LEAVING', shard = 'other' WHERE name = 'main'"
        )
        connection.execute("UPDATE ledger_heads SET fenced = TRUE WHERE ledger_id = 1")
    waits = await failure_of(client.create(transfer("wallets/a", "assets/cash", 5), "waits"))
    assert waits.code is grpc.StatusCode.UNAVAILABLE
    assert (waits.reason, waits.metadata["ledger"]) == ("LEDGER_MOVING", "main")
    assert waits.retry_delay is not None
    assert await client.posted("assets/cash")
    await second.create(transfer("x", "y", 1))
    async with moving(url, shards) as (mover, _):
        await mover.move("main", "other")
    await client.create(transfer("wallets/a", "assets/cash", 5), "waits")
    assert await is_intact(client)


async def test_watchers_follow(
    client: LedgerClient, clock: ManualClock, url: str, shards: str
) -> None:
    """Without a gap and without a repetition."""
    await write_history(client, clock)
    call = client.stub.WatchTransactions(reads.WatchTransactionsRequest(ledger="main"))
    seen: list[int] = []

    async def watched() -> AsyncIterator[int]:
        async for message in call:
            for transaction in message.transactions:
                yield transaction.sequence

    numbers = watched()
    last = (await client.stub.GetLedger(ledgers.GetLedgerRequest(name="main"))).ledger.last_sequence
    while len(seen) < last:
        seen.append(await anext(numbers))
    async with moving(url, shards) as (mover, _):
        await mover.move("main", "other")
    made = await client.create(transfer("wallets/a", "assets/cash", 5))
    seen.append(await asyncio.wait_for(anext(numbers), 10))
    assert seen == list(range(1, made.sequence + 1))
    call.cancel()


async def test_a_move_is_undone(
    client: LedgerClient, clock: ManualClock, url: str, shards: str
) -> None:
    await write_history(client, clock)
    await sealed(client)
    before = await everything_of(client, ACCOUNTS)
    async with moving(url, shards) as (mover, _):
        with pytest.raises(MoveError, match="it is not being moved; it is at default"):
            await mover.undo("main")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO decisions VALUES (1, 'odd', 1, '', NULL, TRUE, '', now())"
            )
        other = json.loads(shards)["other"]["database_url"]
        # A row that the source has not is found, whatever the copy made of it.
        await mover.move("main", "other")
        await mover.move("main", "default")
        with psycopg.connect(other, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO decisions SELECT ledger_id, 'extra', 1, '', NULL, TRUE, '', now()"
                " FROM ledgers"
            )
        with pytest.raises(UnequalError, match="the copy of decisions differs"):
            await mover.move("main", "other")
        waits = await failure_of(client.create(transfer("wallets/a", "assets/cash", 5)))
        assert waits.reason == "LEDGER_MOVING"
        with pytest.raises(MoveError, match="being moved from default to other"):
            await mover.move("main", "schema")
        await mover.undo("main")
    assert await shard_of(client, "main") == "default"
    assert await everything_of(client, ACCOUNTS) == before
    await client.create(transfer("wallets/a", "assets/cash", 5))
    assert await is_intact(client)


async def test_an_older_replica_writes_nothing_to_a_fenced_ledger(
    client: LedgerClient, url: str
) -> None:
    """The database refuses it, whatever the statement says."""
    await client.create_ledger()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE ledger_heads SET fenced = TRUE")
        with pytest.raises(psycopg.errors.RestrictViolation, match="is fenced"):
            connection.execute("UPDATE ledger_heads SET revision = revision + 1")
        # Reads of a moment go on.
        connection.execute("UPDATE ledger_heads SET closed_time = now()")


async def test_a_shard_that_is_away_keeps_no_other_from_being_served(
    open_replica: OpenReplica, url: str
) -> None:
    away = {"away": {"database_url": "postgresql://x@127.0.0.1:1/x"}}
    client = await open_replica(url, QUICK, shards=json.dumps(away))
    await client.create_ledger()
    await client.account("x")
    failed = await failure_of(create(client, "b", "away"))
    assert failed.code is grpc.StatusCode.UNAVAILABLE
    assert failed.metadata["dependency"] == "shard away"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO ledger_placements (name, request_id, state, shard, first_shard)"
            " VALUES ('x', 'x', 'LEFT', 'untold', 'untold')"
        )
    # That it is not there would be taken for final.
    untold = await failure_of(shard_of(client, "x"))
    assert untold.code is grpc.StatusCode.UNAVAILABLE
    assert untold.metadata["dependency"] == "shard untold"


@pytest.mark.parametrize(
    ("shards", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "is not {"),
        ('{"default": {"database_url": "postgresql://h/d"}}', "default is the shard of"),
        ('{"A": {"database_url": "postgresql://h/d"}}', "'A' is no name of a shard"),
        ('{"%s": {"database_url": "postgresql://h/d"}}' % ("a" * 33), "is no name of a shard"),
        ('{"a": {}}', "a: has no database_url"),
        ('{"a": {"database_url": "postgresql://u:secret@h/d", "x": "y"}}', "there is no field x"),
        ('{"a": {"database_url": "mysql://u:secret@h/d"}}', "a: database_url: is not postgresql"),
        ('{"a": {"database_url": "postgresql://h/d", "schema": "pg_x"}}', "is no name of a schema"),
        (
            '{"a": {"database_url": "postgresql://u:secret@h/d"},'
            ' "b": {"database_url": "postgresql://h/d"}}',
            "b is the same database and schema as a",
        ),
        ('{"a": {"database_url": "postgresql://d@h/default"}}', "a is where the default shard is"),
        (
            json.dumps({f"s{n}": {"database_url": f"postgresql://h/d{n}"} for n in range(65)}),
            "has 65 shards, and 64 are the most",
        ),
        (
            '{"a": {"database_url": "postgresql://h/d"}, "a": {"database_url": "postgresql://h/e"}}',
            "it has a more than once",
        ),
    ],
)
def test_what_is_wrong_with_shards_is_said(shards: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings_for("postgresql://h/default", shards=shards)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_schema_goes_with_what_a_url_has() -> None:
    url = with_schema("postgresql://u@h/d?sslmode=disable&options=-c%20work_mem%3D1MB", "two")
    found = parse(url).parameters
    assert found["options"] == "-c work_mem=1MB -c search_path=two"
    assert found["sslmode"] == "disable"

"""Two databases and two schemas for ledgers, and what is asked of a ledger wherever it is."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message
from pydantic import SecretStr

from ledger.connections import move_connections
from ledger.limits import LIMITS
from ledger.moving import Mover
from ledger.placements import DEFAULT_SHARD
from ledger.shard_settings import shards_of
from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import export_pb2 as exports
from ledger.v1 import transaction_reads_pb2 as reads
from runtime.connections import Connections
from tests.ledger.client import LedgerClient
from tests.plugin import NewDatabase

# Waits are a hundredth of what they are.
QUICK = replace(LIMITS, placement_lease_seconds=0.2)
EVERYTHING = 1_000


def shards_json(service_database: NewDatabase, default_url: str) -> str:
    """`other` is another database, `schema` another schema of the default one."""
    shards = {
        "other": {"database_url": service_database("ledger")},
        "schema": {"database_url": default_url, "schema": "ledger_two"},
    }
    return json.dumps(shards)


@asynccontextmanager
async def connected(url: str, shards: str) -> AsyncIterator[Mapping[str, Connections]]:
    """Connections as a move has them, to every shard."""
    given = {DEFAULT_SHARD: url, **{s.name: s.url for s in shards_of(SecretStr(shards))}}
    async with AsyncExitStack() as stack:
        opened = {name: move_connections(shard_url) for name, shard_url in given.items()}
        for connections in opened.values():
            stack.push_async_callback(connections.close)
        yield opened


@asynccontextmanager
async def moving(url: str, shards: str) -> AsyncIterator[tuple[Mover, list[str]]]:
    """A mover, and the lines that it has told."""
    told: list[str] = []
    async with connected(url, shards) as opened:
        yield Mover(opened, told.append, QUICK), told


async def everything_of(client: LedgerClient, names: Sequence[str]) -> list[Message | bytes]:
    """Every read and proof of a ledger: the same before and after a move."""
    ledger = client.ledger
    found: list[Any] = []
    last = (
        await client.stub.ListTransactions(
            reads.ListTransactionsRequest(ledger=ledger, page_size=EVERYTHING)
        )
    ).transactions
    found += last
    for sequence in range(1, len(last) + 1):
        found.append(await client.get(sequence))
    for name in names:
        found.append(
            await client.stub.GetAccount(accounts.GetAccountRequest(ledger=ledger, name=name))
        )
        found.append(
            await client.stub.ListEntries(
                entries.ListEntriesRequest(ledger=ledger, account=name, page_size=EVERYTHING)
            )
        )
        for sequence in range(0, len(last) + 1, 3):
            found.append(await client.balance(name, sequence=sequence))
    found.append(
        await client.stub.GetTrialBalance(
            balances.GetTrialBalanceRequest(ledger=ledger, page_size=EVERYTHING)
        )
    )
    found += await proofs_of(client, len(last))
    return found


async def proofs_of(client: LedgerClient, size: int) -> list[Any]:
    """The newest checkpoint, a proof of each transaction in it, and the whole export."""
    ledger = client.ledger
    newest = await client.audit.GetCheckpoint(audit.GetCheckpointRequest(ledger=ledger))
    sealed = newest.checkpoint.tree_size
    found: list[Any] = [newest]
    found += [
        await client.audit.GetInclusionProof(
            audit.GetInclusionProofRequest(ledger=ledger, sequence=sequence, tree_size=sealed)
        )
        for sequence in range(1, sealed + 1)
    ]
    export = client.audit.ExportLog(exports.ExportLogRequest(ledger=ledger, through_sequence=size))
    found += [answer async for answer in export]
    return found


async def is_intact(client: LedgerClient) -> bool:
    """Whether VerifyLedger finds everything as it has to be."""
    found = [
        answer
        async for answer in client.audit.VerifyLedger(
            audit.VerifyLedgerRequest(ledger=client.ledger)
        )
    ]
    return bool(found[-1].done and found[-1].intact)

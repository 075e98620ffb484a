"""Proofs as a client gets them over gRPC, verified with nothing but the public key."""

import asyncio
import itertools
import json

import grpc
import psycopg
import pytest

from ledger.notes import Checkpoint, open_note
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import transaction_mutations_pb2 as mutations
from runtime.clock import ManualClock
from runtime.errors import ReceivedError, from_rpc_error
from runtime.merkle import leaf_hash, verify_consistency, verify_inclusion
from sandbox.polling import poll
from tests.ledger.client import LedgerClient, failure_of, transfer
from tests.ledger.running import SIGNER, OpenReplica


async def checkpoint(client: LedgerClient, size: int = 0) -> audit.GetCheckpointResponse:
    """The oldest checkpoint of at least that size, as soon as there is one."""

    async def read() -> audit.GetCheckpointResponse | ReceivedError:
        request = audit.GetCheckpointRequest(ledger=client.ledger, min_tree_size=size)
        try:
            return await client.audit.GetCheckpoint(request)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)

    found = await poll(read, lambda answer: isinstance(answer, audit.GetCheckpointResponse))
    assert isinstance(found, audit.GetCheckpointResponse)
    return found


def opened(message: audit.Checkpoint) -> Checkpoint:
    """What the note says, which is what the message says."""
    note = open_note(message.note.encode(), SIGNER.verifier)
    assert note.ledger == message.ledger
    assert (note.tree_size, note.root_hash) == (message.tree_size, message.root_hash)
    return note


async def inclusion(
    client: LedgerClient, sequence: int, size: int = 0
) -> audit.GetInclusionProofResponse:
    return await client.audit.GetInclusionProof(
        audit.GetInclusionProofRequest(ledger=client.ledger, sequence=sequence, tree_size=size)
    )


async def consistency(
    client: LedgerClient, first: int, second: int = 0
) -> audit.GetConsistencyProofResponse:
    return await client.audit.GetConsistencyProof(
        audit.GetConsistencyProofRequest(
            ledger=client.ledger, first_tree_size=first, second_tree_size=second
        )
    )


async def grow(client: LedgerClient, count: int) -> int:
    """Adds so many transactions and waits for a checkpoint of all; answers its size."""
    results = await client.batch(
        *(
            mutations.BatchItem(create=transfer("receivable", "cash", 1 + number))
            for number in range(count)
        )
    )
    return (await checkpoint(client, results[-1].transaction.sequence)).checkpoint.tree_size


async def test_every_transaction_is_proved_against_every_later_checkpoint(
    bank: LedgerClient,
) -> None:
    sizes = [await grow(bank, count) for count in (1, 2, 4, 8, 16)]
    assert sizes == [1, 3, 7, 15, 31]
    for size in (*sizes, 0):
        for sequence in range(1, (size or 31) + 1):
            proof = await inclusion(bank, sequence, size)
            note = opened(proof.checkpoint)
            assert note.tree_size == (size or 31)
            assert proof.leaf_index == sequence - 1
            assert verify_inclusion(
                leaf_hash(proof.leaf),
                proof.leaf_index,
                note.tree_size,
                proof.path,
                note.root_hash,
            )
            leaf = json.loads(proof.leaf)
            assert (leaf["sequence"], leaf["ledger"]) == (str(sequence), "main")


async def test_proofs_over_several_tiles(bank: LedgerClient) -> None:
    """Some hashes come from kept subtrees, the others from leaves at two places."""
    sizes = [await grow(bank, count) for count in (250, 6, 1, 300, 500, 7)]
    assert sizes == [250, 256, 257, 557, 1_057, 1_064]
    for size in sizes:
        for sequence in {1, 128, 250, 256, 257, 512, 1_024, 1_025, size - 1, size}:
            if sequence <= size:
                proof = await inclusion(bank, sequence, size)
                assert verify_inclusion(
                    leaf_hash(proof.leaf),
                    sequence - 1,
                    size,
                    proof.path,
                    opened(proof.checkpoint).root_hash,
                )
    for first, second in itertools.combinations_with_replacement(sizes, 2):
        grown = await consistency(bank, first, second)
        assert verify_consistency(
            first, second, opened(grown.first).root_hash, opened(grown.second).root_hash, grown.path
        )


async def test_the_newest_checkpoint_and_the_oldest_that_is_enough(bank: LedgerClient) -> None:
    first, second = await grow(bank, 2), await grow(bank, 3)
    assert (first, second) == (2, 5)
    newest = await checkpoint(bank)
    assert (newest.checkpoint.tree_size, newest.unsealed_count) == (5, 0)
    assert opened(newest.checkpoint).account_count == 4
    assert (await checkpoint(bank, 1)).checkpoint.tree_size == 2
    assert (await checkpoint(bank, 3)).checkpoint.tree_size == 5
    grown = await consistency(bank, first)
    assert (grown.first.tree_size, grown.second.tree_size) == (2, 5)
    same = await consistency(bank, second, second)
    assert list(same.path) == []


async def test_what_is_not_sealed(open_replica: OpenReplica, url: str) -> None:
    bank = await open_replica(url, seal_interval_ms=3_600_000)
    await bank.create_ledger()
    await bank.account("cash")
    await bank.account("safe")
    await bank.create(transfer("cash", "safe", 1))
    for call, metadata in (
        (
            bank.audit.GetCheckpoint(audit.GetCheckpointRequest(ledger="main")),
            {"tree_size": "0", "sealed_size": "0"},
        ),
        (inclusion(bank, 1), {"tree_size": "0", "sealed_size": "0"}),
        (inclusion(bank, 1, 1), {"tree_size": "1", "sealed_size": "0"}),
        (consistency(bank, 1), {"tree_size": "0", "sealed_size": "0"}),
    ):
        error = await failure_of(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_SEALED")
        assert error.metadata == metadata


async def test_sizes_that_no_checkpoint_has(bank: LedgerClient) -> None:
    assert await grow(bank, 2) == 2
    assert await grow(bank, 3) == 5
    for call, metadata in (
        (inclusion(bank, 6), {"sequence": "6", "sealed_size": "5"}),
        (inclusion(bank, 1, 3), {"tree_size": "3", "sealed_size": "5"}),
        (inclusion(bank, 1, 6), {"tree_size": "6", "sealed_size": "5"}),
        (consistency(bank, 6), {"tree_size": "6", "sealed_size": "5"}),
        (consistency(bank, 3, 5), {"tree_size": "3", "sealed_size": "5"}),
        (consistency(bank, 2, 4), {"tree_size": "4", "sealed_size": "5"}),
    ):
        error = await failure_of(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "NOT_SEALED")
        assert error.metadata == metadata


async def test_sizes_that_make_no_sense(bank: LedgerClient) -> None:
    for call, field in (
        (inclusion(bank, 3, 2), "tree_size"),
        (inclusion(bank, 0), "sequence"),
        (consistency(bank, 3, 2), "second_tree_size"),
        (consistency(bank, 0), "first_tree_size"),
    ):
        error = await failure_of(call)
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_REQUEST",
        )
        assert [violation.field for violation in error.violations] == [field]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET amount = amount + 1 WHERE sequence = 2",
        "UPDATE transactions SET reference = 'other' WHERE sequence = 2",
        "UPDATE transactions SET leaf_hash = sha256('') WHERE sequence = 2",
    ],
)
async def test_a_changed_transaction_is_never_proved(
    bank: LedgerClient, url: str, change: str
) -> None:
    """By an owner who takes the triggers away; what was proved before still is."""
    assert await grow(bank, 4) == 4
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in ("transactions", "entries"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only".encode())
        await connection.execute(change.encode())
    error = await failure_of(inclusion(bank, 2))
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert set(error.metadata) == {"trace_id"}


async def test_two_replicas_seal_one_log(
    bank: LedgerClient, open_replica: OpenReplica, url: str
) -> None:
    other = await open_replica(url)
    for _ in range(10):
        await asyncio.gather(grow(bank, 30), grow(other, 30))
    newest = (await checkpoint(bank)).checkpoint
    assert newest.tree_size == 600
    sizes = [0]
    while sizes[-1] < 600:
        found = await checkpoint(other, sizes[-1] + 1)
        sizes.append(found.checkpoint.tree_size)
    for first, second in itertools.pairwise(sizes[1:]):
        grown = await consistency(other, first, second)
        assert verify_consistency(
            first, second, opened(grown.first).root_hash, opened(grown.second).root_hash, grown.path
        )


async def test_a_start_seals_what_the_last_process_left(
    open_replica: OpenReplica, url: str, clock: ManualClock
) -> None:
    first = await open_replica(url, seal_interval_ms=3_600_000)
    await first.create_ledger()
    await first.account("cash")
    await first.account("receivable")
    await first.create(transfer("cash", "receivable", 1))
    second = await open_replica(url)
    found = await checkpoint(second, 1)
    assert (found.checkpoint.tree_size, found.unsealed_count) == (1, 0)
    assert found.checkpoint.seal_time.ToDatetime(clock.now().tzinfo) == clock.now()


async def test_every_kind_of_transaction_is_proved(bank: LedgerClient, clock: ManualClock) -> None:
    """The leaf that is rebuilt from rows is the one that was hashed when it was committed."""
    direct = await bank.create(
        transfer("wallet", "cash", 100, reference="r", metadata={"k\n": "v\u2028", "😀": "ﬁ"})
    )
    hold = await bank.hold("payable", "cash", 40)
    await bank.post(hold.sequence, {0: 10, 1: 10}, remainder=2)
    await bank.void(hold.sequence)
    await bank.reverse(direct.sequence, {0: 5, 1: 5})
    assert (await checkpoint(bank, 5)).checkpoint.tree_size >= 5
    kinds = [json.loads((await inclusion(bank, n)).leaf)["kind"] for n in range(1, 6)]
    assert kinds == ["DIRECT", "PENDING", "POST", "VOID", "REVERSAL"]

"""Requests of the ledger's benchmarks as bytes, made before the clock starts, and their answers.

What is random comes from a seed, so that every run sends the same.
"""

import itertools
import random
import secrets
from collections.abc import Iterator, Sequence

from bench.ledger_parts import ACCOUNTS, LEDGER, transfer_between
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.transaction_pb2 import PostInput, TransactionInput, TransactionKey

SEED = 20_260
MAX_AMOUNT_MINOR = 1_000
HOT_ACCOUNT = 0

# Numbers of the accounts debited and credited, for ever.
Pairs = Iterator[tuple[int, int]]

# A ledger that is kept has the request_ids of earlier runs.
_run = secrets.token_hex(4)
_request_numbers = itertools.count(1)


def uniform_pairs() -> Pairs:
    """Any two accounts, each as likely as the others."""
    numbers = random.Random(SEED)
    while True:
        debited, credited = numbers.sample(range(ACCOUNTS), 2)
        yield debited, credited


def hot_pairs() -> Pairs:
    """One account in every transaction, debited and credited in turn, with any other."""
    numbers = random.Random(SEED)
    while True:
        other = numbers.randrange(1, ACCOUNTS)
        yield HOT_ACCOUNT, other
        yield other, HOT_ACCOUNT


def zipf_pairs() -> Pairs:
    """Two accounts, the k-th of them with a likelihood in proportion to 1 / k (exponent 1.0)."""
    numbers = random.Random(SEED)
    ranked = range(ACCOUNTS)
    cumulated = list(itertools.accumulate(1 / rank for rank in range(1, ACCOUNTS + 1)))
    while True:
        drawn = iter(numbers.choices(ranked, cum_weights=cumulated, k=2 * ACCOUNTS))
        yield from (pair for pair in zip(drawn, drawn, strict=True) if pair[0] != pair[1])


def request_id() -> str:
    """One that no request has had, of this run or of any other."""
    return f"bench-{_run}-{next(_request_numbers):010}"


def creates(pairs: Pairs, count: int) -> list[bytes]:
    """So many `CreateTransactionRequest`."""
    return [
        mutations.CreateTransactionRequest(
            request_id=request_id(), ledger=LEDGER, transaction=transfer
        ).SerializeToString()
        for transfer in transfers(pairs, count)
    ]


def batches(pairs: Pairs, count: int, size: int) -> list[bytes]:
    """So many `BatchCreateTransactionsRequest` of so many transfers, each with an id of its own."""
    return [
        mutations.BatchCreateTransactionsRequest(
            request_id=request_id(),
            ledger=LEDGER,
            mode=mutations.BATCH_MODE_INDEPENDENT,
            items=[
                mutations.BatchItem(request_id=request_id(), create=transfer)
                for transfer in transfers(pairs, size)
            ],
        ).SerializeToString()
        for _ in range(count)
    ]


def holds_and_posts(pairs: Pairs, count: int) -> list[tuple[bytes, bytes]]:
    """So many pairs of a `CreateTransactionRequest` that holds and the post of it in full."""
    made = []
    for transfer in transfers(pairs, count):
        transfer.pending = True
        hold = mutations.CreateTransactionRequest(
            request_id=request_id(), ledger=LEDGER, transaction=transfer
        )
        post = mutations.PostTransactionRequest(
            request_id=request_id(),
            ledger=LEDGER,
            post=PostInput(pending=TransactionKey(request_id=hold.request_id)),
        )
        made.append((hold.SerializeToString(), post.SerializeToString()))
    return made


def transfers(pairs: Pairs, count: int) -> Iterator[TransactionInput]:
    """So many transfers between the next pairs of accounts."""
    for number, (debited, credited) in enumerate(itertools.islice(pairs, count)):
        yield transfer_between(debited, credited, 1 + number % MAX_AMOUNT_MINOR)


def check_creates(answers: Sequence[bytes], count: int) -> None:
    """Raises `RuntimeError` unless each answer has its transaction, no two the same."""
    parse = mutations.CreateTransactionResponse.FromString
    _check(count, (parse(answer).transaction.sequence for answer in answers))


def check_batches(answers: Sequence[bytes], count: int) -> None:
    """Raises `RuntimeError` unless each item has its transaction, no two the same."""
    parse = mutations.BatchCreateTransactionsResponse.FromString
    # A failed item reads as sequence 0.
    results = itertools.chain.from_iterable(parse(answer).results for answer in answers)
    _check(count, (result.transaction.sequence for result in results))


def _check(count: int, sequences: Iterator[int]) -> None:
    made = {sequence for sequence in sequences if sequence > 0}
    if len(made) != count:
        raise RuntimeError(f"{len(made)} of {count} transactions were made")

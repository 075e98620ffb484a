"""What the committer decided, as answers: fresh ones, and those of a repeated request_id."""

from collections.abc import Mapping, Sequence

from ledger.commands import AccountsMade, Command, Decided, ItemOutcome, Outcome, Prior, Record
from ledger.encoding import (
    account_message,
    encode_batch,
    encode_failed,
    encode_result,
    short_batch,
)
from ledger.errors import error_of, error_of_failure, reused
from ledger.posting import Kind
from ledger.reader import Reader
from ledger.refusal import Refusal
from ledger.v1 import account_pb2
from ledger.v1.transaction_mutations_pb2 import (
    BatchCreateTransactionsRequest,
    BatchCreateTransactionsResponse,
    BatchItem,
    BatchItemResult,
    ItemFailure,
)
from ledger.v1.transaction_pb2 import TRANSACTION_VIEW_SEQUENCE, TRANSACTION_VIEW_SUMMARY
from ledger.validation import VALIDATOR
from ledger.wire import encode_answer, encode_batch_answer, encode_transaction
from runtime.beside import beside
from runtime.idempotency import differences


class Answers:
    """Builds the answers of one database's ledgers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def transaction(self, ledger_id: int, ledger: str, outcome: Outcome) -> bytes:
        """The response of a call that makes one transaction, encoded; raises the refusal, fresh
        or kept."""
        if isinstance(outcome, Decided):
            (record,) = outcome.results
        else:
            prior = self._prior(outcome)
            assert prior.sequence is not None, "a kept success of a unary call is its transaction"
            (record,) = await self._reader.records(ledger_id, [prior.sequence])
        assert isinstance(record, Record), "a unary call is decided or refused"
        return encode_answer(encode_transaction(ledger, record))

    async def batch(
        self, ledger_id: int, ledger: str, command: Command, outcome: Outcome, *, view: int
    ) -> bytes:
        """The response of a batch, encoded; raises the refusal of an atomic one, fresh or kept."""
        entries = view != TRANSACTION_VIEW_SUMMARY
        if isinstance(outcome, Decided):
            if view == TRANSACTION_VIEW_SEQUENCE:
                return await beside(_short, outcome.results)
            earlier = await self._earlier(ledger_id, outcome.results)
            return await beside(_encoded, ledger, outcome.results, earlier, entries)
        if isinstance(outcome, Prior) and outcome.fingerprint != command.fingerprint:
            await self._check_same_batch(ledger_id, command, outcome)
        answer = self._prior(outcome).answer
        if view == TRANSACTION_VIEW_SEQUENCE:
            return short_batch(answer)
        kept = BatchCreateTransactionsResponse.FromString(answer)
        sequences = [r.transaction.sequence for r in kept.results if r.HasField("transaction")]
        records = {r.sequence: r for r in await self._reader.records(ledger_id, sequences)}
        return encode_batch_answer(
            [
                encode_result(ledger, records[result.transaction.sequence], entries=entries)
                if result.HasField("transaction")
                else result.SerializeToString()
                for result in kept.results
            ]
        )

    def accounts(self, ledger: str, outcome: Outcome) -> list[account_pb2.Account]:
        """The accounts just made or closed, or those kept; raises the refusal, fresh or kept."""
        if isinstance(outcome, AccountsMade):
            return [account_message(ledger, account) for account in outcome.accounts]
        answer = self._prior(outcome).answer
        # The three answers number their accounts alike, so the repeated one reads all of them.
        return list(account_pb2.BatchCreateAccountsResponse.FromString(answer).accounts)

    @staticmethod
    def _prior(outcome: Outcome) -> Prior:
        if isinstance(outcome, Refusal):
            raise error_of(outcome)
        assert isinstance(outcome, Prior), "every other outcome was dealt with"
        if outcome.failed:
            raise error_of_failure(ItemFailure.FromString(outcome.answer))
        return outcome

    async def _earlier(self, ledger_id: int, outcomes: Sequence[ItemOutcome]) -> dict[int, Record]:
        """Transactions of items that were made by earlier batches, by sequence."""
        earlier = [o.sequence for o in outcomes if isinstance(o, Prior) and o.sequence is not None]
        if not earlier:
            return {}
        return {
            record.sequence: record for record in await self._reader.records(ledger_id, earlier)
        }

    async def _check_same_batch(self, ledger_id: int, command: Command, prior: Prior) -> None:
        """Raises REQUEST_ID_REUSED with the fields in which two batches differ.

        The earlier one is put together again from what became of its items.
        """
        request = BatchCreateTransactionsRequest.FromString(prior.body)
        if not prior.failed:
            kept = BatchCreateTransactionsResponse.FromString(prior.answer)
            sequences = [r.transaction.sequence for r in kept.results if r.HasField("transaction")]
            bodies = {r.sequence: r for r in await self._reader.records(ledger_id, sequences)}
            for item, result in zip(request.items, kept.results, strict=True):
                if item.WhichOneof("operation") is None:
                    _restore(item, bodies[result.transaction.sequence])
        # An older build may have kept another form.
        VALIDATOR.canonicalise(request)
        now = BatchCreateTransactionsRequest.FromString(command.body)
        if differing := differences(request, now):
            raise error_of(reused(command.request_id, differing))


def _restore(item: BatchItem, record: Record) -> None:
    """Gives an item of a stored batch its id and body back."""
    item.request_id = record.request_id
    if record.kind in (Kind.DIRECT, Kind.PENDING):
        item.create.MergeFromString(record.body)
    elif record.kind is Kind.POST:
        item.post.MergeFromString(record.body)
    elif record.kind is Kind.VOID:
        item.void.MergeFromString(record.body)
    else:
        item.reversal.MergeFromString(record.body)


def _encoded(
    ledger: str, outcomes: Sequence[ItemOutcome], earlier: Mapping[int, Record], entries: bool
) -> bytes:
    """The response of a batch, given the transactions of items that are older."""
    results: list[bytes] = []
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            results.append(encode_failed(outcome))
        elif isinstance(outcome, Record):
            results.append(encode_result(ledger, outcome, entries=entries))
        elif outcome.sequence is not None:
            results.append(encode_result(ledger, earlier[outcome.sequence], entries=entries))
        else:
            failure = ItemFailure.FromString(outcome.answer)
            results.append(BatchItemResult(failure=failure).SerializeToString())
    return encode_batch_answer(results)


def _short(outcomes: Sequence[ItemOutcome]) -> bytes:
    return short_batch(encode_batch(outcomes))

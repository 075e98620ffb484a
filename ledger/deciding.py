"""Decides a batch of commands in order: the rules applied to the book, the results planned.

One bad request never fails its neighbours; nothing here waits, reads a clock or touches the
database, so that a batch that lost the race for the head is simply decided again.
"""

from collections.abc import Iterable, Mapping, Sequence

from ledger import settlement
from ledger.book import Book, Source
from ledger.commands import (
    OPERATION_OF_KIND,
    AccountsMade,
    Command,
    Decided,
    Decision,
    Item,
    ItemOutcome,
    Operation,
    Outcome,
    Prior,
    Record,
)
from ledger.encoding import (
    differing_bodies,
    encode_account,
    encode_accounts,
    encode_batch,
    encode_failure,
    without_successes,
)
from ledger.errors import reused
from ledger.opening import new_accounts
from ledger.plan import Head, Plan
from ledger.posting import Draft, Kind, Posted, open_draft
from ledger.refusal import Refusal, at_item
from ledger.settlement import Post, Void
from ledger.sources import source_of
from runtime.idempotency import OTHER_METHOD


class Deciding:
    """One attempt to decide a batch, from one state of the ledger."""

    def __init__(
        self, ledger: str, head: Head, book: Book, priors: Mapping[str, Prior], record_us: int
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._priors = dict(priors)
        self._next_sequence = head.last_sequence + 1
        self._next_account_number = head.last_account_number + 1
        self.plan = Plan(head=head, record_us=record_us)
        book.record_us = record_us

    def expire(self, sequences: Iterable[int]) -> None:
        """Expires holds whose time has come."""
        for sequence in sequences:
            source = self._book.sources[sequence]
            posted = settlement.expire(self._book, source, self._next_sequence)
            self._add_settlement(source)
            record = Record(
                sequence=self._next_sequence,
                kind=Kind.EXPIRY,
                request_id="",
                body=b"",
                reference="",
                entries=posted,
                record_us=self.plan.record_us,
                effective_us=None if source.expire_us == self.plan.record_us else source.expire_us,
                settles=sequence,
            )
            self._add(record)

    def decide(self, commands: Sequence[Command]) -> Plan:
        """Decides the commands in order and answers what to write."""
        self.plan.outcomes.extend(self._decide(command) for command in commands)
        return self.finish()

    def finish(self) -> Plan:
        """The plan with the balances as they ended up."""
        added = {account.number for account in self.plan.accounts_added}
        self.plan.balances_changed = {
            number: account for number, account in self._book.changed.items() if number not in added
        }
        return self.plan

    def _decide(self, command: Command) -> Outcome:
        prior = self._prior(command.request_id)
        if prior is not None:
            return self._repeat(prior, command.operation, command.request_id, command.body)
        self.plan.request_ids.append(command.request_id)
        try:
            if command.operation is Operation.BATCH:
                return self._decide_batch(command)
            if command.operation in (Operation.CREATE_ACCOUNT, Operation.BATCH_ACCOUNTS):
                return self._make_accounts(command)
            if command.operation is Operation.CLOSE_ACCOUNT:
                return self._close_account(command)
            record = self._decide_item(command.items[0])
        except Refusal as refusal:
            self._keep(command, failed=True, answer=encode_failure(refusal))
            return refusal
        return Decided([record])

    def _prior(self, request_id: str) -> Prior | None:
        """What a request_id stands for already: from before, or from this same commit."""
        prior = self._priors.get(request_id)
        if prior is not None:
            return prior
        record = self._made(self._book.sequence_of.get(request_id))
        if record is None:
            return None
        operation = OPERATION_OF_KIND[record.kind]
        return Prior(operation, record.body, record.sequence, False, b"", None)

    def _made(self, sequence: int | None) -> Record | None:
        """The transaction of this commit with that sequence, if there is one."""
        index = -1 if sequence is None else sequence - self.plan.head.last_sequence - 1
        return self.plan.records[index] if 0 <= index < len(self.plan.records) else None

    def _repeat(
        self, prior: Prior, operation: Operation, request_id: str, body: bytes
    ) -> Prior | Refusal:
        """The earlier outcome of a request_id, or a refusal if it stood for something else."""
        if operation is prior.operation is Operation.BATCH:
            return prior
        if operation is not prior.operation:
            return reused(request_id, OTHER_METHOD)
        if body != prior.body and (differing := differing_bodies(operation, prior.body, body)):
            return reused(request_id, differing)
        return prior

    def _decide_batch(self, command: Command) -> Decided:
        results: list[ItemOutcome] = []
        if command.atomic:
            self._decide_atomic(command, results)
        else:
            results.extend(self._decide_independent(item) for item in command.items)
        answer = encode_batch(results)
        body = without_successes(command.body, results)
        self._keep(command, failed=False, answer=answer, body=body)
        return Decided(results)

    def _decide_atomic(self, command: Command, results: list[ItemOutcome]) -> None:
        """All items, or a refusal that names the one at fault and undoes those before it."""
        first_record, first_hold = len(self.plan.records), len(self.plan.holds_added)
        first_sequence = self._next_sequence
        self._book.begin_atomic(first_sequence)
        for index, item in enumerate(command.items):
            try:
                results.append(self._decide_item(item))
            except Refusal as refusal:
                self._book.end_atomic(undo=True)
                for sequence in range(first_sequence, self._next_sequence):
                    self._book.sources.pop(sequence, None)
                    self.plan.sources_changed.pop(sequence, None)
                del self.plan.records[first_record:]
                del self.plan.holds_added[first_hold:]
                self._next_sequence = first_sequence
                raise at_item(refusal, index) from refusal
        self._book.end_atomic(undo=False)

    def _decide_independent(self, item: Item) -> ItemOutcome:
        if not item.request_id:
            try:
                return self._decide_item(item)
            except Refusal as refusal:
                return refusal
        prior = self._prior(item.request_id)
        if prior is not None:
            return self._repeat(prior, item.operation, item.request_id, item.body)
        self.plan.request_ids.append(item.request_id)
        try:
            return self._decide_item(item)
        except Refusal as refusal:
            answer = encode_failure(refusal)
            decision = Decision(item.request_id, item.operation, item.body, None, True, answer)
            self._keep_decision(decision)
            return refusal

    def _decide_item(self, item: Item) -> Record:
        action = item.action
        if isinstance(action, Draft):
            return self._open(item, action)
        self._find_source(action.key)
        if isinstance(action, Post):
            source, posted = settlement.post(self._book, action, self._next_sequence)
            kind = Kind.POST
        elif isinstance(action, Void):
            source, posted = settlement.void(self._book, action, self._next_sequence)
            kind = Kind.VOID
        else:
            source, posted = settlement.reverse(self._book, action)
            return self._add(self._record(Kind.REVERSAL, item, posted, reverses=source.sequence))
        self._add_settlement(source)
        return self._add(self._record(kind, item, posted, settles=source.sequence))

    def _open(self, item: Item, draft: Draft) -> Record:
        posted = open_draft(self._book, draft, self.plan.record_us)
        if not draft.pending:
            return self._add(self._record(Kind.DIRECT, item, posted))
        record = self._record(Kind.PENDING, item, posted, expire_us=draft.expire_us)
        source = source_of(record)
        self._book.sources[record.sequence] = source
        self.plan.holds_added.append((source, record))
        return self._add(record)

    def _find_source(self, key: int | str) -> None:
        """Makes a transaction of this same batch known as a source, when one names it."""
        sequence = key if isinstance(key, int) else self._book.sequence_of.get(key)
        if sequence in self._book.sources:
            return
        record = self._made(sequence)
        if record is not None:
            self._book.sources[record.sequence] = source_of(record)

    def _record(
        self,
        kind: Kind,
        item: Item,
        posted: Sequence[Posted],
        *,
        expire_us: int | None = None,
        settles: int | None = None,
        reverses: int | None = None,
    ) -> Record:
        _, request_id, body, _, effective_us, reference, notes = item
        record_us = self.plan.record_us
        return Record(
            self._next_sequence,
            kind,
            request_id,
            body,
            reference,
            posted,
            record_us,
            None if effective_us == record_us else effective_us,
            expire_us,
            settles,
            reverses,
            notes,
        )

    def _add(self, record: Record) -> Record:
        self._next_sequence += 1
        self.plan.records.append(record)
        if record.request_id:
            self._book.name_transaction(record.request_id, record.sequence)
        return record

    def _add_settlement(self, source: Source) -> None:
        self.plan.sources_changed[source.sequence] = source

    def _make_accounts(self, command: Command) -> AccountsMade:
        made = new_accounts(
            self._book,
            command.accounts,
            self._next_account_number,
            self.plan.record_us,
            is_batch=command.operation is Operation.BATCH_ACCOUNTS,
        )
        self._next_account_number += len(made)
        self.plan.accounts_added.extend(made)
        answer = encode_accounts(self._ledger, made, command.operation)
        self._keep(command, failed=False, answer=answer)
        return AccountsMade(made)

    def _close_account(self, command: Command) -> AccountsMade:
        account = self._book.open_account(command.close)
        account.check_empty()
        account.closed_us = self.plan.record_us
        self.plan.accounts_closed.append((account, self._next_sequence - 1))
        self._keep(command, failed=False, answer=encode_account(self._ledger, account))
        return AccountsMade([account])

    def _keep(
        self, command: Command, *, failed: bool, answer: bytes, body: bytes | None = None
    ) -> None:
        decision = Decision(
            command.request_id,
            command.operation,
            command.body if body is None else body,
            command.fingerprint,
            failed,
            answer,
        )
        self._keep_decision(decision)

    def _keep_decision(self, decision: Decision) -> None:
        self.plan.decisions.append(decision)
        self._priors[decision.request_id] = Prior(
            decision.operation,
            decision.body,
            None,
            decision.failed,
            decision.answer,
            decision.fingerprint,
        )

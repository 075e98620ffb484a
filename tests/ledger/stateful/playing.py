"""Plays a history against a running ledger and the naive one, and compares every answer.

After each step the whole trial balance is read: it has to equal the naive ledger's, and by itself
it has to be what any ledger's is. At the end the log is checked from its feed alone, every request
is repeated, every hold looked at, and VerifyLedger asked.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from runtime.clock import ManualClock
from tests.ledger.log_checks import check_log
from tests.ledger.naive.ledger import NaiveLedger
from tests.ledger.naive.moments import micros
from tests.ledger.naive.reads import head, read, watched
from tests.ledger.stateful.accounts import ACCOUNTS, FUNDING
from tests.ledger.stateful.calls import call, call_all_pages, wordless
from tests.ledger.stateful.legs import leg
from tests.ledger.stateful.reading import reading
from tests.ledger.stateful.requests import Requests
from tests.ledger.stateful.steps import Read, Step, Wait

ALL_ACCOUNTS = 1_000
LOOKS_AT_ONCE = 50
# While holds are expired behind an answer: some ten milliseconds.
MAX_DRAINING_READS = 10_000


class Play:
    """One history in a ledger of its own."""

    def __init__(
        self,
        channel: Any,
        clock: ManualClock,
        name: str,
        expiries: int,
        draining_reads: int = MAX_DRAINING_READS,
    ) -> None:
        """`expiries` is how many holds the service expires in a commit; `draining_reads` how often
        is looked until all are that are due."""
        self.stub: Any = LedgerServiceStub(channel)
        self.audits: Any = AuditServiceStub(channel)
        self.clock = clock
        self._draining_reads = draining_reads
        self._model = NaiveLedger(name, self._now_us(), expiries)
        self._requests = Requests(self._model)
        # The first answer to each request, to the last word.
        self._first: dict[str, Any] = {}
        self.steps = 0

    async def all_of(self, history: Sequence[Step]) -> None:
        """Plays a history from an empty ledger to its end."""
        await self._begin()
        for step in history:
            await self._take(step)
            await self._check_trial()
            self.steps += 1
        await self._end()

    def _now_us(self) -> int:
        moment = Timestamp()
        moment.FromDatetime(self.clock.now())
        return micros(moment)

    async def _begin(self) -> None:
        name = self._model.name
        await self.stub.CreateLedger(ledgers.CreateLedgerRequest(request_id=name, name=name))
        await self._change(
            accounts.BatchCreateAccountsRequest(
                request_id="accounts", ledger=name, accounts=ACCOUNTS
            )
        )
        draft = transactions.TransactionInput()
        for account, amount in FUNDING:
            draft.entries.append(leg("cash", amount, "EUR", is_debit=True))
            draft.entries.append(leg(account, amount, "EUR", is_debit=False))
        funding = mutations.CreateTransactionRequest(
            request_id="funding", ledger=name, transaction=draft
        )
        self._requests.sent.append(funding)
        await self._change(funding)

    async def _take(self, step: Step) -> None:
        if isinstance(step, Wait):
            self.clock.advance(timedelta(microseconds=step.us))
            self._model.now_us = self._now_us()
        elif isinstance(step, Read):
            await self._read(reading(self._model, step))
        else:
            await self._change(self._requests.of(step))

    async def _change(self, request: Any) -> None:
        """Sends a mutating request; its answer is the naive ledger's, and the first one's."""
        had_due = bool(self._model.due)
        answer = await call(self.stub, request)
        expected = self._model.answer(request)
        assert wordless(answer) == expected, f"{request}\nanswered: {answer}\nexpected: {expected}"
        if had_due:
            await self._drain()
        if getattr(answer, "reason", None) == "REQUEST_ID_REUSED":
            return
        key = f"{request.request_id} {getattr(request, 'view', '')}"
        assert self._first.setdefault(key, answer) == answer, f"another answer to {request}"

    async def _drain(self) -> None:
        """Reads the moment under way, and waits until all that is due is recorded."""
        await self._check_trial()
        request = ledgers.GetLedgerRequest(name=self._model.name)
        for _ in range(self._draining_reads):
            got = await self.stub.GetLedger(request)
            if got.ledger.last_sequence >= self._model.last_sequence + len(self._model.due):
                self._model.expire_due()
                return
        raise AssertionError(f"still due: {self._model.due}")

    async def _read(self, request: Any) -> None:
        if isinstance(request, reads.WatchTransactionsRequest):
            await self._watch(request)
            return
        answer = wordless(await call_all_pages(self.stub, request))
        expected = read(self._model, request)
        assert answer == expected, f"{request}\nanswered: {answer}\nexpected: {expected}"

    async def _watch(self, request: reads.WatchTransactionsRequest) -> list[Any]:
        """The feed from a sequence to the present end."""
        seen: list[Any] = []
        if request.after_sequence < self._model.last_sequence:
            watching = self.stub.WatchTransactions(request)
            async for response in watching:
                seen += response.transactions
                if response.through_sequence >= self._model.last_sequence:
                    break
            watching.cancel()
        assert seen == watched(self._model, request), request
        return seen

    async def _check_trial(self) -> None:
        request = balances.GetTrialBalanceRequest(ledger=self._model.name, page_size=ALL_ACCOUNTS)
        trial = await call(self.stub, request)
        # When a hold's expiry is recorded is the ledger's choice, but for the order.
        self._model.expire_due(max(0, trial.sequence - self._model.last_sequence))
        assert trial == read(self._model, request)
        check_trial(trial)

    async def _end(self) -> None:
        name = self._model.name
        got = await self.stub.GetLedger(ledgers.GetLedgerRequest(name=name))
        expected = head(self._model)
        assert got.ledger.last_sequence == expected.last_sequence
        assert got.ledger.last_record_time == expected.last_record_time
        whole = reads.WatchTransactionsRequest(ledger=name)
        check_log(await self._watch(whole))
        if self._model.due:
            # Any request has it recorded; those below, all at once, would be in each other's way.
            await self._change(self._requests.sent[0])
        await asyncio.gather(*(self._change(request) for request in self._requests.sent))
        await self._check_trial()
        holds = [fact.sequence for fact in self._model.log.facts if fact.kind == "pending"]
        for first in range(0, len(holds), LOOKS_AT_ONCE):
            looks = holds[first : first + LOOKS_AT_ONCE]
            await asyncio.gather(*map(self._look_at, looks))
        verified = audit.VerifyLedgerResponse()
        async for verified in self.audits.VerifyLedger(audit.VerifyLedgerRequest(ledger=name)):
            assert not verified.HasField("first_difference"), verified
        assert verified.done
        assert verified.intact, verified
        assert verified.sequence == self._model.last_sequence
        assert verified.entry_count == sum(len(fact.legs) for fact in self._model.log.facts)

    async def _look_at(self, sequence: int) -> None:
        """Reads one transaction and what has become of it."""
        key = transactions.TransactionKey(sequence=sequence)
        await self._read(reads.GetTransactionRequest(ledger=self._model.name, key=key))


def check_trial(trial: balances.GetTrialBalanceResponse) -> None:
    """What is true of any ledger: zero-sum, nothing held below zero, available by its rule."""
    for total in trial.totals:
        assert total.posted_debits_minor == total.posted_credits_minor, total
        assert total.pending_debits_minor == total.pending_credits_minor, total
    normal = {account.name: account.normal_balance for account in ACCOUNTS}
    for line in trial.lines:
        balance = line.balance
        is_credit = normal.get(balance.account) == accounts.NORMAL_BALANCE_CREDIT
        held = balance.pending_debits_minor if is_credit else balance.pending_credits_minor
        difference = balance.posted_debits_minor - balance.posted_credits_minor
        assert balance.posted_minor == (-difference if is_credit else difference), balance
        assert balance.available_minor == balance.posted_minor - held, balance
        assert min(balance.pending_debits_minor, balance.pending_credits_minor) >= 0, balance

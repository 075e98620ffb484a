"""The mutating methods over the naive log: every answer, and every answer once more."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.message import Message

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.transaction_pb2 import TRANSACTION_VIEW_SEQUENCE, TRANSACTION_VIEW_SUMMARY
from tests.ledger.naive import messages, rules
from tests.ledger.naive.differences import differences, plain
from tests.ledger.naive.log import Account, Fact, Kind, Leg, Log
from tests.ledger.naive.moments import micros
from tests.ledger.naive.refused import Failure, RefusedError

# Status numbers as gRPC defines them.
STATUS = {
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "FAILED_PRECONDITION": 9,
    "OUT_OF_RANGE": 11,
}
# The field of each request that a repetition has to match; None is the whole request.
BODIES: dict[type[Message], str | None] = {
    mutations.CreateTransactionRequest: "transaction",
    mutations.PostTransactionRequest: "post",
    mutations.VoidTransactionRequest: "void",
    mutations.ReverseTransactionRequest: "reversal",
    mutations.BatchCreateTransactionsRequest: None,
    accounts.CreateAccountRequest: "account",
    accounts.BatchCreateAccountsRequest: None,
    accounts.CloseAccountRequest: None,
}
OPERATIONS = {"transaction": "create", "post": "post", "void": "void", "reversal": "reversal"}

# Of the paths in which two requests differ.
MAX_NAMED = 20

Answer = Message | Failure


class Kept(NamedTuple):
    """What a request_id stands for, for good."""

    operation: str
    body: Any
    answer: Any


class NaiveLedger:
    """One ledger. `now_us` is set by whoever moves the clock.

    A request that finds holds due has `expiries` of them recorded before it, and the rest after.
    """

    def __init__(self, name: str, now_us: int, expiries: int) -> None:
        self.name = name
        self.now_us = now_us
        self.expiries = expiries
        # Up to when reads have been answered for good.
        self.closed_us: int | None = None
        self.log = Log()
        self.kept: dict[str, Kept] = {}

    @property
    def last_sequence(self) -> int:
        return len(self.log.facts)

    @property
    def last_record_us(self) -> int:
        return self.log.facts[-1].record_us if self.log.facts else 0

    @property
    def record_us(self) -> int:
        """What is recorded now gets this time: not before what is there, nor in an answer that was
        given."""
        least = self.last_record_us if self.closed_us is None else self.closed_us + 1
        return max(self.now_us, self.last_record_us, least)

    def close(self, moment_us: int) -> int:
        """The moment that a read speaks of, about which nothing is recorded any more."""
        moment_us = min(moment_us, self.now_us)
        if self.last_record_us <= moment_us:
            self.closed_us = max(moment_us, self.closed_us or moment_us)
        return moment_us

    @property
    def due(self) -> list[Fact]:
        """The holds whose time has come, the earliest first."""
        due = self.log.lapsed(self.record_us)
        return sorted(due, key=lambda fact: (fact.expire_us, fact.sequence))

    def answer(self, request: Any) -> Answer:
        """The answer to a mutating request: the first one again if its id was seen before."""
        field = BODIES[type(request)]
        body = getattr(request, field) if field else request
        operation = OPERATIONS.get(field or "", request.DESCRIPTOR.name)
        try:
            kept = self._repeated(request.request_id, operation, body)
        except RefusedError as refused:
            return refused.failure
        if kept is None:
            self.expire_due(self.expiries)
            answer = self._decided(request, operation, body)
            kept = self.kept[request.request_id] = Kept(operation, copied(body), answer)
        return answered(request, kept.answer)

    def expire_due(self, most: int | None = None) -> None:
        """Records the expiry of the first so many holds whose time has come, or of all."""
        for hold in self.due[:most]:
            self._add("expiry", rules.rest_of(self.log, hold), "", hold.expire_us, hold.sequence)

    def _repeated(self, request_id: str, operation: str, body: Any) -> Kept | None:
        kept = self.kept.get(request_id)
        if kept is None:
            return None
        paths = ["method"]
        if kept.operation == operation:
            paths = differences(plain(kept.body), plain(body))
        if paths:
            raise RefusedError(
                "REQUEST_ID_REUSED",
                request_id=request_id,
                differing_fields=",".join(paths[:MAX_NAMED]),
                differing_field_count=len(paths),
            )
        return kept

    def _decided(self, request: Any, operation: str, body: Any) -> Answer:
        if isinstance(request, accounts.CloseAccountRequest):
            # Nothing is recorded of a closed account, so it waits until all of it is recorded.
            while any(leg.account == request.name for hold in self.due for leg in hold.legs):
                self.expire_due(self.expiries)
        first_free = self.last_sequence
        self.log.now_us = self.record_us
        try:
            if operation in OPERATIONS.values():
                made: Answer = self._item(operation, request.request_id, body).message
                return made
            if isinstance(request, mutations.BatchCreateTransactionsRequest):
                return self._batch(request)
            if isinstance(request, accounts.CloseAccountRequest):
                rules.close(self.log, request.name)
                self.log.closed_us[request.name] = self.record_us
                closed = self.log.accounts[request.name]
                return messages.account(self.name, closed, self.record_us)
            if isinstance(request, accounts.CreateAccountRequest):
                return self._accounts([request.account], in_batch=False).accounts[0]
            return self._accounts(request.accounts, in_batch=True)
        except RefusedError as refused:
            self.log.forget_after(first_free)
            return refused.failure

    def _batch(self, request: Any) -> mutations.BatchCreateTransactionsResponse:
        response = mutations.BatchCreateTransactionsResponse()
        for index, item in enumerate(request.items):
            operation = item.WhichOneof("operation")
            body = getattr(item, operation)
            if request.mode == mutations.BATCH_MODE_ATOMIC:
                try:
                    response.results.add().transaction.CopyFrom(
                        self._item(operation, "", body).message
                    )
                except RefusedError as refused:
                    undone = self.last_sequence - index
                    raise refused.of_items_after(undone).at_item(index) from refused
                continue
            result = self._independent(operation, item.request_id, body)
            if isinstance(result, Failure):
                failure = response.results.add().failure
                failure.reason = ErrorReason.Value(f"ERROR_REASON_{result.reason}")
                failure.code = STATUS[result.code]
                failure.metadata.update(result.metadata)
            else:
                response.results.add().transaction.CopyFrom(result)
        return response

    def _independent(self, operation: str, request_id: str, body: Any) -> Any:
        """One item's outcome, kept under its own id if it has one."""
        try:
            kept = self._repeated(request_id, operation, body) if request_id else None
        except RefusedError as refused:
            return refused.failure
        if kept is not None:
            return kept.answer
        answer: Any
        try:
            answer = self._item(operation, request_id, body).message
        except RefusedError as refused:
            answer = refused.failure
        if request_id:
            self.kept[request_id] = Kept(operation, copied(body), answer)
        return answer

    def _item(self, operation: str, request_id: str, body: Any) -> Fact:
        """Decides one transaction and adds it, or raises `RefusedError`."""
        dated = operation != "void" and body.HasField("effective_time")
        effective_us = micros(body.effective_time) if dated else None
        if operation == "create":
            legs = rules.create(self.log, body, self.record_us)
            kind: Kind = "pending" if body.pending else "direct"
            return self._add(kind, legs, request_id, effective_us, body=body)
        if operation == "reversal":
            original, legs = rules.reverse(self.log, body)
            return self._add(
                "reversal", legs, request_id, effective_us, reverses=original.sequence, body=body
            )
        kind = "post" if operation == "post" else "void"
        hold, legs = (rules.post if kind == "post" else rules.void)(self.log, body)
        return self._add(kind, legs, request_id, effective_us, hold.sequence, body=body)

    def _add(
        self,
        kind: Kind,
        legs: Sequence[Leg],
        request_id: str,
        effective_us: int | None,
        settles: int = 0,
        *,
        reverses: int = 0,
        body: Any = None,
    ) -> Fact:
        is_new = kind in ("direct", "pending")
        expires = is_new and body.HasField("expire_time")
        fact = Fact(
            sequence=self.last_sequence + 1,
            kind=kind,
            legs=legs,
            record_us=self.record_us,
            effective_us=self.record_us if effective_us is None else effective_us,
            request_id=request_id,
            expire_us=micros(body.expire_time) if expires else None,
            reference=body.reference if body is not None else "",
            metadata=dict(body.metadata) if body is not None else {},
            exchanges=list(body.exchanges) if is_new else (),
            settles=settles,
            reverses=reverses,
        )
        fact.message = messages.transaction(self.name, self.log, fact)
        self.log.add(fact)
        return fact

    def _accounts(
        self, inputs: Sequence[Any], *, in_batch: bool
    ) -> accounts.BatchCreateAccountsResponse:
        made: dict[str, Account] = {}
        for index, new in enumerate(inputs):
            if new.name in self.log.accounts or new.name in made:
                refused = RefusedError("ACCOUNT_ALREADY_EXISTS", account=new.name)
                raise refused.at_item(index) if in_batch else refused
            limits = {f.name: value for f, value in new.limits.ListFields()}
            is_debit = new.normal_balance == accounts.NORMAL_BALANCE_DEBIT
            made[new.name] = Account(
                new.name,
                new.currency_code,
                "debit" if is_debit else "credit",
                limits,
                dict(new.metadata),
                self.record_us,
            )
        self.log.accounts.update(made)
        return accounts.BatchCreateAccountsResponse(
            accounts=[messages.account(self.name, account, None) for account in made.values()]
        )


def copied(body: Message) -> Any:
    """A copy that later changes of the request do not reach; a batch's view is no part of it."""
    copy = type(body)()
    copy.CopyFrom(body)
    if isinstance(copy, mutations.BatchCreateTransactionsRequest):
        copy.ClearField("view")
    return copy


def answered(request: Any, answer: Any) -> Answer:
    """The kept answer as this request wants to see it."""
    is_batch = isinstance(answer, mutations.BatchCreateTransactionsResponse)
    if not is_batch or request.view not in (TRANSACTION_VIEW_SUMMARY, TRANSACTION_VIEW_SEQUENCE):
        whole: Answer = answer
        return whole
    shorter = mutations.BatchCreateTransactionsResponse()
    for result in answer.results:
        shown = shorter.results.add()
        if request.view == TRANSACTION_VIEW_SEQUENCE:
            if result.HasField("transaction"):
                shown.transaction.sequence = result.transaction.sequence
            else:
                shown.failure.reason, shown.failure.code = (
                    result.failure.reason,
                    result.failure.code,
                )
            continue
        shown.CopyFrom(result)
        if result.HasField("transaction"):
            shown.transaction.ClearField("entries")
    return shorter

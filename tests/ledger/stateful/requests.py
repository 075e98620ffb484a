"""Steps as requests: what their numbers mean, given what the model says there is."""

from typing import Any

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1 import transaction_pb2 as transactions
from tests.ledger.naive.ledger import NaiveLedger
from tests.ledger.naive.log import Fact
from tests.ledger.naive.moments import stamp
from tests.ledger.stateful.accounts import account
from tests.ledger.stateful.changes import changed
from tests.ledger.stateful.legs import convert, label, legs_of, parts_of, spoil
from tests.ledger.stateful.steps import (
    Again,
    Batch,
    Close,
    Condition,
    Create,
    Open,
    Repeat,
    Step,
    Take,
)

FITTING = {"post": ("pending",), "void": ("pending",), "reversal": ("direct", "post")}
FIELDS = {
    transactions.TransactionInput: "create",
    transactions.PostInput: "post",
    transactions.VoidInput: "void",
    transactions.ReversalInput: "reversal",
}
UNARY: dict[str, tuple[Any, str]] = {
    "create": (mutations.CreateTransactionRequest, "transaction"),
    "post": (mutations.PostTransactionRequest, "post"),
    "void": (mutations.VoidTransactionRequest, "void"),
    "reversal": (mutations.ReverseTransactionRequest, "reversal"),
}
Body = (
    transactions.TransactionInput
    | transactions.PostInput
    | transactions.VoidInput
    | transactions.ReversalInput
)


class Requests:
    """Makes the requests of one history and remembers them, to send them again."""

    def __init__(self, model: NaiveLedger) -> None:
        self._model = model
        self._numbers = 0
        self.sent: list[Any] = []

    def of(self, step: Step) -> Any:
        """The request of a step that changes something."""
        if isinstance(step, Repeat):
            earlier = self.sent[step.target % len(self.sent)]
            return changed(earlier, step.change)
        request = self._new(step)
        self.sent.append(request)
        return request

    def _new(self, step: Step) -> Any:
        more = {"request_id": self._id(), "ledger": self._model.name}
        if isinstance(step, Close):
            names = [*self._model.log.accounts, "nobody"]
            name = names[-1 - step.account % len(names)]
            return accounts.CloseAccountRequest(name=name, **more)
        if isinstance(step, Open):
            return self._open(step, more)
        if isinstance(step, Batch):
            return mutations.BatchCreateTransactionsRequest(
                mode=mutations.BATCH_MODE_ATOMIC
                if step.atomic
                else mutations.BATCH_MODE_INDEPENDENT,
                items=self._items(step),
                view=transactions.TRANSACTION_VIEW_SEQUENCE
                if step.short
                else transactions.TRANSACTION_VIEW_SUMMARY
                if step.summary
                else transactions.TRANSACTION_VIEW_UNSPECIFIED,
                **more,
            )
        assert isinstance(step, Create | Take), f"no request of {step}"
        body = self._body(step, [])
        request_type, field = UNARY[FIELDS[type(body)]]
        return request_type(**{field: body}, **more)

    def _id(self) -> str:
        self._numbers += 1
        return f"request-{self._numbers}"

    def _open(self, step: Open, more: dict[str, str]) -> Any:
        made = [account(f"new/{n}", accounts.NORMAL_BALANCE_DEBIT) for n in step.names]
        if step.in_batch:
            return accounts.BatchCreateAccountsRequest(accounts=made, **more)
        return accounts.CreateAccountRequest(account=made[0], **more)

    def _items(self, step: Batch) -> list[mutations.BatchItem]:
        items: list[mutations.BatchItem] = []
        taken: set[str] = set()
        for part in step.items:
            if isinstance(part, Again):
                item = self._again(part)
                if item is None or step.atomic or item.request_id in taken:
                    continue
            else:
                item = item_of(self._body(part, items))
                if step.own_ids and not step.atomic:
                    item.request_id = self._id()
            taken.add(item.request_id)
            items.append(item)
        if not items:
            nobody = transactions.TransactionKey(request_id="nobody")
            items.append(item_of(transactions.VoidInput(pending=nobody)))
        return items

    def _again(self, part: Again) -> mutations.BatchItem | None:
        """An item that stands for an earlier unary request or item."""
        kept = [
            (request_id, kept)
            for request_id, kept in self._model.kept.items()
            if kept.operation in UNARY
        ]
        if not kept:
            return None
        request_id, earlier = kept[part.target % len(kept)]
        item = mutations.BatchItem(request_id=request_id, **{earlier.operation: earlier.body})
        if part.changed:
            getattr(item, earlier.operation).reference += "!"
        return item

    def _body(self, step: Create | Take, items: list[mutations.BatchItem]) -> Body:
        if isinstance(step, Create):
            return self._draft(step)
        earlier = [i for i in items if i.request_id and i.create.pending]
        if step.operation != "reversal" and earlier and step.named_by_id:
            return settled_beside(step, earlier[step.target % len(earlier)])
        fact = self._target(step)
        key = self._key(step, fact)
        parts = parts_of(step, self._left(step, fact)) if fact is not None else []
        body: Body
        if step.operation == "post":
            keep = step.keep and bool(parts)
            body = transactions.PostInput(
                pending=key,
                parts=parts,
                remainder=transactions.REMAINDER_KEEP if keep else transactions.REMAINDER_RELEASE,
            )
        elif step.operation == "void":
            body = transactions.VoidInput(pending=key)
        else:
            body = transactions.ReversalInput(original=key, parts=parts)
        if step.effective_in_us is not None and not isinstance(body, transactions.VoidInput):
            body.effective_time.CopyFrom(stamp(self._model.now_us + step.effective_in_us))
        label(body, step.label)
        return body

    def _target(self, step: Take) -> Fact | None:
        """Mostly a transaction that the operation makes sense for, now and then any or none."""
        facts = self._model.log.facts
        fitting = [f for f in facts if step.aim == "any" or f.kind in FITTING[step.operation]]
        open_ones = [fact for fact in fitting if any(self._left(step, fact).values())]
        if step.aim == "none":
            return None
        chosen = {"open": open_ones, "fitting": fitting}.get(step.aim) or fitting or facts
        return chosen[-1 - step.target % len(chosen)]

    def _left(self, step: Take, fact: Fact) -> dict[int, int]:
        log = self._model.log
        if step.operation == "reversal":
            return log.reversible(fact)
        return log.held(fact) if fact.kind == "pending" else {}

    def _key(self, step: Take, fact: Fact | None) -> transactions.TransactionKey:
        if fact is None:
            if step.named_by_id:
                return transactions.TransactionKey(request_id="nobody")
            return transactions.TransactionKey(sequence=self._model.last_sequence + 1000)
        if step.named_by_id and fact.request_id:
            return transactions.TransactionKey(request_id=fact.request_id)
        return transactions.TransactionKey(sequence=fact.sequence)

    def _draft(self, step: Create) -> transactions.TransactionInput:
        now_us = self._model.now_us
        draft = transactions.TransactionInput(pending=step.pending)
        for group in step.groups:
            draft.entries.extend(legs_of(group))
        if step.conversion is not None:
            convert(draft, step.conversion, step.fault)
        if step.pending and step.expires_in_us is not None:
            draft.expire_time.CopyFrom(stamp(now_us + step.expires_in_us))
        if step.effective_in_us is not None:
            draft.effective_time.CopyFrom(stamp(now_us + step.effective_in_us))
        if step.condition is not None:
            self._condition(draft, step.condition)
        spoil(draft, step.fault)
        label(draft, step.label)
        return draft

    def _condition(self, draft: transactions.TransactionInput, condition: Condition) -> None:
        entry = draft.entries[condition.leg % len(draft.entries)]
        totals = self._model.log.totals(entry.account)
        made = self._model.log.accounts[entry.account]
        if condition.field == "expected_version":
            entry.precondition.expected_version = max(0, totals.version + condition.offset)
        else:
            bound = totals.balance(made.normal) + condition.offset
            setattr(entry.precondition, condition.field, bound)


def item_of(body: Body) -> mutations.BatchItem:
    fields: dict[str, Any] = {FIELDS[type(body)]: body}
    return mutations.BatchItem(**fields)


def settled_beside(step: Take, earlier: mutations.BatchItem) -> Body:
    """A post or void of a hold that an earlier item of the same batch makes."""
    key = transactions.TransactionKey(request_id=earlier.request_id)
    if step.operation == "void":
        return transactions.VoidInput(pending=key)
    left = {i: entry.amount.minor_units for i, entry in enumerate(earlier.create.entries)}
    parts = parts_of(step, left)
    keep = step.keep and bool(parts)
    return transactions.PostInput(
        pending=key,
        parts=parts,
        remainder=transactions.REMAINDER_KEEP if keep else transactions.REMAINDER_UNSPECIFIED,
    )

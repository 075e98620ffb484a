"""Whether what clients saw can be of the log that is there; raises the first thing that cannot."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.transaction_pb2 import TRANSACTION_KIND_EXPIRY, Transaction
from tests.ledger.killing.history import Call, History, acknowledged, asked_ids
from tests.ledger.log_checks import check_log


class HistoryFaultError(AssertionError):
    """Clients saw what the log does not explain."""


class Span(NamedTuple):
    """When a transaction can have been made: between first being asked for and first answered."""

    first_sent: float
    answered: float
    sequence: int


def check_history(history: History, log: Sequence[Transaction]) -> None:
    """Everything that docs/ledger.md promises of acknowledged requests."""
    check_log(log)
    check_outcomes(history.calls)
    check_acknowledged(history.calls, log)
    check_nothing_unasked(history.calls, log)
    check_real_time(history.calls)
    for watched in history.watched:
        check_watched(watched, log)


def check_outcomes(calls: Iterable[Call]) -> None:
    """Each request_id has one outcome, whoever asked, however often, on whichever replica."""
    outcomes: dict[str, Any] = {}
    for call in calls:
        require(call.answer is not None, f"{call.request_id} was never answered")
        first = outcomes.setdefault(call.request_id, call.answer)
        require(first == call.answer, f"{call.request_id} had two outcomes")


def check_acknowledged(calls: Iterable[Call], log: Sequence[Transaction]) -> None:
    """What was acknowledged is in the log, to the last balance, for one request only."""
    asker_of: dict[int, str] = {}
    for call in calls:
        for position, transaction in acknowledged(call):
            sequence = transaction.sequence
            require(1 <= sequence <= len(log), f"transaction {sequence} is lost")
            kept = log[sequence - 1]
            require(kept == transaction, f"transaction {sequence} was answered otherwise")
            check_as_asked(call.request, position, transaction)
            # Items of two batches can share an id; what has none belongs to one place in one batch.
            asker = transaction.request_id or f"{call.request_id}[{position}]"
            first = asker_of.setdefault(sequence, asker)
            require(first == asker, f"transaction {sequence} answers {first} and {asker}")


def check_as_asked(request: Any, position: int, transaction: Transaction) -> None:
    """A transaction has the id and the legs of what it is the answer to."""
    asked = request
    draft = getattr(request, "transaction", None)
    if isinstance(request, mutations.BatchCreateTransactionsRequest):
        asked = request.items[position]
        draft = asked.create if asked.HasField("create") else None
    is_its_own = transaction.request_id == asked.request_id
    if draft is not None:
        legs = [(e.account, e.direction, e.amount) for e in draft.entries]
        made = [(e.account, e.direction, e.amount) for e in transaction.entries]
        is_its_own = is_its_own and legs == made
    require(is_its_own, f"transaction {transaction.sequence} is not what was asked for")


def check_nothing_unasked(calls: Sequence[Call], log: Sequence[Transaction]) -> None:
    """No transaction but expiries that nobody asked for, and none made twice."""
    asked = asked_ids(calls)
    in_batches = {
        transaction.sequence
        for call in calls
        if isinstance(call.request, mutations.BatchCreateTransactionsRequest)
        for _, transaction in acknowledged(call)
    }
    for request_id, count in Counter(t.request_id for t in log if t.request_id).items():
        require(count == 1, f"{request_id} was made {count} times")
        require(request_id in asked, f"nobody asked for {request_id}")
    for transaction in log:
        is_explained = (
            transaction.request_id
            or transaction.kind == TRANSACTION_KIND_EXPIRY
            or transaction.sequence in in_batches
        )
        require(bool(is_explained), f"nobody asked for transaction {transaction.sequence}")
    settled = Counter(t.settles_sequence for t in log if t.kind == TRANSACTION_KIND_EXPIRY)
    require(not settled or max(settled.values()) == 1, "a hold expired twice")


def check_real_time(calls: Iterable[Call]) -> None:
    """What was acknowledged before another was first sent has the lower sequence."""
    spans: dict[int, Span] = {}
    sent: dict[str, float] = {}
    for call in calls:
        sent[call.request_id] = min(call.first_sent, sent.get(call.request_id, call.first_sent))
    for call in calls:
        for _, transaction in acknowledged(call):
            first_sent = sent[call.request_id]
            span = spans.get(transaction.sequence)
            if span is not None:
                first_sent = min(first_sent, span.first_sent)
                answered = min(call.answered, span.answered)
            else:
                answered = call.answered
            spans[transaction.sequence] = Span(first_sent, answered, transaction.sequence)
    by_answer = sorted(spans.values(), key=lambda span: span.answered)
    highest, position = 0, 0
    for span in sorted(spans.values()):
        while by_answer[position].answered < span.first_sent:
            highest = max(highest, by_answer[position].sequence)
            position += 1
        require(
            span.sequence > highest,
            f"transaction {span.sequence} was asked for after {highest} was acknowledged",
        )


def check_watched(watched: Sequence[Transaction], log: Sequence[Transaction]) -> None:
    """A watcher was brought the log: each sequence once, in order, as it is kept."""
    for sequence, (brought, kept) in enumerate(zip(watched, log, strict=False), start=1):
        require(
            brought.sequence == sequence, f"a watcher saw {brought.sequence} instead of {sequence}"
        )
        require(brought == kept, f"a watcher saw another transaction {sequence}")
    require(len(watched) == len(log), f"a watcher saw {len(watched)} transactions, not {len(log)}")


def require(holds: bool, what: str) -> None:
    if not holds:
        raise HistoryFaultError(what)

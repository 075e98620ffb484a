"""Reading steps as requests."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as reads
from tests.ledger.naive.ledger import NaiveLedger
from tests.ledger.naive.moments import stamp
from tests.ledger.stateful.accounts import PREFIXES
from tests.ledger.stateful.steps import SECOND_US, Read

KINDS = (
    (),
    (transactions.TRANSACTION_KIND_DIRECT,),
    (transactions.TRANSACTION_KIND_PENDING, transactions.TRANSACTION_KIND_EXPIRY),
    (transactions.TRANSACTION_KIND_POST, transactions.TRANSACTION_KIND_REVERSAL),
)
VIEWS = (
    transactions.TRANSACTION_VIEW_SEQUENCE,
    transactions.TRANSACTION_VIEW_SUMMARY,
    transactions.TRANSACTION_VIEW_FULL,
    transactions.TRANSACTION_VIEW_UNSPECIFIED,
)


def reading(model: NaiveLedger, step: Read) -> Any:
    """The request of a reading step."""
    name = account_of(model, step.subject)
    if step.method == "balance":
        return balances.GetBalanceRequest(
            ledger=model.name,
            account=name,
            as_of=point_of(model, step),
            include_holds=step.flag,
            page_size=step.page_size,
        )
    if step.method == "prefix":
        prefix = PREFIXES[step.subject % len(PREFIXES)]
        return balances.GetBalanceRequest(
            ledger=model.name,
            prefix=prefix,
            as_of=point_of(model, step),
            include_holds=step.flag,
            page_size=step.page_size,
        )
    if step.method == "trial":
        return balances.GetTrialBalanceRequest(
            ledger=model.name,
            prefix=PREFIXES[step.subject % len(PREFIXES)] if step.flag else "",
            as_of=point_of(model, step),
            page_size=step.page_size,
        )
    if step.method == "statement":
        period = period_of(model, step)
        return entries.ListEntriesRequest(
            ledger=model.name, account=name, period=period, page_size=step.page_size
        )
    if step.method == "account":
        return accounts.GetAccountRequest(ledger=model.name, name=name)
    if step.method == "accounts":
        prefix = PREFIXES[step.subject % len(PREFIXES)] if step.flag else ""
        return accounts.ListAccountsRequest(
            ledger=model.name, prefix=prefix, page_size=step.page_size
        )
    if step.method == "transaction":
        return reads.GetTransactionRequest(ledger=model.name, key=key_of(model, step))
    if step.method == "feed":
        return reads.WatchTransactionsRequest(
            ledger=model.name,
            after_sequence=sequence_of(model, step.subject),
            account_prefix=PREFIXES[step.subject % len(PREFIXES)] if step.flag else "",
        )
    assert step.method == "transactions", f"no request of {step}"
    return reads.ListTransactionsRequest(
        ledger=model.name,
        account=name if step.subject % 2 else "",
        reference="order 1" if step.subject % 5 == 0 else "",
        kinds=KINDS[step.subject % len(KINDS)],
        after_sequence=max(0, step.back),
        descending=step.flag,
        view=VIEWS[step.subject % len(VIEWS)],
        page_size=step.page_size,
    )


def account_of(model: NaiveLedger, subject: int) -> str:
    names = [*model.log.accounts, "nobody"]
    return names[subject % len(names)]


def sequence_of(model: NaiveLedger, number: int) -> int:
    """A sequence of the log, 0 included."""
    return number % (model.last_sequence + 1)


def key_of(model: NaiveLedger, step: Read) -> transactions.TransactionKey:
    fact = model.log.fact(model.last_sequence - step.subject)
    if fact is None:
        return transactions.TransactionKey(request_id="request-1")
    if step.flag and fact.request_id:
        return transactions.TransactionKey(request_id=fact.request_id)
    return transactions.TransactionKey(sequence=fact.sequence)


def moment_of(model: NaiveLedger, back: int) -> Timestamp:
    """So many seconds back, or the very moment of a record."""
    if back % 3 == 0 and model.log.facts:
        fact = model.log.facts[back % model.last_sequence]
        return stamp(fact.record_us if back % 2 else fact.record_us - 1)
    return stamp(model.now_us - back * SECOND_US)


def point_of(model: NaiveLedger, step: Read) -> balances.AsOf | None:
    if step.point == "sequence":
        beyond = 5 if step.back == 30 else 0
        if step.subject % 2:
            return balances.AsOf(sequence=max(0, model.last_sequence - abs(step.back)))
        return balances.AsOf(sequence=sequence_of(model, abs(step.back)) + beyond)
    if step.point == "record_time":
        return balances.AsOf(record_time=moment_of(model, step.back))
    if step.point == "effective_time":
        return balances.AsOf(effective_time=moment_of(model, step.back))
    return None


def period_of(model: NaiveLedger, step: Read) -> entries.StatementPeriod | None:
    if step.point == "sequence":
        first, last = sorted(sequence_of(model, n) for n in (step.subject, abs(step.back)))
        return entries.StatementPeriod(after_sequence=first, through_sequence=last)
    if step.point == "record_time":
        return entries.StatementPeriod(
            start_record_time=moment_of(model, abs(step.back)),
            end_record_time=moment_of(model, step.subject - 50) if step.flag else None,
        )
    return None

"""The reading methods over the naive log; lists are answered whole, whoever asks walks pages."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.v1 import account_pb2 as accounts
from ledger.v1 import balance_pb2 as balances
from ledger.v1 import entry_pb2 as entries
from ledger.v1 import ledger_pb2 as ledgers
from ledger.v1 import transaction_pb2 as transactions
from ledger.v1 import transaction_reads_pb2 as lists
from tests.ledger.naive import messages
from tests.ledger.naive.ledger import NaiveLedger
from tests.ledger.naive.log import Fact, Totals
from tests.ledger.naive.moments import micros, stamp
from tests.ledger.naive.refused import RefusedError
from tests.ledger.naive.rules import found

END_OF_TIME = 2**62


class Point(NamedTuple):
    """The point of the log that a read speaks of."""

    through: int
    lapsed_by_us: int | None = None
    effective_by_us: int | None = None
    born_by_us: int = END_OF_TIME

    @property
    def sums(self) -> tuple[int, int | None, int | None]:
        """What an account's totals go by."""
        return self.through, self.lapsed_by_us, self.effective_by_us


def read(ledger: NaiveLedger, request: Any) -> Any:
    """The answer to a reading request, or `Failure`."""
    try:
        return READS[type(request)](ledger, request)
    except RefusedError as refused:
        return refused.failure


def get_balance(ledger: NaiveLedger, request: Any) -> balances.GetBalanceResponse:
    point = point_of(ledger, request.as_of)
    response = balances.GetBalanceResponse(
        sequence=counted(ledger, point), record_time=record_time(request.as_of, point)
    )
    names = [request.account]
    if request.HasField("prefix"):
        names = names_below(ledger, request.prefix, point)
        response.balances.extend(below(ledger, request.prefix, point))
    else:
        check_account(ledger, request.account)
        response.balances.append(balance_of(ledger, request.account, point))
    if request.include_holds:
        response.holds.extend(holds_of(ledger, names, point))
    return response


def get_trial_balance(ledger: NaiveLedger, request: Any) -> balances.GetTrialBalanceResponse:
    point = point_of(ledger, request.as_of)
    response = balances.GetTrialBalanceResponse(
        sequence=counted(ledger, point), record_time=record_time(request.as_of, point)
    )
    for name in names_below(ledger, request.prefix, point):
        response.lines.add(balance=balance_of(ledger, name, point))
    for total in below(ledger, request.prefix, point):
        response.totals.add(
            currency_code=total.currency_code,
            posted_debits_minor=total.posted_debits_minor,
            posted_credits_minor=total.posted_credits_minor,
            pending_debits_minor=total.pending_debits_minor,
            pending_credits_minor=total.pending_credits_minor,
        )
    return response


def list_entries(ledger: NaiveLedger, request: Any) -> entries.ListEntriesResponse:
    opening, closing, end_us = span_of(ledger, request.period)
    check_account(ledger, request.account)
    return entries.ListEntriesResponse(
        entries=[
            entry
            for fact in ledger.log.facts[opening:closing]
            for entry in fact.message.entries
            if entry.account == request.account
        ],
        opening_balance=balance_of(ledger, request.account, Point(opening)),
        closing_balance=balance_of(ledger, request.account, Point(closing)),
        opening_sequence=opening,
        closing_sequence=closing,
        end_record_time=None if end_us is None else stamp(end_us),
    )


def get_transaction(ledger: NaiveLedger, request: Any) -> lists.GetTransactionResponse:
    fact = found(ledger.log, request.key)
    settlements, reversals = ledger.log.settlements(fact), ledger.log.reversals(fact)
    standing = transactions.TransactionStanding(
        state=state_of(ledger, fact),
        settled_by=[settlement.sequence for settlement in settlements],
        reversed_by=[reversal.sequence for reversal in reversals],
    )
    if standing.state == transactions.TRANSACTION_STATE_PENDING:
        for index, left in ledger.log.held(fact).items():
            standing.held.add(entry_index=index, remaining_minor=left)
    if fact.kind in ("direct", "post"):
        for index, left in ledger.log.reversible(fact).items():
            standing.reversible.add(entry_index=index, remaining_minor=left)
    return lists.GetTransactionResponse(transaction=fact.message, standing=standing)


def state_of(ledger: NaiveLedger, fact: Fact) -> transactions.TransactionState.ValueType:
    settling = {
        "post": transactions.TRANSACTION_STATE_POSTED,
        "void": transactions.TRANSACTION_STATE_VOIDED,
        "expiry": transactions.TRANSACTION_STATE_EXPIRED,
    }
    if fact.kind != "pending":
        return settling.get(fact.kind, transactions.TRANSACTION_STATE_POSTED)
    if not any(ledger.log.held(fact).values()):
        return settling[ledger.log.settlements(fact)[-1].kind]
    if fact.expire_us is not None and fact.expire_us <= ledger.now_us:
        return transactions.TRANSACTION_STATE_EXPIRED
    return transactions.TRANSACTION_STATE_PENDING


def list_transactions(ledger: NaiveLedger, request: Any) -> lists.ListTransactionsResponse:
    picked = [
        fact.message
        for fact in ledger.log.facts
        if fact.sequence > request.after_sequence
        and (not request.reference or fact.reference == request.reference)
        and (not request.kinds or fact.message.kind in request.kinds)
        and (not request.account or request.account in {leg.account for leg in fact.legs})
    ]
    if request.descending:
        picked.reverse()
    if request.view == transactions.TRANSACTION_VIEW_SUMMARY:
        picked = [messages.summary(message) for message in picked]
    if request.view == transactions.TRANSACTION_VIEW_SEQUENCE:
        picked = [transactions.Transaction(sequence=message.sequence) for message in picked]
    return lists.ListTransactionsResponse(transactions=picked)


def watched(ledger: NaiveLedger, request: Any) -> list[transactions.Transaction]:
    """What the feed brings of the log as it is now."""
    return [
        fact.message
        for fact in ledger.log.facts[request.after_sequence :]
        if any(is_below(leg.account, request.account_prefix) for leg in fact.legs)
    ]


def get_account(ledger: NaiveLedger, request: Any) -> accounts.GetAccountResponse:
    check_account(ledger, request.name)
    closed_us = ledger.log.closed_us.get(request.name)
    return accounts.GetAccountResponse(
        account=messages.account(ledger.name, ledger.log.accounts[request.name], closed_us),
        balance=balance_of(ledger, request.name, present(ledger)),
    )


def list_accounts(ledger: NaiveLedger, request: Any) -> accounts.ListAccountsResponse:
    log = ledger.log
    return accounts.ListAccountsResponse(
        accounts=[
            messages.account(ledger.name, log.accounts[name], log.closed_us.get(name))
            for name in names_below(ledger, request.prefix, present(ledger))
        ]
    )


def head(ledger: NaiveLedger) -> ledgers.Ledger:
    """What GetLedger says of the log's end; name and times of making are the caller's."""
    message = ledgers.Ledger(last_sequence=ledger.last_sequence)
    if ledger.log.facts:
        message.last_record_time.CopyFrom(stamp(ledger.log.facts[-1].record_us))
    return message


READS: dict[type[Message], Any] = {
    balances.GetBalanceRequest: get_balance,
    balances.GetTrialBalanceRequest: get_trial_balance,
    entries.ListEntriesRequest: list_entries,
    lists.GetTransactionRequest: get_transaction,
    lists.ListTransactionsRequest: list_transactions,
    accounts.GetAccountRequest: get_account,
    accounts.ListAccountsRequest: list_accounts,
}


def present(ledger: NaiveLedger) -> Point:
    return Point(ledger.last_sequence, max(ledger.now_us, ledger.last_record_us))


def point_of(ledger: NaiveLedger, as_of: Any) -> Point:
    which = as_of.WhichOneof("point")
    if which is None:
        return present(ledger)
    if which == "sequence":
        check_reached(ledger, as_of.sequence)
        fact = ledger.log.fact(as_of.sequence)
        recorded = -END_OF_TIME if fact is None else fact.record_us
        return Point(as_of.sequence, recorded, born_by_us=recorded)
    asked = micros(getattr(as_of, which))
    moment = ledger.close(asked)
    if which == "record_time":
        return Point(ledger.log.last_by(moment), moment, born_by_us=moment)
    return Point(ledger.log.last_by(asked), moment, asked)


def record_time(as_of: Any, point: Point) -> Timestamp | None:
    """Which moment an answer speaks of; the empty ledger and the present have none."""
    if as_of.WhichOneof("point") is None or (as_of.HasField("sequence") and not as_of.sequence):
        return None
    assert point.lapsed_by_us is not None
    return stamp(point.lapsed_by_us)


def counted(ledger: NaiveLedger, point: Point) -> int:
    """The last transaction that a read counts: by effective time, whenever it was recorded."""
    return point.through if point.effective_by_us is None else ledger.last_sequence


def span_of(ledger: NaiveLedger, period: Any) -> tuple[int, int, int | None]:
    """The sequences after which and through which a statement goes, and its end by time."""
    check_reached(ledger, period.after_sequence)
    check_reached(ledger, period.through_sequence)
    opening, closing = period.after_sequence, period.through_sequence or ledger.last_sequence
    end_us = None
    if period.HasField("start_record_time"):
        moment = ledger.close(micros(period.start_record_time) - 1)
        opening = max(opening, ledger.log.last_by(moment))
    if period.HasField("end_record_time"):
        moment = ledger.close(micros(period.end_record_time) - 1)
        closing, end_us = min(closing, ledger.log.last_by(moment)), moment + 1
    return opening, max(opening, closing), end_us


def check_reached(ledger: NaiveLedger, sequence: int) -> None:
    if sequence > ledger.last_sequence:
        raise RefusedError(
            "SEQUENCE_NOT_REACHED", sequence=sequence, last_sequence=ledger.last_sequence
        )


def check_account(ledger: NaiveLedger, name: str) -> None:
    if name not in ledger.log.accounts:
        raise RefusedError("ACCOUNT_NOT_FOUND", account=name)


def balance_of(ledger: NaiveLedger, name: str, point: Point) -> balances.Balance:
    account = ledger.log.accounts[name]
    totals = ledger.log.totals(name, *point.sums)
    return messages.balance(name, account.currency, account.normal, totals)


def below(ledger: NaiveLedger, prefix: str, point: Point) -> Iterable[balances.Balance]:
    """Totals per currency over the accounts at or below a path, in order of the codes."""
    found_accounts = [ledger.log.accounts[name] for name in names_below(ledger, prefix, point)]
    for currency in sorted({account.currency for account in found_accounts}):
        members = [account for account in found_accounts if account.currency == currency]
        normals = {account.normal for account in members}
        sums = [ledger.log.totals(account.name, *point.sums) for account in members]
        total = Totals(*(sum(column) for column in zip(*sums, strict=True)))
        normal = normals.pop() if len(normals) == 1 else "debit"
        yield messages.balance(prefix, currency, normal, total)


def names_below(ledger: NaiveLedger, prefix: str, point: Point) -> list[str]:
    return sorted(
        name
        for name, account in ledger.log.accounts.items()
        if is_below(name, prefix) and account.create_us <= point.born_by_us
    )


def is_below(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(f"{prefix}/")


def holds_of(ledger: NaiveLedger, names: list[str], point: Point) -> Iterable[balances.Hold]:
    """What was held at a point, entry by entry."""
    moment = point.lapsed_by_us
    for fact in ledger.log.facts[: point.through]:
        is_over = moment is not None and fact.expire_us is not None and fact.expire_us <= moment
        if fact.kind != "pending" or is_over:
            continue
        for index, left in ledger.log.held(fact, point.through).items():
            leg = fact.legs[index]
            if leg.account in names and left:
                yield balances.Hold(
                    sequence=fact.sequence,
                    entry_index=index,
                    account=leg.account,
                    direction=messages.DIRECTIONS[leg.side],
                    remaining_minor=left,
                    expire_time=None if fact.expire_us is None else stamp(fact.expire_us),
                )

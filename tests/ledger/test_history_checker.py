"""The checker of killed histories notices what it is there for: each fault, made by hand."""

from collections.abc import Callable
from copy import deepcopy

import pytest

from ledger.limits import LIMITS
from ledger.v1 import transaction_mutations_pb2 as mutations
from ledger.v1.account_pb2 import BatchCreateAccountsRequest
from ledger.v1.transaction_pb2 import TRANSACTION_KIND_EXPIRY, Transaction
from tests.ledger.client import credit, debit, draft
from tests.ledger.killing.checker import HistoryFaultError, check_history
from tests.ledger.killing.history import Call, History
from tests.ledger.log_checks import LogFaultError
from tests.ledger.naive.ledger import NaiveLedger
from tests.ledger.stateful.accounts import CREDIT, DEBIT, account

NOW_US = 1_767_614_400_000_000
Log = list[Transaction]
Spoil = Callable[[History, Log], None]


def create(number: int) -> mutations.CreateTransactionRequest:
    return mutations.CreateTransactionRequest(
        request_id=f"request-{number}",
        ledger="main",
        transaction=draft(debit("cash", number), credit("wallet", number)),
    )


@pytest.fixture
def sound() -> tuple[History, Log]:
    """Six calls one after the other, the last of them a batch, and a watcher of all."""
    ledger = NaiveLedger("main", NOW_US, LIMITS.expiries_per_commit)
    ledger.answer(make_accounts())
    history = History()
    batch = mutations.BatchCreateTransactionsRequest(
        request_id="batch", ledger="main", mode=mutations.BATCH_MODE_ATOMIC
    )
    for number in (6, 7):
        batch.items.add(create=create(number).transaction)
    for number, request in enumerate([*map(create, range(1, 6)), batch]):
        ledger.now_us += 1_000_000
        answer = ledger.answer(request)
        history.calls.append(Call(request, number + 0.1, number + 0.9, answer))
    log = [fact.message for fact in ledger.log.facts]
    history.watched = [deepcopy(log)]
    return history, deepcopy(log)


def make_accounts() -> BatchCreateAccountsRequest:
    made = [account("cash", DEBIT), account("wallet", CREDIT)]
    return BatchCreateAccountsRequest(request_id="accounts", ledger="main", accounts=made)


def lose_the_last(_: History, log: Log) -> None:
    del log[-1]


def lose_one_in_the_middle(_: History, log: Log) -> None:
    del log[2]


def double_one(_: History, log: Log) -> None:
    again = deepcopy(log[-1])
    again.sequence += 1
    again.request_id = "request-1"
    for entry in again.entries:
        entry.balance_after.posted_debits_minor += 7 * (entry.entry_index == 0)
        entry.balance_after.posted_credits_minor += 7 * (entry.entry_index == 1)
        entry.balance_after.version += 1
    log.append(again)


def invent_one(history: History, log: Log) -> None:
    double_one(history, log)
    log[-1].request_id = "nobody-asked"


def invent_one_without_id(history: History, log: Log) -> None:
    double_one(history, log)
    log[-1].request_id = ""


def swap_two(_: History, log: Log) -> None:
    log[1], log[2] = log[2], log[1]


def renumber_two(history: History, log: Log) -> None:
    """The first two calls were answered in the other order than they were made."""
    first, second = history.calls[:2]
    first.first_sent, first.answered, second.first_sent, second.answered = (
        second.first_sent,
        second.answered,
        first.first_sent,
        first.answered,
    )


def change_a_balance(_: History, log: Log) -> None:
    log[3].entries[0].balance_after.posted_debits_minor += 1


def change_an_answered_balance(history: History, _: Log) -> None:
    history.calls[3].answer = deepcopy(history.calls[3].answer)
    history.calls[3].answer.entries[0].balance_after.available_minor += 1


def change_an_amount(_: History, log: Log) -> None:
    log[3].entries[0].amount.minor_units += 1


def skip_a_version(_: History, log: Log) -> None:
    log[3].entries[0].balance_after.version += 1


def go_back_in_time(_: History, log: Log) -> None:
    log[3].record_time.seconds -= 60


def answer_twice_differently(history: History, _: Log) -> None:
    again = deepcopy(history.calls[0])
    again.answer = deepcopy(history.calls[1].answer)
    history.calls.append(again)


def answer_one_id_with_another_sequence(history: History, _: Log) -> None:
    history.calls[0].answer = history.calls[1].answer


def answer_with_other_legs(history: History, _: Log) -> None:
    history.calls[1].request.transaction.entries[0].account = "another"


def never_answer(history: History, _: Log) -> None:
    history.calls[0].answer = None


def expire_twice(history: History, log: Log) -> None:
    del history.calls[3:5]
    for transaction in log[3:5]:
        transaction.kind = TRANSACTION_KIND_EXPIRY
        transaction.settles_sequence = 1
        transaction.request_id = ""


def watch_with_a_gap(history: History, _: Log) -> None:
    del history.watched[0][2]


def watch_one_twice(history: History, _: Log) -> None:
    history.watched[0].insert(2, history.watched[0][2])


def watch_too_little(history: History, _: Log) -> None:
    del history.watched[0][-1]


def watch_another_balance(history: History, _: Log) -> None:
    history.watched[0][2].entries[0].balance_after.posted_minor += 1


def test_a_sound_history_is_accepted(sound: tuple[History, Log]) -> None:
    history, log = sound
    check_history(history, log)
    assert [transaction.sequence for transaction in log] == list(range(1, 8))


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lose_the_last, "transaction 7 is lost"),
        (lose_one_in_the_middle, "transaction 4 is not of sequence 3"),
        (double_one, "request-1 was made 2 times"),
        (invent_one, "nobody asked for nobody-asked"),
        (invent_one_without_id, "nobody asked for transaction 8"),
        (swap_two, "transaction 3 is not of sequence 2"),
        (renumber_two, "transaction 1 was asked for after 2 was acknowledged"),
        (change_a_balance, "transaction 4 has .* on cash"),
        (change_an_answered_balance, "transaction 4 was answered otherwise"),
        (change_an_amount, "transaction 4 does not balance"),
        (skip_a_version, "transaction 4 has .* on cash"),
        (go_back_in_time, "transaction 4 was recorded before"),
        (answer_twice_differently, "request-1 had two outcomes"),
        (answer_one_id_with_another_sequence, "transaction 2 is not what was asked for"),
        (answer_with_other_legs, "transaction 2 is not what was asked for"),
        (never_answer, "request-1 was never answered"),
        (expire_twice, "expired twice"),
        (watch_with_a_gap, "saw 4 instead of 3"),
        (watch_one_twice, "saw 3 instead of 4"),
        (watch_too_little, "saw 6 transactions, not 7"),
        (watch_another_balance, "saw another transaction 3"),
    ],
)
def test_a_fault_is_noticed(sound: tuple[History, Log], spoil: Spoil, finding: str) -> None:
    history, log = sound
    spoil(history, log)
    with pytest.raises((HistoryFaultError, LogFaultError), match=finding):
        check_history(history, log)

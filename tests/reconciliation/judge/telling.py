"""Writes down what was told and what is true of a history that was played to its end."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from ledger.v1.transaction_reads_pb2 import WatchTransactionsResponse
from sandbox.twin_bank.bank_account import BankAccount
from sandbox.twin_bank.books import Entry
from sandbox.twin_bank.files import FileFormat, write
from sandbox.twin_bank.statement import Statement
from tests.reconciliation.judge.booking import Bookkeeping
from tests.reconciliation.judge.feeds import COMPLETED
from tests.reconciliation.judge.history import (
    AtBank,
    File,
    History,
    Line,
    Movement,
    Name,
    PaidOut,
    Told,
)

INSTANT = "instant"


def tell(history: History, corridors: Sequence[Any], books: Bookkeeping, today: date) -> None:
    """Feeds, files and truth; `corridors` are the player's."""
    history.last_day = today
    history.ledger = [
        WatchTransactionsResponse(transactions=[each], through_sequence=each.sequence)
        for each in books.transactions
    ]
    history.true_bookings = books.booked
    for corridor in corridors:
        history.movements += [
            message
            for message in corridor.feeds.movements
            if message.balance_transaction.id not in corridor.lost
        ]
        history.payouts += [
            message
            for message in corridor.feeds.payouts
            if message.payout.stripe_payout_id not in corridor.lost
        ]
        history.true_movements += _movements(corridor)
        history.true_payouts += _payouts(corridor)
        balances = corridor.account.books.balances(corridor.account.now())
        for currency, parts in balances.items():
            history.at_stripe[corridor.name, currency.upper()] = sum(parts.values())
        taken = taken_of(corridor.bank)
        history.files += [
            File(
                corridor.name,
                write(file.statement, corridor.file_format),
                "whole" if file.statement.is_whole else "false",
            )
            for file in corridor.bank.files
        ]
        history.banks.append(_at_bank(corridor, taken))
        for injected in corridor.bank.injected:
            history.injected[injected.kind.value] += 1


def _movements(corridor: Any) -> Iterable[Movement]:
    for moved in corridor.account.books.transactions:
        if not moved["net"]:
            continue
        payout_id = corridor.feeds.paid_out_with(moved)
        yield Movement(
            name=Name("STRIPE", corridor.name, moved["id"]),
            currency=moved["currency"].upper(),
            net=moved["net"],
            moved_by=moved["source"] or moved["id"],
            payout_id="" if payout_id == moved["source"] else payout_id,
            is_told=moved["id"] not in corridor.lost and moved["id"] not in corridor.feeds.missing,
        )


def _payouts(corridor: Any) -> Iterable[PaidOut]:
    splits = corridor.account.split_payouts
    for payout in corridor.account.objects("payout"):
        primary = splits.get(payout["id"], "")
        yield PaidOut(
            name=Name("PAYOUT", corridor.name, payout["id"]),
            currency=payout["currency"].upper(),
            amount=payout["amount"],
            arrival=datetime.fromtimestamp(payout["arrival_date"], UTC).date(),
            group=primary or payout["id"],
            is_listed=payout["automatic"] and payout["method"] != INSTANT,
            is_complete=payout["reconciliation_status"] == COMPLETED,
            is_returned=payout["status"] in ("failed", "canceled"),
            trace=payout["trace_id"]["value"] or "",
            is_told=payout["id"] not in corridor.lost,
        )


def taken_of(bank: BankAccount) -> list[Statement]:
    """The statements that come out, each once, in the order of their days."""
    whole = {id(file.statement): file.statement for file in bank.files if file.statement.is_whole}
    return sorted(whole.values(), key=lambda statement: statement.number)


def _at_bank(corridor: Any, taken: Sequence[Statement]) -> AtBank:
    bank, file_format = corridor.bank, corridor.file_format
    has_numbers = file_format is not FileFormat.BAI2
    lines = tuple(_lines(corridor, taken))
    return AtBank(
        name=corridor.name,
        corridor=corridor.name,
        currency=bank.terms.currency,
        identification=bank.terms.identification,
        file_format={"camt.053": "camt"}.get(file_format.value, file_format.value),
        calendar=bank.terms.practice.calendar.value,
        statements=tuple(
            Told(
                corridor.name,
                each.number if has_numbers else None,
                each.first_day,
                each.day,
                each.opening,
                each.closing,
                frozenset(entry.reference for entry in each.entries),
            )
            for each in taken
        ),
        lines=lines,
        untold=sum(entry.amount for entry in bank.books) - sum(line.amount for line in lines),
        balance=sum(entry.amount for entry in bank.books),
    )


def _lines(corridor: Any, taken: Sequence[Statement]) -> Iterable[Line]:
    """A line is there as often as the statement that has it most often says."""
    most: Counter[tuple[Entry, date]] = Counter()
    for statement in taken:
        for (entry, day), count in Counter(
            (entry, statement.day if corridor.file_format is FileFormat.BAI2 else entry.booked)
            for entry in statement.entries
        ).items():
            most[entry, day] = max(most[entry, day], count)
    for (entry, day), count in most.items():
        traces = {entry.end_to_end_id}
        if entry.is_itemized:
            traces |= {share.trace for share in entry.shares}
        for number in range(1, count + 1):
            yield Line(
                name=Name("BANK", corridor.name, f"{entry.reference}#{number}"),
                currency=corridor.bank.terms.currency,
                amount=entry.amount,
                day=day,
                traces=frozenset(filter(None, traces)),
                reference=entry.reference,
            )


def in_another_order(messages: Sequence[Any], random: Random, key: Any) -> list[Any]:
    """The same messages, each thing's own in their order."""
    order: dict[str, list[Any]] = {}
    for message in messages:
        order.setdefault(key(message), []).append(message)
    names = [name for name, its in order.items() for _ in its]
    random.shuffle(names)
    return [order[name].pop(0) for name in names]

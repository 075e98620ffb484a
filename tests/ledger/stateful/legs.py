"""Legs and parts as steps describe them, right or wrong on purpose."""

from typing import Any

from ledger.v1 import transaction_pb2 as transactions
from ledger.v1.direction_pb2 import DIRECTION_CREDIT, DIRECTION_DEBIT
from ledger.v1.entry_pb2 import EntryInput, EntryPart
from money.v1.money_pb2 import Money
from tests.ledger.naive.exchange import expected_bought
from tests.ledger.stateful.accounts import NAMES
from tests.ledger.stateful.steps import Conversion, Group, Take


def leg(
    name: str, amount: int, currency: str, *, is_debit: bool, description: str = ""
) -> EntryInput:
    return EntryInput(
        account=name,
        direction=DIRECTION_DEBIT if is_debit else DIRECTION_CREDIT,
        amount=Money(currency_code=currency, minor_units=amount),
        description=description,
    )


def legs_of(group: Group) -> list[EntryInput]:
    names = NAMES[group.currency]
    many = [
        leg(names[n % len(names)], amount, group.currency, is_debit=not group.debits_one)
        for n, amount in group.many
    ]
    total = sum(amount for _, amount in group.many)
    one = names[group.one % len(names)]
    first = leg(one, total, group.currency, is_debit=group.debits_one, description="one side")
    return [first, *many]


def convert(draft: transactions.TransactionInput, conversion: Conversion, fault: str) -> None:
    """EUR given, another currency taken, and what rounding won or lost on an account of its own."""
    currency = conversion.currency
    cash, payable, trading = NAMES[currency]
    exchange = draft.exchanges.add(rate=conversion.rate)
    exchange.sold.CopyFrom(Money(currency_code="EUR", minor_units=conversion.sold))
    exchange.bought.CopyFrom(Money(currency_code=currency, minor_units=1))
    expected = expected_bought(exchange)
    bought = exchange.bought.minor_units = max(1, expected + conversion.off)
    moved = max(1, conversion.sold - (fault == "more sold"))
    remainder = bought - expected if conversion.carries_remainder else 0
    if remainder:
        exchange.remainder_account = payable
    for name, amount, code, is_debit in (
        ("wallet/a", moved, "EUR", True),
        ("cash", moved, "EUR", False),
        (cash, bought, currency, True),
        (trading, bought - remainder, currency, False),
        (payable, abs(remainder), currency, remainder < 0),
    ):
        if amount:
            draft.entries.append(leg(name, amount, code, is_debit=is_debit))


def spoil(draft: transactions.TransactionInput, fault: str) -> None:
    """Makes a draft wrong in one way."""
    last = draft.entries[-1]
    if fault == "unbalanced":
        last.amount.minor_units += 1
    elif fault == "unknown":
        last.account = "nobody/here"
    elif fault == "currency":
        last.amount.currency_code = "JPY" if last.amount.currency_code != "JPY" else "EUR"


def label(body: Any, number: int) -> None:
    if number:
        body.reference = f"order {number}"
    if number > 1:
        body.metadata["order"] = str(number)


def parts_of(step: Take, left: dict[int, int]) -> list[EntryPart]:
    """Parts of what is left of some entries, as many for each as the step says."""
    amounts: dict[int, int] = {}
    open_indexes = [index for index, amount in left.items() if amount]
    for number, amount in step.picks:
        if not open_indexes:
            break
        # A pair of entries at a time: balanced where they are two sides of one currency.
        first = open_indexes[number % len(open_indexes)]
        second = open_indexes[0] if first != open_indexes[0] else open_indexes[-1]
        most = min(left[first] - amounts.get(first, 0), left[second] - amounts.get(second, 0))
        for index in {first, second}:
            if min(amount, most) > 0:
                amounts[index] = amounts.get(index, 0) + min(amount, most)
    parts = [EntryPart(entry_index=i, amount_minor=units) for i, units in amounts.items()]
    if parts and step.fault == "excess":
        for part in parts:
            part.amount_minor += 1000
    elif parts and step.fault == "unbalanced":
        parts[0].amount_minor = 1
    elif parts and step.fault == "twice":
        parts.append(parts[0])
    elif step.fault == "absent":
        parts.append(EntryPart(entry_index=90, amount_minor=1))
    return parts

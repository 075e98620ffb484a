"""What the judge of a chaos test asks about money: figures, payments, or everything."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.scheduled_payouts import check_contents
from sandbox.stripe_twin.store import JsonObject

# Of a charge, what tells whether it was made once and what became of it.
_TELLING = (
    "id",
    "amount",
    "amount_captured",
    "amount_refunded",
    "captured",
    "currency",
    "disputed",
    "paid",
    "status",
)


def summarize(accounts: Iterable[TwinAccount]) -> dict[str, Any]:
    """Per account how many objects there are, fees and balances, after checking that they agree.

    Quick also after many payments: no object is in it. Raises AssertionError as `dump_books`.
    """
    return {account.name: _summary(account) for account in accounts}


def payments_by_metadata(accounts: Iterable[TwinAccount], key: str) -> dict[str, list[JsonObject]]:
    """The PaymentIntents by their value of a metadata key, each with its charges in short.

    A value with two paid entries, in one account or in two, was charged twice.
    """
    found: dict[str, list[JsonObject]] = defaultdict(list)
    for account in accounts:
        charges: dict[str, list[JsonObject]] = defaultdict(list)
        for charge in account.objects("charge"):
            if charge["payment_intent"] is not None:
                short = {name: charge[name] for name in _TELLING}
                charges[charge["payment_intent"]].append(short)
        for intent in account.objects("payment_intent"):
            value = intent["metadata"].get(key)
            if value is not None:
                found[value].append(
                    {
                        "account": account.name,
                        "id": intent["id"],
                        "status": intent["status"],
                        "amount": intent["amount"],
                        "amount_capturable": intent["amount_capturable"],
                        "amount_received": intent["amount_received"],
                        "currency": intent["currency"],
                        "charges": charges[intent["id"]],
                    }
                )
    return dict(found)


def dump_books(accounts: Iterable[TwinAccount]) -> dict[str, Any]:
    """Per account its charges, refunds, fees and balances, after checking that they agree.

    Raises AssertionError if the twin's own books do not add up.
    """
    return {account.name: _dump(account) for account in accounts}


def _dump(account: TwinAccount) -> dict[str, Any]:
    charges = list(account.objects("charge"))
    transactions = list(account.books.transactions)
    return {
        **_figures(account),
        "payment_intents": list(account.objects("payment_intent")),
        "charges": charges,
        "refunds": list(account.objects("refund")),
        "disputes": list(account.objects("dispute")),
        "payouts": list(account.objects("payout")),
        "paid_out": dict(account.paid_out),
        "split_payouts": dict(account.split_payouts),
        "balance_transactions": transactions,
        "connected": {item.account_id: _dump(item) for item in account.connected.values()},
    }


def _check_charges(account: TwinAccount) -> None:
    """One paid charge per intent at most; what is refunded is what the refunds say."""
    refunded: Counter[str] = Counter()
    for refund in account.objects("refund"):
        if refund["status"] != "failed":
            refunded[refund["charge"]] += refund["amount"]
    paid: Counter[str] = Counter()
    for charge in account.objects("charge"):
        if charge["paid"] and charge["payment_intent"] is not None:
            paid[charge["payment_intent"]] += 1
        given_back = refunded[charge["id"]]
        if given_back != charge["amount_refunded"] or given_back > charge["amount_captured"]:
            raise AssertionError(f"{charge['id']} has refunded {charge['amount_refunded']}")
    doubled = [intent for intent, count in paid.items() if count > 1]
    if doubled:
        raise AssertionError(f"paid more than once: {doubled}")


def _summary(account: TwinAccount) -> dict[str, Any]:
    kinds = ("payment_intent", "charge", "refund", "dispute", "payout")
    return {
        **_figures(account),
        "counts": {kind: len(account.objects(kind)) for kind in kinds},
        "statuses": dict(Counter(item["status"] for item in account.objects("payment_intent"))),
        "connected": {item.account_id: _summary(item) for item in account.connected.values()},
    }


def _figures(account: TwinAccount) -> dict[str, Any]:
    now = account.now()
    account.books.check(now)
    _check_charges(account)
    check_contents(account)
    fees: Counter[str] = Counter()
    for transaction in account.books.transactions:
        fees[transaction["currency"]] += transaction["fee"]
    return {
        "account": account.account_id,
        "fees": dict(fees),
        "balances": account.books.balances(now),
        "other_balances": account.books.other_balances(),
        "journal": account.books.journal(),
    }

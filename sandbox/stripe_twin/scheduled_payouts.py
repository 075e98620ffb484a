"""The payouts that Stripe's schedule makes of all that is available: https://docs.stripe.com/payouts.

What is below zero is taken from the bank. What is above the limit of a rail is split, and all that
the parts contain is listed in the first: https://support.stripe.com/questions/automatic-payout-splitting.
"""

from collections.abc import Iterator

from sandbox.stripe_twin.accounts import AUTOMATIC, TwinAccount
from sandbox.stripe_twin.currencies import step_of_payouts
from sandbox.stripe_twin.external_accounts import destination_of
from sandbox.stripe_twin.payouts import available, pay_out
from sandbox.stripe_twin.store import JsonObject


def pay_out_everything(account: TwinAccount, currency: str) -> JsonObject:
    """The daily payout of what is available, as far as the currency is paid out whole; its balance
    transactions can be listed by `payout`. Gives the one that lists them.

    A minimum balance is held back as a part of the payout, and given back beside it:
    https://docs.stripe.com/changelog/acacia/2024-12-18/payout-minimum-balance

    Raises ValueError if nothing is available, or an earlier payout failed where it would go.
    """
    destination = destination_of(account, currency)
    if destination is not None and destination["status"] == "errored":
        raise ValueError(f"{destination['id']} is errored: nothing is paid out there")
    settings = account.shared.settings
    there = available(account, currency)
    minimum = settings.minimum_balances.get(currency, 0) if there > 0 else 0
    step = step_of_payouts(currency)
    if there < 0:
        amount = -(-there // step * step) if settings.debit_negative_balances else 0
    else:
        amount = max(there - minimum, 0) // step * step
    if not amount:
        raise ValueError(f"{account.name} has no {currency} available")
    swept = [
        transaction["id"]
        for transaction in account.books.transactions
        if transaction["status"] == "available"
        and transaction["currency"] == currency
        and transaction["balance_type"] == "payments"
        and transaction["id"] not in account.paid_out
    ]
    if minimum:
        swept.append(_keep_back(account, "payout_minimum_balance_hold", -minimum, currency)["id"])
    primary, *parts = [
        pay_out(account, part, currency, {}, automatic=True, origin=AUTOMATIC)
        for part in _parts(amount, settings.payout_limits.get(currency, amount))
    ]
    account.paid_out |= dict.fromkeys([*swept, primary["balance_transaction"]], primary["id"])
    for part in parts:
        account.split_payouts[part["id"]] = primary["id"]
        listed = primary if settings.parts_listed_in_primary else part
        account.paid_out[part["balance_transaction"]] = listed["id"]
    if minimum:
        _keep_back(account, "payout_minimum_balance_release", minimum, currency)
    return primary


def check_contents(account: TwinAccount) -> None:
    """Raises AssertionError unless what each payout contains, those it was split into included,
    comes to it, but for what is not paid out whole."""
    sums: dict[tuple[str, str], int] = {}
    for transaction_id, payout_id in account.paid_out.items():
        transaction = account.books.transactions.get(transaction_id)
        group = account.split_payouts.get(payout_id, payout_id), transaction["currency"]
        sums[group] = sums.get(group, 0) + transaction["net"]
    for (payout_id, currency), rest in sums.items():
        if abs(rest) >= step_of_payouts(currency):
            raise AssertionError(f"what {payout_id} contains is {rest} more than it")


def _parts(amount: int, limit: int) -> Iterator[int]:
    """An amount in parts of at most a limit; a debit of the bank is never split."""
    while 0 < limit < amount:
        yield limit
        amount -= limit
    yield amount


def _keep_back(account: TwinAccount, kind: str, amount: int, currency: str) -> JsonObject:
    return account.books.record(
        kind=kind,
        source=None,
        amount=amount,
        currency=currency,
        now=account.now(),
        available_at_once=True,
    )

"""The money of a bank debit while its bank has not decided, and when it said no.

The balance counts a debit once it is submitted to the bank, days before it is known whether the
bank pays; of one that fails a second balance transaction takes it back:
https://support.stripe.com/questions/changes-to-balance-transaction-behavior-for-debit-payment-methods
What Stripe does not say is the twin's choice: the fee is given back with the money, a failure fee
(https://docs.stripe.com/payments/ach-direct-debit#transaction-failures) is a movement of its own,
and both movements of a failed debit become available together.
"""

from functools import partial

from sandbox.stripe_twin.accounts import AUTOMATIC, TwinAccount
from sandbox.stripe_twin.books import BASIS_POINTS, FeePart
from sandbox.stripe_twin.settings import DAY
from sandbox.stripe_twin.store import JsonObject

# Of ACH (https://stripe.com/pricing/local-payment-methods); the twin takes it for all debits.
FEE_BASIS_POINTS = 80
FEE_CAP = 500
FAILURE_FEE = 400


def submit_later(account: TwinAccount, charge: JsonObject) -> None:
    """Submits a debit to the bank after the answer; announced by `charge.updated`. With longer
    `settlement_seconds` than the bank takes, the balance counts it when the bank has paid."""
    seconds = account.shared.settings.settlement_seconds
    account.shared.clock.after(seconds, partial(_submit, account, charge))


def take_back(account: TwinAccount, charge: JsonObject, *, failed: bool) -> None:
    """Takes what was submitted back out of the balance; a bank that refused costs a fee."""
    if charge["balance_transaction"] is None:
        return
    taken = account.books.transactions.get(charge["balance_transaction"])
    transaction = account.books.record(
        kind="payment_failure_refund",
        source=charge["id"],
        amount=-taken["amount"],
        currency=taken["currency"],
        exchange_rate=taken["exchange_rate"],
        now=account.now(),
        fees=(FeePart(-taken["fee"], "stripe_fee", "Stripe processing fees"),),
        delay_seconds=max(0, taken["available_on"] - account.now()),
        reporting_category="charge_failure",
    )
    charge["failure_balance_transaction"] = transaction["id"]
    if failed:
        account.books.record(
            kind="stripe_fee",
            source=charge["id"],
            amount=-FAILURE_FEE,
            currency=taken["currency"],
            now=account.now(),
            description="Failed payment fee",
            available_at_once=True,
            reporting_category="fee",
        )


def _submit(account: TwinAccount, charge: JsonObject) -> None:
    if charge["status"] == "failed":
        return
    settled = account.settled(charge["amount"], charge["currency"])
    fee = min(FEE_CAP, settled.amount * FEE_BASIS_POINTS // BASIS_POINTS)
    transaction = account.books.record(
        kind="payment",
        source=charge["id"],
        amount=settled.amount,
        currency=settled.currency,
        exchange_rate=settled.rate,
        now=account.now(),
        description=charge["description"],
        fees=(FeePart(fee, "stripe_fee", "Stripe processing fees"),),
        delay_seconds=int(account.shared.settings.debit_seconds + DAY),
        reporting_category="charge",
    )
    charge["balance_transaction"] = transaction["id"]
    account.emit("charge.updated", charge, AUTOMATIC, {"balance_transaction": None})

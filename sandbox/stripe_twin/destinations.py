"""Destination charges: the platform is paid, a transfer goes on, a fee may come back.

https://docs.stripe.com/connect/destination-charges. Modelled with their balance effects; what a
refund takes back is in `reversals`. A charge that is converted is so first for the platform; what
goes on and the fee, which is told in the charge's currency, are of the currency that it settled in:
https://docs.stripe.com/connect/currencies.
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.store import JsonObject


def settle_destination(account: TwinAccount, charge: JsonObject, captured: int) -> None:
    """Moves a settled charge's money to its destination account, less the application fee."""
    destination = account.connected[charge["transfer_data"]["destination"]]
    told = min(charge["transfer_data"].get("amount") or captured, captured)
    settled = account.settled(told, charge["currency"])
    amount, currency = settled.amount, settled.currency
    told_fee = min(charge["application_fee_amount"] or 0, told)
    fee_amount = account.settled(told_fee, charge["currency"]).amount
    transfer = _new_transfer(account, charge, destination, amount, currency)
    payment = _new_payment(destination, account, charge, transfer, amount)
    fees: tuple[FeePart, ...] = ()
    if fee_amount:
        application_fee = _new_application_fee(
            account, destination, payment, charge, fee_amount, currency
        )
        charge["application_fee"] = payment["application_fee"] = application_fee["id"]
        fees = (FeePart(fee_amount, "application_fee", "Application fee", account.account_id),)
    received = destination.books.record(
        kind="payment",
        source=payment["id"],
        amount=amount,
        currency=currency,
        now=account.now(),
        fees=fees,
        reporting_category="charge",
    )
    payment["balance_transaction"] = received["id"]
    destination.emit("payment.created", payment)


def direct_fee(account: TwinAccount, charge: JsonObject) -> tuple[FeePart, ...]:
    """The application fee of a direct charge on a connected account, paid to its platform."""
    platform, told = account.platform, charge["application_fee_amount"]
    if platform is None or not told:
        return ()
    settled = account.settled(min(told, charge["amount_captured"]), charge["currency"])
    fee = _new_application_fee(platform, account, charge, charge, settled.amount, settled.currency)
    charge["application_fee"] = fee["id"]
    return (FeePart(settled.amount, "application_fee", "Application fee", platform.account_id),)


def _new_transfer(
    account: TwinAccount,
    charge: JsonObject,
    destination: TwinAccount,
    amount: int,
    currency: str,
) -> JsonObject:
    transfer_id = account.new_id("tr")
    transaction = account.books.record(
        kind="transfer",
        source=transfer_id,
        amount=-amount,
        currency=currency,
        now=account.now(),
    )
    transfer: JsonObject = {
        "id": transfer_id,
        "object": "transfer",
        "amount": amount,
        "amount_reversed": 0,
        "balance_transaction": transaction["id"],
        "created": account.now(),
        "currency": currency,
        "description": None,
        "destination": destination.account_id,
        "destination_payment": destination.new_id("py"),
        "livemode": False,
        "metadata": {},
        "reversals": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/transfers/{transfer_id}/reversals",
        },
        "reversed": False,
        "source_transaction": charge["id"],
        "source_type": "card",
        "transfer_group": charge["transfer_group"] or f"group_{charge['payment_intent']}",
    }
    account.objects("transfer").add(transfer)
    charge["transfer"] = transfer_id
    charge["transfer_group"] = transfer["transfer_group"]
    account.emit("transfer.created", transfer)
    return transfer


def _new_payment(
    destination: TwinAccount,
    account: TwinAccount,
    charge: JsonObject,
    transfer: JsonObject,
    amount: int,
) -> JsonObject:
    payment = {
        **charge,
        "id": transfer["destination_payment"],
        "amount": amount,
        "amount_captured": amount,
        "application": account.account_id,
        "application_fee": None,
        "balance_transaction": None,
        "created": account.now(),
        "currency": transfer["currency"],
        "customer": None,
        "metadata": {},
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": {"stripe_account": {}, "type": "stripe_account"},
        "source_transfer": transfer["id"],
        "transfer_data": None,
    }
    del payment["transfer"]
    return destination.objects("charge").add(payment)


def _new_application_fee(
    account: TwinAccount,
    destination: TwinAccount,
    payment: JsonObject,
    charge: JsonObject,
    amount: int,
    currency: str,
) -> JsonObject:
    fee_id = account.new_id("fee")
    transaction = account.books.record(
        kind="application_fee",
        source=fee_id,
        amount=amount,
        currency=currency,
        now=account.now(),
        reporting_category="platform_earning",
    )
    fee: JsonObject = {
        "id": fee_id,
        "object": "application_fee",
        "account": destination.account_id,
        "amount": amount,
        "amount_refunded": 0,
        "application": account.account_id,
        "balance_transaction": transaction["id"],
        "charge": payment["id"],
        "created": account.now(),
        "currency": currency,
        "fee_source": {"charge": payment["id"], "type": "charge"},
        "livemode": False,
        "originating_transaction": charge["id"],
        "refunded": False,
        "refunds": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/application_fees/{fee_id}/refunds",
        },
    }
    account.objects("application_fee").add(fee)
    account.emit("application_fee.created", fee)
    return fee

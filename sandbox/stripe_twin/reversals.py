"""What a refund of a destination charge takes back: the transfer, and the application fee with it.

By default neither: the connected account keeps its money, the platform its fee. Who refunds the fee
has to reverse the transfer, too. A refund that completes the charge takes all that is left of
both, any other a share in proportion; Stripe does not say how it rounds, the twin rounds half up.
What a refund took back stays so if it fails later: the platform has to transfer it anew.
https://docs.stripe.com/connect/destination-charges#issue-refunds
"""

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.books import FeePart
from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.currencies import step_of
from sandbox.stripe_twin.errors import invalid_request
from sandbox.stripe_twin.store import JsonObject

# A charge of `automatic_async` has its transfer some time after the answer.
LOOK_AGAIN_SECONDS = 1.0


def check_taking_back(call: Call, charge: JsonObject) -> None:
    """Raises ApiError (400) where there is no transfer to reverse, or no fee to refund."""
    reverses = call.params.get("reverse_transfer", False)
    refunds_fee = call.params.get("refund_application_fee", False)
    if reverses and charge["transfer_data"] is None:
        raise invalid_request(
            f"Charge {charge['id']} has no transfer that could be reversed.",
            param="reverse_transfer",
        )
    if not refunds_fee:
        return
    if not charge["application_fee_amount"]:
        raise invalid_request(
            f"Charge {charge['id']} has no application fee that could be refunded.",
            param="refund_application_fee",
        )
    if charge["transfer_data"] is not None and not reverses:
        raise invalid_request(
            "The application fee of a destination charge can only be refunded with "
            "reverse_transfer=true.",
            param="refund_application_fee",
        )


def take_back(call: Call, charge: JsonObject, refund: JsonObject) -> None:
    """Takes back what the refund's request says, as soon as the transfer is there."""
    if charge["transfer_data"] is None or not call.params.get("reverse_transfer", False):
        return
    account = call.account
    refunds_fee = call.params.get("refund_application_fee", False)
    completes = charge["refunded"]

    def look() -> None:
        if charge.get("transfer") is None:
            account.shared.clock.after(LOOK_AGAIN_SECONDS, look)
            return
        _take_back(account, charge, refund, refunds_fee=refunds_fee, completes=completes)
        account.emit("refund.updated", refund, previous={"transfer_reversal": None})

    if charge.get("transfer") is not None:
        _take_back(account, charge, refund, refunds_fee=refunds_fee, completes=completes)
    else:
        look()


def _take_back(
    account: TwinAccount,
    charge: JsonObject,
    refund: JsonObject,
    *,
    refunds_fee: bool,
    completes: bool,
) -> None:
    transfer = account.objects("transfer").get(charge["transfer"])
    captured = charge["amount_captured"]
    reversed_ = _share(transfer, "amount_reversed", refund, captured, completes=completes)
    returned = 0
    if refunds_fee and charge["application_fee"] is not None:
        fee = account.objects("application_fee").get(charge["application_fee"])
        returned = _share(fee, "amount_refunded", refund, captured, completes=completes)
        if returned:
            _refund_fee(account, fee, returned)
    if reversed_:
        _reverse(account, transfer, refund, reversed_, returned)


def _share(
    taken_from: JsonObject, gone: str, refund: JsonObject, captured: int, *, completes: bool
) -> int:
    """What the refund takes of a transfer or fee, of which `gone` tells what is gone already."""
    amount: int = taken_from["amount"]
    left: int = amount - taken_from[gone]
    if completes:
        return left
    step = step_of(taken_from["currency"])
    wanted: int = (2 * amount * refund["amount"] + captured * step) // (2 * captured * step) * step
    return min(wanted, left)


def _reverse(
    account: TwinAccount, transfer: JsonObject, refund: JsonObject, amount: int, fee: int
) -> None:
    reversal_id = account.new_id("trr")
    transaction = account.books.record(
        kind="transfer_refund",
        source=reversal_id,
        amount=amount,
        currency=transfer["currency"],
        now=account.now(),
        available_at_once=True,
        reporting_category="transfer_reversal",
    )
    destination = account.connected[transfer["destination"]]
    returned = _refund_payment(destination, transfer, amount, fee)
    reversal: JsonObject = {
        "id": reversal_id,
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "created": account.now(),
        "currency": transfer["currency"],
        "destination_payment_refund": returned["id"],
        "metadata": {},
        "source_refund": refund["id"],
        "transfer": transfer["id"],
    }
    account.objects("transfer_reversal").add(reversal)
    returned["source_transfer_reversal"] = reversal_id
    refund["transfer_reversal"] = reversal_id
    transfer["reversals"]["data"].insert(0, reversal)
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    account.emit("transfer.reversed", transfer)


def _refund_payment(
    destination: TwinAccount, transfer: JsonObject, amount: int, fee: int
) -> JsonObject:
    """The connected account's side: its payment is refunded, and the fee for it comes back."""
    payment = destination.objects("charge").get(transfer["destination_payment"])
    fees: tuple[FeePart, ...] = ()
    if fee:
        owner = destination.platform_id
        fees = (FeePart(-fee, "application_fee", "Application fee refund", owner),)
    refund_id = destination.new_id("pyr")
    transaction = destination.books.record(
        kind="payment_refund",
        source=refund_id,
        amount=-amount,
        currency=payment["currency"],
        now=destination.now(),
        fees=fees,
        available_at_once=True,
        reporting_category="refund",
    )
    payment["amount_refunded"] += amount
    payment["refunded"] = payment["amount_refunded"] == payment["amount_captured"]
    refund: JsonObject = {
        "id": refund_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "charge": payment["id"],
        "created": destination.now(),
        "currency": payment["currency"],
        "metadata": {},
        "payment_intent": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    destination.objects("refund").add(refund)
    destination.emit("charge.refunded", payment)
    return refund


def _refund_fee(account: TwinAccount, fee: JsonObject, amount: int) -> None:
    refund_id = account.new_id("fr")
    transaction = account.books.record(
        kind="application_fee_refund",
        source=refund_id,
        amount=-amount,
        currency=fee["currency"],
        now=account.now(),
        available_at_once=True,
        reporting_category="platform_earning_refund",
    )
    refund: JsonObject = {
        "id": refund_id,
        "object": "fee_refund",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "created": account.now(),
        "currency": fee["currency"],
        "fee": fee["id"],
        "metadata": {},
    }
    account.objects("fee_refund").add(refund)
    fee["refunds"]["data"].insert(0, refund)
    fee["amount_refunded"] += amount
    fee["refunded"] = fee["amount_refunded"] == fee["amount"]
    account.emit("application_fee.refunded", fee)

"""Payouts from the balance to the bank: https://docs.stripe.com/payouts. Those that Stripe's
schedule makes are in `scheduled_payouts.py`."""

from typing import Any

from sandbox.stripe_twin.accounts import Origin, TwinAccount
from sandbox.stripe_twin.bank_transfers import payout_arrived, payout_returned, trace_of
from sandbox.stripe_twin.calls import Call, merge_metadata
from sandbox.stripe_twin.currencies import check_payout
from sandbox.stripe_twin.errors import check_choice, invalid_request
from sandbox.stripe_twin.external_accounts import destination_of, payout_failed
from sandbox.stripe_twin.store import JsonObject, within

ARRIVAL_SECONDS = 2 * 24 * 60 * 60
# Instant payouts take minutes.
INSTANT_SECONDS = 30 * 60
INSTANT = "instant"
_METHODS = frozenset({INSTANT, "standard"})
BASIS_POINTS = 10_000
FAILURE_MESSAGES = {
    "account_closed": "The bank account has been closed.",
    "could_not_process": "The bank could not process this payout.",
    "no_account": "The bank account details on file are probably incorrect.",
}


def create_payout(call: Call) -> JsonObject:
    """POST /v1/payouts: a manual payout of what is available, an instant one of what is pending as
    well."""
    amount, currency = call.params["amount"], call.params["currency"].lower()
    check_payout(amount, currency)
    check_choice(call.params, "method", _METHODS)
    fee = 0
    if call.params.get("method") == INSTANT:
        fee = amount * call.account.shared.settings.instant_fee_basis_points // BASIS_POINTS
        _advance(call.account, amount + fee, currency)
    if amount + fee > available(call.account, currency):
        raise invalid_request(
            "You have insufficient available funds in your Stripe account.",
            code="balance_insufficient",
        )
    details = {
        "method": call.params.get("method", "standard"),
        "description": call.params.get("description"),
        "metadata": call.params.get("metadata", {}),
        "statement_descriptor": call.params.get("statement_descriptor"),
    }
    if fee:
        _take_fee(call.account, fee, currency)
    return pay_out(call.account, amount, currency, details, automatic=False, origin=call.origin)


def _advance(account: TwinAccount, wanted: int, currency: str) -> None:
    """What an instant payout lacks is given ahead of its time, and taken from what becomes
    available later, once for each time. Nothing if that is not enough either.

    https://docs.stripe.com/payouts/instant-payouts-with-advance-funding
    """
    lacking = wanted - available(account, currency)
    funding: list[tuple[int, int]] = []
    for available_on, minor in account.books.maturing(currency, account.now()):
        taken = min(max(minor, 0), lacking - sum(part for _, part in funding))
        if taken > 0:
            funding.append((available_on, taken))
    if lacking <= 0 or sum(part for _, part in funding) < lacking:
        return
    now = account.now()
    about: dict[str, Any] = {"source": None, "currency": currency, "now": now}
    account.books.record(kind="advance", amount=lacking, available_at_once=True, **about)
    for available_on, taken in funding:
        account.books.record(
            kind="advance_funding", amount=-taken, delay_seconds=available_on - now, **about
        )


def _take_fee(account: TwinAccount, fee: int, currency: str) -> None:
    """Stripe's fee for an instant payout, a balance transaction of its own."""
    account.books.record(
        kind="stripe_fee",
        source=None,
        amount=-fee,
        currency=currency,
        now=account.now(),
        description="Instant Payouts",
        available_at_once=True,
        reporting_category="fee",
    )


def retrieve_payout(call: Call) -> JsonObject:
    """GET /v1/payouts/{id}."""
    return call.objects("payout").get(call.path["id"], "payout")


def update_payout(call: Call) -> JsonObject:
    """POST /v1/payouts/{id}: metadata only."""
    payout = call.objects("payout").get(call.path["id"], "payout")
    previous = {"metadata": payout["metadata"]}
    merge_metadata(payout, call.params.get("metadata"))
    call.emit("payout.updated", payout, previous)
    return payout


def list_payouts(call: Call) -> JsonObject:
    """GET /v1/payouts by status, destination, arrival_date and created."""
    wanted = {name: call.params[name] for name in ("status", "destination") if name in call.params}
    arrival = call.params.get("arrival_date")
    return call.objects("payout").page(
        "/v1/payouts",
        call.params,
        lambda payout: (
            all(payout[name] == value for name, value in wanted.items())
            and within(payout["arrival_date"], arrival)
        ),
    )


def reverse_payout(call: Call) -> JsonObject:
    """POST /v1/payouts/{id}/reverse: takes a connected account's payout back from its bank."""
    payout = call.objects("payout").get(call.path["id"], "payout")
    if not call.account.is_connected:
        raise invalid_request("Only payouts of connected accounts can be reversed.")
    if payout["status"] != "paid" or payout["reversed_by"] is not None:
        raise invalid_request("Payouts can only be reversed once and after they were paid.")
    details = {
        "metadata": call.params.get("metadata", {}),
        "original_payout": payout["id"],
    }
    reversal = pay_out(
        call.account,
        -payout["amount"],
        payout["currency"],
        details,
        automatic=False,
        origin=call.origin,
    )
    payout["reversed_by"] = reversal["id"]
    call.emit("payout.updated", payout, {"reversed_by": None})
    return reversal


def cancel_payout(call: Call) -> JsonObject:
    """POST /v1/payouts/{id}/cancel while it is pending."""
    payout = call.objects("payout").get(call.path["id"], "payout")
    if payout["status"] != "pending":
        raise invalid_request("Payouts can only be canceled while they are pending.")
    if payout["automatic"]:
        # stripe-python, Payout.cancel: "You can't cancel automatic Stripe payouts."
        raise invalid_request("Automatic payouts cannot be canceled.")
    transaction = _bring_back(call.account, payout, "payout_cancel")
    payout["status"] = "canceled"
    payout["failure_balance_transaction"] = transaction["id"]
    call.emit("payout.canceled", payout)
    return payout


def available(account: TwinAccount, currency: str) -> int:
    """What can be paid out now, in minor units."""
    balances = account.books.balances(account.now())
    return balances[currency]["available"] if currency in balances else 0


def fail_payout(account: TwinAccount, payout: JsonObject, code: str) -> None:
    """The bank returns a payout, at worst days after it was `paid`. Raises ValueError."""
    if payout["status"] in ("canceled", "failed"):
        raise ValueError(f"{payout['id']} is {payout['status']}")
    transaction = _bring_back(account, payout, "payout_failure")
    payout["status"] = "failed"
    payout["failure_balance_transaction"] = transaction["id"]
    payout["failure_code"] = code
    payout["failure_message"] = FAILURE_MESSAGES.get(code, "The payout failed.")
    account.emit("payout.failed", payout)
    payout_returned(account, payout)
    payout_failed(account, payout["destination"])


def _bring_back(account: TwinAccount, payout: JsonObject, kind: str) -> JsonObject:
    return account.books.record(
        kind=kind,
        source=payout["id"],
        amount=payout["amount"],
        currency=payout["currency"],
        now=account.now(),
        available_at_once=True,
        reporting_category="payout_reversal",
    )


def pay_out(
    account: TwinAccount,
    amount: int,
    currency: str,
    details: dict[str, Any],
    *,
    automatic: bool,
    origin: Origin,
) -> JsonObject:
    """Takes an amount from the balance and sends it to the bank; below zero the other way round.
    `details` are fields of the payout that differ from what most have."""
    payout_id = account.new_id("po")
    destination = destination_of(account, currency)
    travel = INSTANT_SECONDS if details.get("method") == "instant" else ARRIVAL_SECONDS
    transaction = account.books.record(
        kind="payout",
        source=payout_id,
        amount=-amount,
        currency=currency,
        now=account.now(),
        description="STRIPE PAYOUT",
        available_at_once=True,
    )
    payout: JsonObject = {
        "id": payout_id,
        "object": "payout",
        "amount": amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": account.now() + travel,
        "automatic": automatic,
        "balance_transaction": transaction["id"],
        "created": account.now(),
        "currency": currency,
        "description": None,
        "destination": destination["id"] if destination else None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "in_progress" if automatic else "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": destination["object"] if destination else "bank_account",
    } | details
    account.objects("payout").add(payout)
    account.emit("payout.created", payout, origin)
    if automatic:
        _reconcile(account, payout)
    _travel(account, payout, travel)
    return payout


def _reconcile(account: TwinAccount, payout: JsonObject) -> None:
    """Stripe works out what an automatic payout contains."""

    def complete() -> None:
        payout["reconciliation_status"] = "completed"
        account.emit("payout.reconciliation_completed", payout)

    seconds = account.shared.settings.reconciliation_seconds
    if seconds:
        account.shared.clock.after(seconds, complete)
    else:
        complete()


def _travel(account: TwinAccount, payout: JsonObject, seconds: int) -> None:
    clock = account.shared.clock

    def leave() -> None:
        if payout["status"] == "pending":
            payout["status"] = "in_transit"
            account.emit("payout.updated", payout, previous={"status": "pending"})

    def arrive() -> None:
        if payout["status"] == "in_transit":
            payout["status"] = "paid"
            account.emit("payout.paid", payout)
            payout_arrived(account, payout)
            # No event tells of it.
            clock.after(account.shared.settings.trace_seconds, trace)

    def trace() -> None:
        payout["trace_id"] = {"status": "supported", "value": trace_of(payout)}

    clock.after(seconds / 2, leave)
    clock.after(seconds, arrive)

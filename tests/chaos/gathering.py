"""Collects the evidence: from the gateway's API, the ledger, the twin's books and its requests."""

import asyncio
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import psycopg

from gateway.v1 import corridor_service_pb2 as stripe_client
from gateway.v1 import payment_pb2 as payment
from gateway.v1 import payment_service_pb2 as pb
from gateway.v1 import refund_pb2 as refund
from ledger.v1 import audit_service_pb2 as audit
from ledger.v1.audit_service_pb2_grpc import AuditServiceStub
from sandbox.clients import Clients
from sandbox.polling import poll
from sandbox.reconciliation import LEDGER, books_difference
from sandbox.stripe_twin.accounts import ACCOUNTS
from tests.chaos.customers import state_name
from tests.chaos.evidence import (
    APPROVED,
    Answer,
    Change,
    Intent,
    OutcomeLookup,
    PaymentRecord,
    Post,
    RefundRecord,
    SavedObject,
    StripeRefund,
    Told,
)
from tests.chaos.healing import stored_events
from tests.chaos.holds import LEDGER as HOLDS
from tests.chaos.recorded import first_charges, recorded
from tests.chaos.reviews import refuses
from tests.chaos.running import RunningEngine
from tests.chaos.twin import ChaosTwin

CALL_SECONDS = 60.0
READ_AT_ONCE = 16
PAGE_SIZE = 500
# A sweep whose gateway was restarted in its midst is taken up when its lease of a minute is over.
BOOKS_SECONDS = 90.0
OPEN = {
    payment.OPERATION_STATE_PENDING,
    payment.OPERATION_STATE_RUNNING,
    payment.OPERATION_STATE_UNKNOWN,
}


async def gather(
    cluster: RunningEngine,
    twin: ChaosTwin,
    *,
    answers: Iterable[Answer],
    accepted_forgeries: Iterable[str],
    let_in: Iterable[str] = (),
    reviewed: Container[str] = frozenset(),
    restless: tuple[str, ...],
    told: tuple[Told, ...] | None = None,
    past_horizon: bool = False,
    restores: int = 0,
    lost_until: datetime | None = None,
    may_use: Mapping[str, tuple[str, ...]],
    books_seconds: float = BOOKS_SECONDS,
) -> OutcomeLookup:
    """All of it; the engine must be at rest. `reviewed` are the requests that people decide,
    `may_use` the corridors that each request lets its payment use. Books that differ are read again
    for `books_seconds`."""
    # Before what is stored is read: an event may still come.
    acknowledged = frozenset(
        attempt["event"]
        for attempt in await twin.deliveries()
        if attempt["status"] is not None and 200 <= attempt["status"] < 300
    )
    books = await twin.all_books()
    async with (
        cluster.channel("gateway-1") as gateway,
        cluster.channel("compliance") as compliance,
        cluster.channel("ledger") as ledger,
    ):
        clients = Clients.over(gateway=gateway, compliance=compliance, ledger=ledger)
        async with await psycopg.AsyncConnection.connect(cluster.databases["gateway"]) as database:
            stored = frozenset(await stored_events(database))
            last = await (
                await database.execute("SELECT coalesce(max(sequence), 0) FROM payment_event")
            ).fetchone()
            charges = await first_charges(database)
            intelligence = await recorded(database)
        assert last is not None
        payments = await _payments(clients)
        return OutcomeLookup(
            answers=tuple(answers),
            payments=payments,
            refused=frozenset(
                made.id for made in payments if made.request_id in reviewed and refuses(made.id)
            ),
            feed=await _feed(clients, int(last[0])),
            intents=tuple(_intents(books)),
            stripe_refunds=tuple(_refunds(books)),
            saved_objects=tuple(
                SavedObject(made["id"], asked) for asked, made in await twin.saved()
            ),
            posts=await _posts(twin),
            acknowledged_events=acknowledged,
            stored_events=stored,
            dead_letters=await _dead_letters(clients),
            accepted_forgeries=tuple(accepted_forgeries),
            let_in=tuple(let_in),
            books_differences=await _books(clients, twin, books_seconds),
            ledger_intact=await _verified(ledger, LEDGER) and await _verified(ledger, HOLDS),
            told=told,
            restless=restless,
            past_horizon=past_horizon,
            restores=restores,
            lost_until=lost_until,
            may_use=dict(may_use),
            charges=charges,
            intelligence=intelligence,
        )


async def _payments(clients: Clients) -> tuple[PaymentRecord, ...]:
    ids: list[str] = []
    request = pb.ListPaymentsRequest(page_size=PAGE_SIZE)
    while True:
        page = await clients.payments.ListPayments(request, timeout=CALL_SECONDS)
        ids += [listed.id for listed in page.payments]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    room = asyncio.Semaphore(READ_AT_ONCE)

    async def read(payment_id: str) -> PaymentRecord:
        async with room:
            response = await clients.payments.GetPayment(
                pb.GetPaymentRequest(payment_id=payment_id), timeout=CALL_SECONDS
            )
        return _record(response.payment)

    return tuple(await asyncio.gather(*map(read, ids)))


def _record(shown: payment.Payment) -> PaymentRecord:
    booking = payment.BookingState.Name(shown.booking.state).removeprefix("BOOKING_STATE_")
    return PaymentRecord(
        id=shown.id,
        request_id=shown.request_id,
        state=state_name(shown),
        corridor=shown.corridor,
        currency=shown.amount.currency_code,
        amount_minor=shown.amount.minor_units,
        captured_minor=shown.amount_captured.minor_units,
        refunded_minor=shown.amount_refunded.minor_units,
        revision=shown.revision,
        payment_intent_id=shown.payment_intent_id,
        charge_id=shown.charge_id,
        booking="" if booking == "UNSPECIFIED" else booking,
        open_operations=tuple(
            payment.OperationKind.Name(operation.kind)
            for operation in shown.operations
            if operation.state in OPEN
        ),
        refunds=tuple(
            RefundRecord(
                id=made.id,
                request_id=made.request_id,
                state=refund.RefundState.Name(made.state).removeprefix("REFUND_STATE_"),
                amount_minor=made.amount.minor_units,
                stripe_refund_id=made.stripe_refund_id,
            )
            for made in shown.refunds
        ),
        left=tuple((step.corridor, step.reason) for step in shown.failovers),
        create_time=shown.create_time.ToDatetime(tzinfo=UTC),
    )


async def _feed(clients: Clients, last: int) -> tuple[Change, ...]:
    changes: list[Change] = []
    if not last:
        return ()
    watch = clients.payments.WatchPayments(pb.WatchPaymentsRequest(), timeout=CALL_SECONDS)
    async for message in watch:
        shown = message.payment
        changes.append(Change(message.sequence, shown.id, shown.revision, state_name(shown)))
        if message.sequence >= last:
            break
    watch.cancel()
    return tuple(changes)


def _intents(books: dict[str, dict[str, Any]]) -> Iterable[Intent]:
    for corridor, account in books.items():
        said: dict[str, list[str]] = defaultdict(list)
        for charge in account["charges"]:
            said[charge["payment_intent"]].append(_said(charge))
        for intent in account["payment_intents"]:
            problem = intent["last_payment_error"]
            if problem is not None and "charge" not in problem:
                # The customer has failed the bank's questions: nothing was charged.
                said[intent["id"]].append(problem["code"])
            yield Intent(
                id=intent["id"],
                corridor=corridor,
                payment_id=intent["metadata"].get("engine_payment_id", ""),
                status=intent["status"],
                currency=intent["currency"].upper(),
                amount_minor=intent["amount"],
                received_minor=intent["amount_received"],
                charge_id=intent["latest_charge"] or "",
                said=tuple(said[intent["id"]]),
            )


def _said(charge: dict[str, Any]) -> str:
    if charge["status"] != "failed":
        return APPROVED
    return str(charge["outcome"]["reason"] or charge["failure_code"])


def _refunds(books: dict[str, dict[str, Any]]) -> Iterable[StripeRefund]:
    for account in books.values():
        for made in account["refunds"]:
            yield StripeRefund(
                id=made["id"],
                intent_id=made["payment_intent"] or "",
                refund_id=made["metadata"].get("engine_refund_id", ""),
                status=made["status"],
                amount_minor=made["amount"],
            )


async def _posts(twin: ChaosTwin) -> tuple[Post, ...]:
    names = {account.account_id: account.name for account in ACCOUNTS}
    return tuple(
        Post(
            path=seen["path"],
            key=seen["idempotency_key"] or "",
            body_hash=seen["body_hash"],
            account=names.get(seen["account"], seen["account"] or ""),
            status=seen["status"],
            acted=seen["acted"],
            time=seen["time"],
        )
        for seen in await twin.requests("POST", "/v1/")
    )


async def _dead_letters(clients: Clients) -> tuple[str, ...]:
    response = await clients.corridors.ListDeadLetters(
        stripe_client.ListDeadLettersRequest(page_size=PAGE_SIZE), timeout=CALL_SECONDS
    )
    return tuple(
        f"{letter.event_id} {letter.event_type} {letter.object_id}: {letter.reason}"
        for letter in response.dead_letters
    )


async def _books(clients: Clients, twin: ChaosTwin, seconds: float) -> tuple[str, ...]:
    """Differences that stay: what is booked last may be a moment behind."""
    try:
        await poll(lambda: books_difference(clients, twin), lambda found: not found, seconds)
    except TimeoutError:
        found = await books_difference(clients, twin)
        return tuple(
            f"{difference.corridor} {difference.currency} {difference.part}: ledger"
            f" {difference.ledger_minor}, Stripe {difference.twin_minor}"
            for difference in found
        )
    return ()


async def _verified(ledger: grpc.aio.Channel, name: str) -> bool:
    request = audit.VerifyLedgerRequest(ledger=name)
    intact = False
    try:
        async for progress in AuditServiceStub(ledger).VerifyLedger(request, timeout=CALL_SECONDS):
            intact = progress.intact
    except grpc.aio.AioRpcError as error:
        # Without any money, or holds, there is no ledger.
        return error.code() is grpc.StatusCode.NOT_FOUND
    return intact

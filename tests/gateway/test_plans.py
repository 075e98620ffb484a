"""What payments read does not grow with the history, whatever the planner knows of it."""

import psycopg

from gateway.v1 import payment_service_pb2 as pb
from gateway.v1.payment_pb2 import PaymentMethod, PaymentState
from sandbox.polling import poll
from tests.gateway.operations.scenarios import MANUAL
from tests.gateway.running import OpenShop
from tests.history_copies import copy_rows, never_analyse, rows_read

SUCCEEDED = PaymentState.PAYMENT_STATE_SUCCEEDED
# In which no payment is when they are asked for.
RARE_STATES = (
    PaymentState.PAYMENT_STATE_FAILED,
    PaymentState.PAYMENT_STATE_AUTHORIZING,
)
HISTORY = (
    *("payment", "payment_event", "payment_request", "payment_refund"),
    *("operation", "booking", "webhook_event"),
)
COPIES = 1_000
PAGE_SIZE = 10
# Of one table, for a gateway that starts, makes payments with all that may come of them, takes
# Stripe's events and stops; its history has several times as many.
MOST_ROWS = 1_000
# Nothing is left to do for what is copied; nor is it money in flight of the books compared.
ALL_BOOKED = """
    UPDATE booking
    SET state = 'BOOKED', ledger = 'books before', ledger_sequence = booking_number,
        decide_time = create_time, lease_until = NULL
"""
EVENTS_LEFT = "SELECT count(*) FROM webhook_event WHERE state = 'PENDING'"


async def test_a_payment_reads_none_of_the_history(open_shop: OpenShop, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:

        async def events_left() -> int:
            row = connection.execute(EVENTS_LEFT.encode()).fetchone()
            assert row is not None
            return int(row[0])

        async def pay() -> dict[str, int]:
            """What that reads of each table."""
            before = rows_read(connection)
            async with open_shop() as shop:
                payment = await shop.create()
                await shop.refund(payment, 5_00)
                for end in (shop.capture, shop.cancel):
                    await end(await shop.create(capture_method=MANUAL))
                declined = PaymentMethod(token="pm_card_visa_chargeDeclined")
                await shop.create(payment_method=declined)
                await shop.get(payment.id)
                await shop.call("ListPayments", pb.ListPaymentsRequest(page_size=PAGE_SIZE))
                for state in RARE_STATES:
                    rare = pb.ListPaymentsRequest(state=state, page_size=PAGE_SIZE)
                    await shop.call("ListPayments", rare)
                await shop.watch_until(payment.id, SUCCEEDED)
                await poll(events_left, lambda left: not left)
            after = rows_read(connection)
            return {table: after[table] - before.get(table, 0) for table in after}

        never_analyse(connection)
        await pay()
        connection.execute(ALL_BOOKED.encode())
        copy_rows(connection, HISTORY, COPIES)
        for statistics in ("of empty tables", "as it is"):
            read = await pay()
            much = {table: rows for table, rows in read.items() if rows >= MOST_ROWS}
            assert not much, (statistics, much)
            connection.execute("ANALYZE")

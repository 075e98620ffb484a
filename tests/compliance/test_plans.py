"""What a check reads does not grow with the subjects and accounts, whatever the planner knows."""

import psycopg

from tests.compliance.conftest import OpenGuard
from tests.history_copies import copy_rows, never_analyse, rows_read

HISTORY = (
    "subject",
    "mutation",
    "subject_change",
    "screening",
    "account_latest",
    "account_snapshot",
    "counted_payment",
)
COPIES = 2_000
# Of other customers and merchants; a row's kind is none of any name's.
OTHERS_PAYMENTS = """
    INSERT INTO payment_history
    SELECT h.scope, h.key || '~' || n, h.currency_code, h.content
    FROM payment_history AS h CROSS JOIN generate_series(1, %s) AS n
"""
# Of merchants whose windows have moved on already.
OTHERS_RATES = """
    INSERT INTO merchant_rates (merchant_id, day, figures)
    SELECT 'other~' || n, '2099-01-01', '{}' FROM generate_series(1, %s) AS n
"""
# Of one table, for a service that starts, takes two subjects, checks a payment and stops.
MOST_ROWS = 500


async def test_a_check_reads_none_of_the_history(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        url = guard.database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE outcome_watch SET follow_time = now()")

        async def check() -> dict[str, int]:
            """What that reads of each table."""
            before = rows_read(connection)
            async with open_guard() as guard:
                merchant, customer = await guard.merchant(), await guard.customer()
                await guard.check(merchant, customer_id=customer)
            after = rows_read(connection)
            return {table: after[table] - before.get(table, 0) for table in after}

        never_analyse(connection)
        await check()
        copy_rows(connection, HISTORY, COPIES)
        connection.execute(OTHERS_RATES, [COPIES])
        connection.execute(OTHERS_PAYMENTS, [COPIES])
        for statistics in ("of empty tables", "as it is"):
            read = await check()
            much = {table: rows for table, rows in read.items() if rows >= MOST_ROWS}
            assert not much, (statistics, much)
            connection.execute("ANALYZE")

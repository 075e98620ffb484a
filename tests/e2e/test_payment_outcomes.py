"""What becomes of payments at Stripe reaches the checks of compliance, through the real gateway."""

import psycopg

from sandbox.demo.scenarios import Parties
from sandbox.demo.shop import Shop
from sandbox.polling import poll
from tests.e2e.scenario_steps import has_refunded, pay

Row = tuple[int, ...]


async def test_payments_refunds_and_disputes_of_a_merchant_are_counted(
    shop: Shop, parties: Parties, shared_databases: dict[str, str]
) -> None:
    paid = [await pay(shop, parties, "USD", minor, "visa") for minor in (30_00, 40_00, 50_00)]
    await shop.refund(paid[0], 10_00)
    await shop.until(paid[0], has_refunded(10_00))
    failed = await shop.refund(paid[1], 15_00)
    await shop.until(paid[1], has_refunded(15_00))
    await shop.twin.fail_refund(failed.refunds[-1].stripe_refund_id)
    await shop.until(paid[1], has_refunded(0))
    for payment_id, reason in ((paid[1], "fraudulent"), (paid[2], "inquiry")):
        charge_id = (await shop.read(payment_id)).charge_id
        await shop.twin.open_dispute(charge_id, reason)
    declined = await shop.pay(parties.merchant, parties.customer, 60_00, "chargeDeclined")

    async def counted() -> list[Row]:
        """Payments, captured, refunds, refunded, disputes, disputed."""
        url = shared_databases["COMPLIANCE_DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url) as connection:
            rows = await connection.execute(
                """
                SELECT payments, captured_minor::bigint, refunds, refunded_minor::bigint,
                    disputes, disputed_minor::bigint
                FROM merchant_outcome WHERE merchant_id = %s AND currency_code = 'USD'
                """,
                [parties.merchant],
            )
            # On the day that begins meanwhile there is another row.
            return [tuple(map(sum, zip(*found, strict=True))) for found in [await rows.fetchall()]]

    await poll(counted, lambda found: found == [(3, 120_00, 1, 10_00, 1, 40_00)])
    assert not declined.amount_captured.minor_units
    # A check that is made now says how far that was followed.
    again = await shop.pay(parties.merchant, parties.customer, 1_00, "visa")
    url = shared_databases["COMPLIANCE_DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await connection.execute(
            """
            SELECT record::jsonb #> '{facts,rates,payments}' FROM decision
            WHERE record::jsonb ->> 'reference_id' = %s
            """,
            [again.id],
        )
        assert await found.fetchone() == ([3, 3, 3],)

-- Writes how balance transactions that have changed are now, each under the next sequence; the caller holds the lock,
-- so nobody else does. Changed is what differs from what was told last, whoever wrote it: an index has those rows only.
-- What a sweep holds at the moment follows in the next round. Whose money it was is looked up by the source, each by an
-- index: that of bookings' names has the database's collation, and only equals of the same collation can use it.
WITH head AS (
    SELECT coalesce(max(sequence), 0) AS sequence
    FROM balance_transaction_change
),

changed AS MATERIALIZED (
    SELECT
        corridor,
        id,
        source_id,
        part,
        state,
        last_failure,
        stripe_payout_id,
        create_time,
        state || ' ' || part || ' ' || coalesce(last_failure, '') || ' ' || stripe_payout_id
            AS told
    FROM balance_transaction
    WHERE
        told IS DISTINCT FROM
        state || ' ' || part || ' ' || coalesce(last_failure, '') || ' ' || stripe_payout_id
    ORDER BY create_time, id
    LIMIT :limit
    FOR NO KEY UPDATE SKIP LOCKED
),

numbered AS MATERIALIZED (
    SELECT
        changed.corridor,
        changed.id COLLATE "default" AS id,
        changed.source_id,
        changed.part,
        changed.state,
        changed.last_failure,
        changed.stripe_payout_id,
        changed.told,
        head.sequence + row_number() OVER (ORDER BY changed.create_time, changed.id) AS sequence
    FROM changed
    CROSS JOIN head
),

written AS (
    INSERT INTO balance_transaction_change (
        sequence, corridor, id, part, state, reason, stripe_payout_id, payment_id, merchant_id,
        record_time
    )
    SELECT
        numbered.sequence,
        numbered.corridor,
        numbered.id,
        numbered.part,
        CASE
            WHEN numbered.last_failure = :missing THEN 'MISSING'
            WHEN numbered.state = 'OPEN' THEN 'UNEXPLAINED'
            WHEN
                EXISTS (
                    SELECT 1 FROM booking AS suspended
                    WHERE suspended.fact_id = 'unknown.' || numbered.id
                )
                THEN 'SUSPENSE'
            ELSE 'EXPLAINED'
        END,
        coalesce(numbered.last_failure, ''),
        numbered.stripe_payout_id,
        coalesce(charged.id, refunded.id, disputed.payment_id, booked.payment_id, ''),
        coalesce(charged.merchant_id, refunded.merchant_id, disputed.merchant_id, booked.merchant_id, ''),
        :now
    FROM numbered
    LEFT JOIN LATERAL (
        SELECT
            payment.id,
            payment.merchant_id
        FROM payment
        WHERE
            payment.charge_id = numbered.source_id
            AND payment.charge_id <> ''
            AND payment.corridor = numbered.corridor
        LIMIT 1
    ) AS charged ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            payment.id,
            payment.merchant_id
        FROM payment_refund AS refund
        INNER JOIN payment ON refund.payment_id = payment.id
        WHERE
            refund.stripe_refund_id = numbered.source_id
            AND refund.stripe_refund_id <> ''
            AND payment.corridor = numbered.corridor
        LIMIT 1
    ) AS refunded ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            dispute.payment_id,
            dispute.merchant_id
        FROM dispute
        WHERE
            dispute.corridor = numbered.corridor
            AND dispute.stripe_dispute_id = numbered.source_id
        LIMIT 1
    ) AS disputed ON TRUE
    LEFT JOIN LATERAL (
        SELECT
            booking.payment_id,
            booking.fact ->> 'merchant_id' AS merchant_id
        FROM booking
        WHERE
            booking.fact_id IN (
                'transfer.' || numbered.source_id,
                'application_fee.' || numbered.source_id,
                'transfer_reversed.' || numbered.id,
                'application_fee_returned.' || numbered.id,
                'debit_moved.' || numbered.id
            )
            AND booking.payment_id IS NOT NULL
        LIMIT 1
    ) AS booked ON TRUE
)

UPDATE balance_transaction AS known
SET
    told = numbered.told,
    sequence = numbered.sequence,
    first_sequence = coalesce(known.first_sequence, numbered.sequence)
FROM numbered
WHERE known.corridor = numbered.corridor AND known.id = numbered.id

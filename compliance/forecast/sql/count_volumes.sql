-- Adds what decisions after a sequence allowed to the volumes, and says how far it came. A record that
-- says no amount is left out, so that one that cannot be read holds up no other.
WITH taken AS (
    SELECT
        d.sequence,
        d.kind,
        d.verdict,
        d.merchant_id,
        d.record_time_us,
        d.record::jsonb -> 'facts' ->> 'currency_code' AS currency_code,
        (d.record::jsonb -> 'facts' ->> 'amount_minor')::numeric AS amount_minor
    FROM decision AS d
    WHERE d.sequence > :after_sequence
    ORDER BY d.sequence
    LIMIT :most
),

counted AS (
    INSERT INTO merchant_volume AS v (merchant_id, currency_code, day, amount_minor, payment_count)
    SELECT
        t.merchant_id,
        t.currency_code,
        (to_timestamp(t.record_time_us / 1000000.0) AT TIME ZONE 'UTC')::date AS day,
        sum(t.amount_minor),
        count(*)
    FROM taken AS t
    WHERE t.kind = 'PAYMENT' AND t.verdict = 'ALLOW' AND t.amount_minor IS NOT NULL
    GROUP BY t.merchant_id, t.currency_code, day
    ON CONFLICT (merchant_id, currency_code, day) DO UPDATE
        SET
            amount_minor = v.amount_minor + excluded.amount_minor,
            payment_count = v.payment_count + excluded.payment_count
)

SELECT max(t.sequence) AS last_sequence
FROM taken AS t
